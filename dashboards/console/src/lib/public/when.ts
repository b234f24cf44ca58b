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

/** `3 giờ trước`, `3 hours ago`; under a minute it has just been. */
export function ago(iso: string, lang: Lang, nowMs = Date.now()): string {
  const seconds = (nowMs - Date.parse(iso)) / 1000
  const step = STEPS.find(([, least]) => seconds >= least)
  if (!step) return lang === 'vi' ? 'vừa xong' : 'just now'
  const [unit, size] = step
  return new Intl.RelativeTimeFormat(LOCALES[lang], { numeric: 'auto' }).format(-Math.floor(seconds / size), unit)
}
