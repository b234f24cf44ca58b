/** The console's texts. One language is loaded; the other when somebody changes to it. */
import { Language, remembered } from './language.svelte'

const load = {
  vi: async () => (await import('./vi')).vi,
  en: async () => (await import('./en')).en,
}
const first = remembered()

export const i18n = new Language({ [first]: await load[first]() }, load)
