/**
 * How old changes are once this page has applied them, in the service's time. Times are passed in (ms).
 *
 * The page's clock may be wrong by hours, so each pong tells the service's: what lay between ping and pong
 * bounds the error, and the quickest of the last few counts.
 */
import type { Change, Delays } from './types'

const SAMPLES = 8
/** Only the newest so many are looked at in one report; all are counted. */
const MAX_AGES = 1_000
/** Whatever is older was late by other causes than the way here; the service believes no more. */
const MAX_AGE_MS = 3_600_000
/** What a clock may drift between two pongs. */
const DRIFT_MS = 50

interface Sample {
  offsetMs: number
  errorMs: number
}

export class DelayMeter {
  #samples: Sample[] = []
  #sinceMs = 0
  #ages: number[] = []
  #count = 0

  /** Service minus local time, as well as is known. */
  get offsetMs(): number {
    if (!this.#samples.length) return 0
    return this.#samples.reduce((best, next) => (next.errorMs < best.errorMs ? next : best)).offsetMs
  }

  /** A connection begins: changes from before it were missed, not late. */
  welcome(serverMs: number, nowMs: number): void {
    if (!Number.isFinite(serverMs)) return
    this.#sinceMs = serverMs
    // How long it was on its way is not known, so any pong is better.
    this.#samples = [{ offsetMs: serverMs - nowMs, errorMs: Infinity }]
  }

  /** The answer, dated `serverMs`, to the ping of `sentMs`. */
  pong(sentMs: number, serverMs: number, nowMs: number): void {
    const errorMs = (nowMs - sentMs) / 2
    if (!Number.isFinite(serverMs) || !(errorMs >= 0)) return
    const sample = { offsetMs: serverMs - (sentMs + nowMs) / 2, errorMs }
    // A clock that was set makes the older samples wrong.
    const agree = ({ offsetMs, errorMs }: Sample): boolean =>
      Math.abs(offsetMs - sample.offsetMs) <= errorMs + sample.errorMs + DRIFT_MS
    this.#samples = [...this.#samples.filter(agree), sample].slice(-SAMPLES)
  }

  applied(changes: Change[], nowMs: number): void {
    for (const { incident } of changes) {
      const atMs = 'updated' in incident ? Date.parse(incident.updated ?? '') : NaN
      if (!(atMs >= this.#sinceMs)) continue
      this.#ages[this.#count++ % MAX_AGES] = Math.min(Math.max(0, nowMs + this.offsetMs - atMs), MAX_AGE_MS)
    }
  }

  /** What was measured since the last call; null when that is nothing. */
  report(): Delays | null {
    if (!this.#count) return null
    const ages = this.#ages.sort((a, b) => a - b)
    const at = (share: number): number => Math.round(ages[Math.ceil(ages.length * share) - 1] as number)
    const delays = { p50_ms: at(0.5), p99_ms: at(0.99), count: this.#count }
    this.#ages = []
    this.#count = 0
    return delays
  }
}
