/** Theme of the pages for everybody: the device's, until somebody chooses. `first-paint.js` has set it already. */
import { remember } from './storage'
import type { ThemeName } from './theme.svelte'

class PageTheme {
  name = $state<ThemeName>(document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light')

  get other(): ThemeName {
    return this.name === 'dark' ? 'light' : 'dark'
  }

  toggle(): void {
    this.name = this.other
    remember('page-theme', this.name)
    document.documentElement.dataset.theme = this.name
  }
}

export const pageTheme = new PageTheme()
