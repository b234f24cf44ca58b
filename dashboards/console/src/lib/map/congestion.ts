/** What a device looks like on the map: one word per device, so that the map changes only when the word does. */
import type { Device } from '../api/types'
import type { DeviceState } from '../feed/types'

export type Level = 'free' | 'slow' | 'heavy' | 'jam'
export type DeviceLook =
  'det-free' | 'det-slow' | 'det-heavy' | 'det-jam' | 'det-stale' | 'cam-on' | 'cam-alarm' | 'cam-off' | 'cam-stale'

/** Upper speed and lower occupancy limits per level, worst first; crossing both or a clear one decides. */
const LIMITS: [Level, speedBelow: number, occupancyAbove: number][] = [
  ['jam', 12, 0.45],
  ['heavy', 22, 0.3],
  ['slow', 35, 0.18],
]

/** Congestion from speed and occupancy: the worse of the two, but a standstill needs vehicles to stand. */
export function congestion(state: Pick<DeviceState, 'speed_kmh' | 'occupancy'>): Level | null {
  const { speed_kmh: speed, occupancy } = state
  if (typeof speed !== 'number' && typeof occupancy !== 'number') return null
  for (const [level, speedBelow, occupancyAbove] of LIMITS) {
    const slow = typeof speed === 'number' && speed < speedBelow && (occupancy ?? 1) > 0.05
    const full = typeof occupancy === 'number' && occupancy > occupancyAbove
    if (slow || full) return level
  }
  return 'free'
}

export function isStale(state: DeviceState | undefined, nowMs: number, ttlMs: number): boolean {
  return !state || nowMs - Date.parse(state.t) > ttlMs
}

export function deviceLook(
  kind: Device['kind'],
  state: DeviceState | undefined,
  nowMs: number,
  ttlMs: number,
): DeviceLook {
  const stale = isStale(state, nowMs, ttlMs)
  if (kind === 'camera') {
    if (!state || stale) return 'cam-stale'
    if (state.online === false) return 'cam-off'
    return state.alarm ? 'cam-alarm' : 'cam-on'
  }
  const level = stale || !state ? null : congestion(state)
  return level ? `det-${level}` : 'det-stale'
}

/** Looks that ask for attention; a group of devices shows how many it holds. */
export const ABNORMAL: ReadonlySet<DeviceLook> = new Set(['det-heavy', 'det-jam', 'cam-alarm', 'cam-off'])
