/** The one clock of a replay (pure): where in a range it stands, whether it runs, and how fast. Reads no clock itself. */

export const SPEEDS = [1, 2, 5, 10, 30, 60, 120] as const
export const MAX_SPEED = 120
/** Minutes a range may have. */
export const RANGES = [15, 30, 60, 180, 360, 720, 1440] as const
const MINUTE_MS = 60_000

export interface ReplayClock {
  fromMs: number
  toMs: number
  atMs: number
  playing: boolean
  speed: number
}

const within = (low: number, value: number, high: number): number => Math.min(high, Math.max(low, value))

export function validSpeed(speed: number): number {
  return Number.isFinite(speed) ? within(1, Math.round(speed), MAX_SPEED) : 1
}

/** A range of `minutes` that holds `atMs` in its middle, but never reaches beyond `nowMs`. */
export function around(atMs: number, minutes: number, nowMs: number, speed: number): ReplayClock {
  const span = minutes * MINUTE_MS
  const at = Math.min(atMs, nowMs)
  const toMs = Math.min(at + span / 2, nowMs)
  return { fromMs: toMs - span, toMs, atMs: at, playing: false, speed: validSpeed(speed) }
}

/** `elapsedMs` have passed for the person. The clock does not pass `readyMs`, up to which all layers are loaded. */
export function advance(clock: ReplayClock, elapsedMs: number, readyMs: number): ReplayClock {
  if (!clock.playing) return clock
  const wanted = clock.atMs + Math.max(0, elapsedMs) * clock.speed
  const atMs = Math.max(clock.atMs, Math.min(wanted, readyMs, clock.toMs))
  return { ...clock, atMs, playing: atMs < clock.toMs }
}

export function seek(clock: ReplayClock, atMs: number): ReplayClock {
  return { ...clock, atMs: within(clock.fromMs, atMs, clock.toMs) }
}

/** At the end of the range, playing begins anew. */
export function toggle(clock: ReplayClock): ReplayClock {
  if (clock.playing) return { ...clock, playing: false }
  return { ...clock, playing: true, atMs: clock.atMs >= clock.toMs ? clock.fromMs : clock.atMs }
}

/** `replay` and `speed` and `range` of an address, or null when it names no moment. */
export function readAddress(params: URLSearchParams): { atMs: number; speed: number; minutes: number } | null {
  const atMs = Date.parse(params.get('replay') ?? '')
  if (!Number.isFinite(atMs)) return null
  const minutes = Number(params.get('range'))
  return { atMs, speed: validSpeed(Number(params.get('speed') ?? 1)), minutes: RANGES.find((known) => known === minutes) ?? 60 }
}

/** Write the same into `params`; null takes it away. To the second: a link need not be finer. */
export function writeAddress(clock: ReplayClock | null, params: URLSearchParams): void {
  for (const name of ['replay', 'speed', 'range']) params.delete(name)
  if (!clock) return
  params.set('replay', new Date(Math.floor(clock.atMs / 1000) * 1000).toISOString().replace('.000', ''))
  params.set('speed', String(clock.speed))
  params.set('range', String(Math.round((clock.toMs - clock.fromMs) / MINUTE_MS)))
}

const ZONE_MS = 7 * 3_600_000

/** A moment as a `datetime-local` field shows it, in Vietnamese time; Vietnam has no summer time. */
export function fieldOf(ms: number): string {
  return new Date(ms + ZONE_MS).toISOString().slice(0, 19)
}

export function momentOf(field: string): number {
  return Date.parse(`${field}Z`) - ZONE_MS
}
