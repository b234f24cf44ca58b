/** The chosen language and its texts. `i18n.t.queue.title` is typed, so a missing text does not compile. */
import type { Lang } from '../api/types'
import type { Text } from '../feed/types'
import { en } from './en'
import { vi, type Catalogue } from './vi'
import { recall, remember } from '../state/storage'

const CATALOGUES: Record<Lang, Catalogue> = { vi, en }

class I18n {
  lang = $state<Lang>(recall('lang', ['vi', 'en'], 'vi'))
  t = $derived(CATALOGUES[this.lang])

  set(lang: Lang): void {
    this.lang = lang
    remember('lang', lang)
    document.documentElement.lang = lang
  }

  toggle(): void {
    this.set(this.lang === 'vi' ? 'en' : 'vi')
  }

  text(text: Text): string {
    return text[this.lang] || text.vi || text.en
  }
}

export const i18n = new I18n()
