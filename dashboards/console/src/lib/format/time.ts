/** Dates, ages and countdowns in Vietnamese time, whatever the machine's zone is. */
import type { Lang } from '../api/types'
import type { Catalogue } from '../i18n/vi'

export const ZONE = 'Asia/Ho_Chi_Minh'

const LOCALES: Record<Lang, string> = { vi: 'vi-VN', en: 'en-GB' }

const clockFormat = new Intl.DateTimeFormat('en-GB', {
  timeZone: ZONE,
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
})
const dateFormat: Record<Lang, Intl.DateTimeFormat> = {
  vi: new Intl.DateTimeFormat(LOCALES.vi, { timeZone: ZONE, weekday: 'short', day: '2-digit', month: '2-digit', year: 'numeric' }),
  en: new Intl.DateTimeFormat(LOCALES.en, { timeZone: ZONE, weekday: 'short', day: '2-digit', month: 'short', year: 'numeric' }),
}
const dayFormat = new Intl.DateTimeFormat('en-GB', { timeZone: ZONE, day: '2-digit', month: '2-digit' })

export function clockTime(ms: number): string {
  return clockFormat.format(ms)
}

export function dateText(ms: number, lang: Lang): string {
  return dateFormat[lang].format(ms)
}

/** Time of day, with the day in front when it is not today's. */
export function stamp(ms: number, nowMs: number): string {
  const day = dayFormat.format(ms)
  return day === dayFormat.format(nowMs) ? clockTime(ms) : `${day} ${clockTime(ms)}`
}

/** `m:ss` under an hour, `h:mm:ss` above, `d + h` above two days: for countdowns in tabular figures. */
export function countdown(ms: number, unit: Catalogue['unit']): string {
  const total = Math.max(0, Math.floor(ms / 1000))
  const s = String(total % 60).padStart(2, '0')
  const m = Math.floor(total / 60) % 60
  const h = Math.floor(total / 3600)
  if (h >= 48) return `${Math.floor(h / 24)} ${unit.d} ${h % 24} ${unit.h}`
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`
}

/** Rough age in words: one unit, or two from an hour on. */
export function ago(ms: number, unit: Pick<Catalogue['unit'], 's' | 'm' | 'h' | 'd'>): string {
  const total = Math.max(0, Math.floor(ms / 1000))
  if (total < 60) return `${total} ${unit.s}`
  if (total < 3600) return `${Math.floor(total / 60)} ${unit.m}`
  const h = Math.floor(total / 3600)
  if (h < 24) {
    const m = Math.floor(total / 60) % 60
    return m ? `${h} ${unit.h} ${m} ${unit.m}` : `${h} ${unit.h}`
  }
  return `${Math.floor(h / 24)} ${unit.d} ${h % 24} ${unit.h}`
}

/** What somebody typed as time of Viet Nam (`2026-11-28T07:00`) as RFC 3339; null where it is empty. */
export function vietnamTime(typed: string): string | null {
  if (!typed) return null
  return `${typed.length === 16 ? `${typed}:00` : typed}+07:00`
}

const AHEAD_OF_UTC_MS = 7 * 3_600_000

/** A moment as a field for such a time holds it, to the minute. */
export function vietnamInput(ms: number): string {
  return new Date(ms + AHEAD_OF_UTC_MS).toISOString().slice(0, 16)
}
