/** What counts as done today, and how far away something is. Pure. */
import { isOpen } from '../lib/api/lifecycle'
import type { Lang } from '../lib/api/types'
import type { Incident } from '../lib/feed/types'
import { number } from '../lib/format/number'

const DAY_MS = 86_400_000
/** Viet Nam has one time zone, without summer time. */
const ZONE_MS = 7 * 3_600_000

/** When the day of `nowMs` began, at midnight in Viet Nam. */
export function dayStart(nowMs: number): number {
  return Math.floor((nowMs + ZONE_MS) / DAY_MS) * DAY_MS - ZONE_MS
}

export function doneToday({ handling, resolved, closed, updated }: Incident, nowMs: number): boolean {
  return !isOpen(handling) && Date.parse(resolved ?? closed ?? updated) >= dayStart(nowMs)
}

/** What the feed tells of, and of what ended `earlier` the rest: the feed knows better what becomes of an incident. */
export function together(told: Incident[], earlier: Incident[]): Incident[] {
  const known = new Set(told.map(({ id }) => id))
  return [...told, ...earlier.filter(({ id }) => !known.has(id))]
}

/** A distance as one says it: tens of metres, from a kilometre on tenths of one. */
export function distanceText(metres: number, lang: Lang): string {
  const tens = Math.round(metres / 10) * 10
  return tens < 1000 ? `${tens} m` : `${number(metres / 1000, lang)} km`
}
