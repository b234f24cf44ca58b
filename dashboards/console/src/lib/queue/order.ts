/** Order of the queue, its figures, and the alarm rate. Pure functions over incidents. */
import { isOpen } from '../api/lifecycle'
import type { Incident, Severity } from '../feed/types'

export const SEVERITIES: readonly Severity[] = ['critical', 'high', 'medium', 'low']

const RANK: Record<Severity, number> = { critical: 0, high: 1, medium: 2, low: 3 }

/**
 * Worst first; within a severity what nobody has acknowledged, of that what still goes on, then the longest
 * waiting, so that neither a new incident nor an old one is forgotten at the end.
 */
export function bySeverityThenAge(a: Incident, b: Incident): number {
  return (
    RANK[a.severity] - RANK[b.severity] ||
    Number(b.handling === 'new') - Number(a.handling === 'new') ||
    Number(a.condition === 'cleared') - Number(b.condition === 'cleared') ||
    Date.parse(a.detected) - Date.parse(b.detected) ||
    (a.id < b.id ? -1 : 1)
  )
}

export interface SeverityCount {
  open: number
  unacked: number
}

export function countBySeverity(incidents: Incident[]): Record<Severity, SeverityCount> {
  const counts: Record<Severity, SeverityCount> = {
    critical: { open: 0, unacked: 0 },
    high: { open: 0, unacked: 0 },
    medium: { open: 0, unacked: 0 },
    low: { open: 0, unacked: 0 },
  }
  for (const incident of incidents) {
    if (!isOpen(incident.handling) || incident.shelved_until) continue
    counts[incident.severity].open += 1
    if (incident.handling === 'new') counts[incident.severity].unacked += 1
  }
  return counts
}

export const FLOOD_WINDOW_MS = 10 * 60_000
/** EEMUA 191: ten alarms in ten minutes are a flood. */
export const FLOOD_AT = 10

export interface AlarmRate {
  recent: number
  flood: boolean
  /** The most frequent rule and ward of the window, and how often each. */
  topRule: [rule: string, n: number] | null
  topWard: [ward: string, n: number] | null
}

export function alarmRate(incidents: Incident[], nowMs: number): AlarmRate {
  const rules = new Map<string, number>()
  const wards = new Map<string, number>()
  let recent = 0
  for (const incident of incidents) {
    if (incident.handling === 'merged' || nowMs - Date.parse(incident.detected) > FLOOD_WINDOW_MS) continue
    recent += 1
    rules.set(incident.rule, (rules.get(incident.rule) ?? 0) + 1)
    if (incident.ward) wards.set(incident.ward, (wards.get(incident.ward) ?? 0) + 1)
  }
  return { recent, flood: recent >= FLOOD_AT, topRule: most(rules), topWard: most(wards) }
}

/** One name for incidents of these titles: the title they share, else what they are of. */
export function sharedName(titles: Iterable<string>, kind: string): string {
  const [first, ...others] = new Set(titles)
  return first === undefined || others.length ? kind : first
}

function most(counts: Map<string, number>): [string, number] | null {
  let best: [string, number] | null = null
  for (const entry of counts) if (!best || entry[1] > best[1]) best = entry
  return best
}
