/** Texts of the pages for everybody, apart from the console's so that they load no more than they show. */
import { Language } from '../language.svelte'
import { en } from './en'
import { vi } from './vi'

export const i18n = new Language({ vi, en })
