/** How figures are shown: pure. */
import type { Lang } from '../lib/api/types'
import type { Catalogue } from '../lib/i18n/vi'
import { number } from '../lib/format/number'
import { ago } from '../lib/format/time'
import { readingOf, type Group, type Reading, type Trend } from '../lib/api/readings'
import type { Definition, PeriodName, Series, Unit, Warning } from './types'

/** Beyond this age a figure says that it is old, seconds. */
export const STALE_S = 300
/** Without an answer for this long the page says that it stands still. */
export const STILL_MS = 45_000

/** A value with its unit; a duration in its two largest units. */
export function valueText(value: number | null, unit: Unit, lang: Lang, units: Catalogue['unit']): string {
  if (value === null) return '–'
  if (unit === 'share') return `${number(value * 100, lang)} %`
  if (unit === 's') return ago(value * 1000, units)
  if (unit === 'per_hour') return `${number(value, lang)}/${units.h}`
  return number(value, lang)
}

export function shareText(share: number, lang: Lang): string {
  // Never rounded up to all of it: 99.96 % covered is not covered.
  const percent = share < 1 ? Math.min(99.9, Math.round(share * 1000) / 10) : 100
  return `${number(percent, lang)} %`
}

/** The change in words and as a sign that does not need colour. */
export function trendSign(trend: Trend): string {
  if (trend.verdict === 'same') return '='
  return trend.now > trend.before ? '▲' : '▼'
}

export function isStale(reading: Reading): boolean {
  return reading.age_s !== null && reading.age_s > STALE_S
}

/** The warning about just what a tile shows: its figure, scope and period; the worst first as the server orders them. */
export function warningFor(
  warnings: readonly Warning[],
  figure: Definition,
  ward: string | null,
  period: PeriodName,
): Warning | undefined {
  return warnings.find(
    (each) => each.figure === figure.id && each.ward === ward && each.category === null && (figure.now || each.period === period),
  )
}

export type Column = 'open' | 'overdue' | 'processing_rate' | 'within_time' | 'acknowledge_median' | 'resolve_median' | 'camera_coverage'
export const COLUMNS: Column[] = [
  'open', 'overdue', 'processing_rate', 'within_time', 'acknowledge_median', 'resolve_median', 'camera_coverage',
]

/** Groups by a column; those without a value last, whichever the direction. */
export function sorted(groups: readonly Group[], by: Column | 'name', down: boolean, nameOf: (group: Group) => string): Group[] {
  const names = (a: Group, b: Group): number => nameOf(a).localeCompare(nameOf(b), 'vi')
  const sign = down ? -1 : 1
  return [...groups].sort((a, b) => {
    if (by === 'name') return sign * names(a, b)
    const [one, other] = [readingOf(a, by)?.value ?? null, readingOf(b, by)?.value ?? null]
    if (one === null || other === null) return Number(one === null) - Number(other === null) || names(a, b)
    return sign * (one - other) || names(a, b)
  })
}

/** Two or three points are no course: what they draw is a stroke that says nothing. */
const LEAST_POINTS = 4

/** Path of a sparkline in a box of `width` × `height`; a gap in the data is a gap in the line. */
export function sparkline(series: Series | undefined, width: number, height: number): string {
  const items = series?.items ?? []
  const values = items.flatMap((each) => (each.value === null ? [] : [each.value]))
  if (values.length < LEAST_POINTS) return ''
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const x = (n: number): number => (n / Math.max(1, items.length - 1)) * (width - 2) + 1
  const y = (value: number): number => (high === low ? height / 2 : height - 2 - ((value - low) / (high - low)) * (height - 4))
  let path = ''
  let pen = false
  items.forEach((each, n) => {
    if (each.value !== null) path += `${pen ? 'L' : 'M'}${x(n).toFixed(1)} ${y(each.value).toFixed(1)}`
    pen = each.value !== null
  })
  return path
}

type Card = [Warning, ...Warning[]]

/** Warnings of one brake belong together: thirty wards behind are one message, the worst of them first. */
export function byBrake(warnings: readonly Warning[]): Card[] {
  const cards = new Map<string, Card>()
  for (const warning of warnings) {
    const card = cards.get(warning.brake)
    if (card) card.push(warning)
    else cards.set(warning.brake, [warning])
  }
  for (const card of cards.values()) card.sort((a, b) => Number(a.stage === 'forecast') - Number(b.stage === 'forecast') || distance(b) - distance(a))
  return [...cards.values()]
}

function distance(warning: Warning): number {
  return Math.abs(warning.value - warning.threshold)
}
