/** How much alarms ask of an operator, and where they come from. Pure functions over incidents. */
import { isOpen } from '../api/lifecycle'
import type { Incident } from '../feed/types'

export const HOUR_MS = 3_600_000
/** ISA-18.2: up to six alarms an hour are good, up to twelve can be managed. */
export const GOOD_PER_HOUR = 6
export const MANAGEABLE_PER_HOUR = 12
/** One source and rule, this often within an hour, chatters. */
export const CHATTERS_AT = 3
/** ISA-18.2: what has been going on for longer is stale. */
export const STALE_MS = 24 * HOUR_MS
export const MOST_SHOWN = 10

export interface Busy {
  source: string
  n: number
}

export interface Chatter extends Busy {
  rule: string
}

export interface AlarmLoad {
  /** Within the last hour. */
  hour: number
  level: 'good' | 'manageable' | 'over'
  sources: Busy[]
  chattering: Chatter[]
  stale: Incident[]
}

/**
 * The load at `nowMs`; `incidents` hold at least what was detected within the hour and what is open. Only what
 * `isDevice` chatters: people who report often have something to say.
 */
export function alarmLoad(incidents: Incident[], nowMs: number, isDevice: (source: string) => boolean): AlarmLoad {
  const sources = new Map<string, number>()
  const pairs = new Map<string, Chatter>()
  let hour = 0
  for (const { handling, detected, source, rule } of incidents) {
    if (handling === 'merged' || nowMs - Date.parse(detected) > HOUR_MS) continue
    hour += 1
    if (!source) continue
    sources.set(source, (sources.get(source) ?? 0) + 1)
    if (!isDevice(source)) continue
    const key = `${rule} ${source}`
    const pair = pairs.get(key) ?? { source, rule, n: 0 }
    pair.n += 1
    pairs.set(key, pair)
  }
  const busiest = [...sources].map(([source, n]) => ({ source, n }))
  return {
    hour,
    level: hour <= GOOD_PER_HOUR ? 'good' : hour <= MANAGEABLE_PER_HOUR ? 'manageable' : 'over',
    sources: mostOf(busiest),
    chattering: mostOf([...pairs.values()].filter(({ n }) => n >= CHATTERS_AT)),
    stale: incidents
      .filter((each) => isOpen(each.handling) && each.condition === 'active' && nowMs - Date.parse(each.detected) > STALE_MS)
      .sort((a, b) => Date.parse(a.detected) - Date.parse(b.detected))
      .slice(0, MOST_SHOWN),
  }
}

function mostOf<T extends Busy>(found: T[]): T[] {
  return found.sort((a, b) => b.n - a.n || (a.source < b.source ? -1 : 1)).slice(0, MOST_SHOWN)
}
