/** Which alarms are called out, with what tones, and how often again. Pure. */
import type { Incident, Severity } from '../feed/types'
import { SEVERITIES } from '../queue/order'

/** Notes in Hz of one call, and the pause until it is heard again while something of it waits. */
export const CALLS: Record<Severity, { notes: number[]; everyMs: number }> = {
  critical: { notes: [988, 740, 988, 740], everyMs: 3_000 },
  high: { notes: [784, 587], everyMs: 8_000 },
  medium: { notes: [587], everyMs: 30_000 },
  low: { notes: [440], everyMs: 120_000 },
}

/** A source that calls again within this time is not heard, unless it is worse now. */
export const SOURCE_COOLDOWN_MS = 60_000
const MOST_SOURCES = 1_000

/** `source` is a device's; null where people told of it, who do not chatter. */
export type Arrived = Pick<Incident, 'severity' | 'source'>

/** Remembers which sources were heard; a device that chatters must not drown the others. */
export class SourceCooldown {
  #heard = new Map<string, { atMs: number; rank: number }>()

  /** The worst of what has arrived from sources that are due, or null. */
  due(arrived: readonly Arrived[], nowMs: number): Severity | null {
    const ranks = arrived.filter((each) => this.#isDue(each, nowMs)).map(({ severity }) => SEVERITIES.indexOf(severity))
    return ranks.length ? (SEVERITIES[Math.min(...ranks)] ?? null) : null
  }

  #isDue({ source, severity }: Arrived, nowMs: number): boolean {
    if (source === null) return true
    const rank = SEVERITIES.indexOf(severity)
    const last = this.#heard.get(source)
    if (last && nowMs - last.atMs < SOURCE_COOLDOWN_MS && rank >= last.rank) return false
    this.#heard.delete(source)
    this.#heard.set(source, { atMs: nowMs, rank })
    // The oldest leave first: a map keeps the order of insertion.
    for (const oldest of this.#heard.keys()) {
      if (this.#heard.size <= MOST_SOURCES) break
      this.#heard.delete(oldest)
    }
    return true
  }
}
