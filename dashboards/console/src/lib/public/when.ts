/** Days, times and ages for everybody, in Vietnamese time whatever the device's zone is. */
import type { Lang } from '../api/types'
import { ZONE } from '../format/time'

const LOCALES: Record<Lang, string> = { vi: 'vi-VN', en: 'en-GB' }
const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [['day', 86_400], ['hour', 3_600], ['minute', 60]]

export function day(iso: string, lang: Lang): string {
  return new Intl.DateTimeFormat(LOCALES[lang], { timeZone: ZONE, day: 'numeric', month: lang === 'vi' ? 'numeric' : 'long', year: 'numeric' }).format(new Date(iso))
}

export function moment(iso: string, lang: Lang): string {
  const time = new Intl.DateTimeFormat('en-GB', { timeZone: ZONE, hour: '2-digit', minute: '2-digit' }).format(new Date(iso))
  return `${time}, ${day(iso, lang)}`
}

/** `3 giờ trước`, `3 hours ago`. */
export function ago(iso: string, lang: Lang, nowMs = Date.now()): string {
  const seconds = Math.max(0, (nowMs - Date.parse(iso)) / 1000)
  const [unit, size] = STEPS.find(([, least]) => seconds >= least) ?? ['minute', 60]
  return new Intl.RelativeTimeFormat(LOCALES[lang], { numeric: 'auto' }).format(-Math.floor(seconds / size), unit)
}
