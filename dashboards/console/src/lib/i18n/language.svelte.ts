/** The chosen language and its texts. `language.t.queue.title` is typed, so a missing text does not compile. */
import type { Lang } from '../api/types'
import type { Text } from '../feed/types'
import { recall, remember } from '../state/storage'

/** The language chosen at this device before, Vietnamese at first. */
export const remembered = (): Lang => recall('lang', ['vi', 'en'], 'vi')

export class Language<Catalogue> {
  /** Always one whose texts are here. */
  lang = $state<Lang>(remembered())
  #wanted: Lang = this.lang
  readonly #catalogues: Partial<Record<Lang, Catalogue>>
  readonly #load: Record<Lang, () => Promise<Catalogue>> | null

  /** `catalogues` holds the remembered language at least; `load` brings what it lacks. */
  constructor(catalogues: Partial<Record<Lang, Catalogue>>, load: Record<Lang, () => Promise<Catalogue>> | null = null) {
    this.#catalogues = catalogues
    this.#load = load
  }

  get t(): Catalogue {
    return this.#catalogues[this.lang] as Catalogue
  }

  /** Change to `lang`, as soon as its texts are here. */
  set(lang: Lang): void {
    this.#wanted = lang
    remember('lang', lang)
    if (this.#catalogues[lang]) return this.#show(lang)
    this.#load?.[lang]().then(
      (catalogue) => {
        this.#catalogues[lang] = catalogue
        if (this.#wanted === lang) this.#show(lang)
      },
      (error: unknown) => {
        // Without a network the one that is shown stays.
        console.info('language', error)
        if (this.#wanted === lang) remember('lang', (this.#wanted = this.lang))
      },
    )
  }

  #show(lang: Lang): void {
    this.lang = lang
    document.documentElement.lang = lang
  }

  toggle(): void {
    this.set(this.#wanted === 'vi' ? 'en' : 'vi')
  }

  text(text: Text): string {
    return text[this.lang] || text.vi || text.en
  }
}
