/** What the board's figures say, in words; a figure without anything behind it is null and never 0. */
import type { Figures } from './types'

export const share = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null)

/** How long in the unit that fits: `[n, 'days']`. */
export function span(seconds: number): [number, 'minutes' | 'hours' | 'days'] {
  if (seconds < 3_600) return [Math.max(1, Math.round(seconds / 60)), 'minutes']
  if (seconds < 2 * 86_400) return [Math.round(seconds / 360) / 10, 'hours']
  return [Math.round(seconds / 8_640) / 10, 'days']
}

/** A line of a table. `inTime` is the share of what is done that was done within its time. */
export interface Row {
  code: string
  open: number
  overdue: number
  done: number
  inTime: number | null
}

export const EMPTY: Omit<Row, 'code'> = { open: 0, overdue: 0, done: 0, inTime: null }

/** Those with most to do first; ties by code, so that rows do not change places without a reason. */
export function rowsOf(figures: Record<string, Figures>): Row[] {
  return Object.entries(figures)
    .sort(([a, one], [b, other]) => other.open - one.open || other.received - one.received || a.localeCompare(b))
    .map(([code, { open, overdue, done, within_due }]) => ({ code, open, overdue, done, inTime: share(within_due, done) }))
}
