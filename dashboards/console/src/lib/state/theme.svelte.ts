import { recall, remember } from './storage'

export type ThemeName = 'dark' | 'light'

class Theme {
  /** Until somebody chooses, what the page was made for: a dark room, or the sun. */
  name = $state<ThemeName>(recall('theme', ['dark', 'light'], document.documentElement.dataset.theme === 'light' ? 'light' : 'dark'))

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
