/** The chosen language and its texts. `language.t.queue.title` is typed, so a missing text does not compile. */
import type { Lang } from '../api/types'
import type { Text } from '../feed/types'
import { recall, remember } from '../state/storage'

export class Language<Catalogue> {
  lang = $state<Lang>(recall('lang', ['vi', 'en'], 'vi'))
  #catalogues: Record<Lang, Catalogue>

  constructor(catalogues: Record<Lang, Catalogue>) {
    this.#catalogues = catalogues
  }

  get t(): Catalogue {
    return this.#catalogues[this.lang]
  }

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
