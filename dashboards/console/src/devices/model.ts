/** What is wrong with devices, which of them are asked for, and in which order. Pure. */
import { containsAll, fold } from '../lib/queue/text'
import type { Health, Kind, Window } from './types'

/** What a device may be in, the gravest first; of several a device has each. */
export const STATES = ['throttled', 'silent', 'stale', 'never', 'erroring', 'skewed', 'maintenance', 'disabled', 'unknown', 'ok'] as const
export type State = (typeof STATES)[number]
export const KINDS: Kind[] = ['camera', 'detector', 'gateway', 'portal']
/** The decoders of `ioc/ingest/decoders`; `tests/unit/app/test_devices_page.py` compares. */
export const DECODERS = [
  'axis', 'cap', 'cloudevents', 'dahua', 'datex2', 'frigate', 'hikvision', 'ngsi', 'onvif', 'open311', 'opendatacam',
  'platerecognizer', 'tabular',
]

/** As `ioc/model/device_health.py`: late after three intervals, and not before half a minute. */
const STALE_INTERVALS = 3
const STALE_LEAST_S = 30
/** A twentieth refused is no longer a single bad message. */
export const ERRORING_SHARE = 0.05
/** Nothing is seen before it happens: a device this far ahead has a wrong clock. */
export const AHEAD_S = 5
/** Behind may also be a detector that sends what it counted: only what is later than that too is a wrong clock. */
export const BEHIND_S = 60
const BEHIND_INTERVALS = 2

export function patienceMs(device: Health): number {
  return Math.max(STALE_LEAST_S, STALE_INTERVALS * (device.expected_interval_s ?? 0)) * 1000
}

export function isSkewed({ clock_skew_s: skew, expected_interval_s: interval }: Health): boolean {
  if (skew === null) return false
  return skew < -AHEAD_S || skew > Math.max(BEHIND_S, BEHIND_INTERVALS * (interval ?? 0))
}

/** Everything that is so of a device at a moment, gravest first; at least one. */
export function statesOf(device: Health, nowMs: number): State[] {
  if (device.condition === 'maintenance' || device.condition === 'disabled') return [device.condition]
  const found: State[] = []
  if (device.condition === 'throttled') found.push('throttled')
  if (device.condition === 'stale') {
    // Whether nothing comes at all, or only nothing that is of use: power and network, or what it sends.
    const quiet = device.seen === null || nowMs - Date.parse(device.seen) > patienceMs(device)
    found.push(quiet ? 'silent' : 'stale')
  }
  if (device.condition === 'never') found.push('never')
  if ((device.error_rate ?? 0) >= ERRORING_SHARE) found.push('erroring')
  if (isSkewed(device)) found.push('skewed')
  if (!found.length) found.push(device.condition === 'unknown' ? 'unknown' : 'ok')
  return found
}

/** A device with what is derived of it. */
export interface Judged {
  health: Health
  states: State[]
  /** Folded words that find it. */
  words: string
}

export const SORTS = ['state', 'name', 'seen', 'rate', 'errors', 'skew'] as const
export type Sort = (typeof SORTS)[number]

export interface Filter {
  query: string
  state: State | null
  ward: string | null
  kind: Kind | null
  decoder: string | null
  sort: Sort
  /** Against the column's own direction, which shows first what needs attention. */
  turned: boolean
}

export const NO_FILTER: Filter = { query: '', state: null, ward: null, kind: null, decoder: null, sort: 'state', turned: false }
const NO_WARD = '-'

export function readFilter(params: URLSearchParams): Filter {
  const sort = params.get('sort') ?? ''
  return {
    query: params.get('q') ?? '',
    state: STATES.find((each) => each === params.get('state')) ?? null,
    ward: params.has('ward') ? (params.get('ward') === NO_WARD ? '' : params.get('ward')) : null,
    kind: KINDS.find((each) => each === params.get('kind')) ?? null,
    decoder: params.get('decoder'),
    sort: SORTS.find((each) => each === sort.replace(/^-/, '')) ?? 'state',
    turned: sort.startsWith('-'),
  }
}

export function writeFilter(filter: Filter, device: string | null): string {
  const params = new URLSearchParams()
  if (filter.query.trim()) params.set('q', filter.query.trim())
  if (filter.state) params.set('state', filter.state)
  if (filter.ward !== null) params.set('ward', filter.ward || NO_WARD)
  if (filter.kind) params.set('kind', filter.kind)
  if (filter.decoder) params.set('decoder', filter.decoder)
  const sort = `${filter.turned ? '-' : ''}${filter.sort}`
  if (sort !== 'state') params.set('sort', sort)
  if (device) params.set('device', device)
  return params.toString()
}

export function isFiltered(filter: Filter): boolean {
  return writeFilter({ ...filter, sort: 'state', turned: false }, null) !== ''
}

/** The devices that everything of `filter` but its state lets through. */
export function matching(devices: readonly Judged[], filter: Filter): Judged[] {
  const query = fold(filter.query.trim())
  return devices.filter(
    ({ health, words }) =>
      (filter.ward === null || (health.ward ?? '') === filter.ward) &&
      (filter.kind === null || health.kind === filter.kind) &&
      (filter.decoder === null || health.decoder === filter.decoder) &&
      (query === '' || containsAll(words, query)),
  )
}

export function countStates(devices: readonly Judged[]): Record<State, number> {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0])) as Record<State, number>
  for (const { states } of devices) for (const state of states) counts[state] += 1
  return counts
}

/** Share of the promised events that came; null where none are promised. */
export function ratio({ events_per_min: rate, expected_interval_s: interval }: Health): number | null {
  return interval === null ? null : (rate * interval) / 60
}

/** Smaller comes first; null comes last whichever the direction. */
const KEYS: Record<Exclude<Sort, 'name'>, (each: Judged) => number | null> = {
  state: ({ states }) => STATES.indexOf(states[0] ?? 'ok'),
  seen: ({ health }) => (health.seen === null ? null : Date.parse(health.seen)),
  rate: ({ health }) => ratio(health),
  errors: ({ health }) => (health.error_rate === null ? null : -health.error_rate),
  skew: ({ health }) => (health.clock_skew_s === null ? null : -Math.abs(health.clock_skew_s)),
}

/** `devices`, which are in order of their names, in the order that `filter` asks for. */
export function sorted(devices: readonly Judged[], { sort, turned }: Filter): Judged[] {
  if (sort === 'name') return turned ? [...devices].reverse() : [...devices]
  const keyed = devices.map((each) => ({ each, key: KEYS[sort](each) }))
  const way = turned ? -1 : 1
  keyed.sort((a, b) => (a.key === null || b.key === null ? Number(a.key === null) - Number(b.key === null) : way * (a.key - b.key)))
  return keyed.map(({ each }) => each)
}

export function sameOrder(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index])
}

export type Phase = 'now' | 'coming' | 'over' | 'never'

/** Where a maintenance window stands; one that ended before it began never was. */
export function phaseOf({ from, to }: Window, nowMs: number): Phase {
  const [begin, end] = [Date.parse(from), Date.parse(to)]
  if (end <= begin) return 'never'
  return nowMs < begin ? 'coming' : nowMs < end ? 'now' : 'over'
}

/** What goes on or will come, in that order, then what is over, the newest first. */
export function byPhase(windows: readonly Window[], nowMs: number): Window[] {
  const live = (each: Window): boolean => ['now', 'coming'].includes(phaseOf(each, nowMs))
  return [...windows.filter(live), ...windows.filter((each) => !live(each)).reverse()]
}
