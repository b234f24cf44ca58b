import { recall, remember } from './storage'

export type ThemeName = 'dark' | 'light'

class Theme {
  name = $state<ThemeName>(recall('theme', ['dark', 'light'], 'dark'))

  constructor() {
    document.documentElement.dataset.theme = this.name
  }

  toggle(): void {
    this.name = this.name === 'dark' ? 'light' : 'dark'
    remember('theme', this.name)
    document.documentElement.dataset.theme = this.name
  }
}

export const theme = new Theme()
