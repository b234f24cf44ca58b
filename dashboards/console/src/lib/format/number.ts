/** Numbers as people here write them: decimal comma in Vietnamese, point in English. */
import type { Lang } from '../api/types'

const FORMATS: Record<Lang, Intl.NumberFormat> = {
  vi: new Intl.NumberFormat('vi-VN', { maximumFractionDigits: 1 }),
  en: new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 }),
}

export function number(value: number, lang: Lang): string {
  return FORMATS[lang].format(value)
}

export function percent(fraction: number, lang: Lang): string {
  return `${FORMATS[lang].format(Math.round(fraction * 100))} %`
}
