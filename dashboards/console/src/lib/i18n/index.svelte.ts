/** The console's texts. */
import { en } from './en'
import { Language } from './language.svelte'
import { vi } from './vi'

export const i18n = new Language({ vi, en })
