/** Data to GeoJSON features, and the smallest change between two sets of them. Pure. */
import type { Feature, Point } from 'geojson'
import { isOpen } from '../api/lifecycle'
import type { Device } from '../api/types'
import type { DeviceState, Incident, Severity } from '../feed/types'
import { SEVERITIES } from '../queue/order'
import { ABNORMAL, deviceLook } from './congestion'

export type PointFeature = Feature<Point, Record<string, string | number | boolean>> & {
  properties: { id: string }
}

export interface Diff {
  remove: string[]
  add: PointFeature[]
}

const RING_STEP_PX = 30
const RING_FIRST = 6
/** Places around one point: the middle and three rings. More incidents than that at one point lie together. */
export const SLOTS = 37

/** Pixel offset of the n-th symbol at one place: the first in the middle, the others in rings around it. */
export function fanOut(n: number): [number, number] {
  if (n === 0) return [0, 0]
  let ring = 1
  let before = 1
  while (n >= before + RING_FIRST * ring) before += RING_FIRST * ring++
  const angle = (2 * Math.PI * (n - before)) / (RING_FIRST * ring) - Math.PI / 2
  return [Math.round(Math.cos(angle) * RING_STEP_PX * ring), Math.round(Math.sin(angle) * RING_STEP_PX * ring)]
}

/** Worst first and unacknowledged before acknowledged, as the queue has it: the highest stands for a group. */
export function symbolOrder(severity: Severity, unacked: boolean): number {
  return 2 * (SEVERITIES.length - SEVERITIES.indexOf(severity)) + (unacked ? 1 : 0)
}

export function symbolIcon(severity: Severity, unacked: boolean, cleared: boolean): string {
  return `inc-${severity}-${unacked ? 'new' : 'held'}${cleared ? '-past' : ''}`
}

/** Open incidents as symbols; several at one place stand around it instead of upon each other. */
export function incidentFeatures(
  incidents: Incident[],
  placeOf: (incident: Incident) => [number, number] | null,
): PointFeature[] {
  const taken = new Map<string, number>()
  const features: PointFeature[] = []
  for (const incident of incidents) {
    if (!isOpen(incident.handling)) continue
    const place = placeOf(incident)
    if (!place) continue
    const spot = `${place[0].toFixed(4)},${place[1].toFixed(4)}`
    const n = taken.get(spot) ?? 0
    taken.set(spot, n + 1)
    const unacked = incident.handling === 'new'
    features.push({
      type: 'Feature',
      geometry: { type: 'Point', coordinates: place },
      properties: {
        id: incident.id,
        icon: symbolIcon(incident.severity, unacked, incident.condition === 'cleared'),
        order: symbolOrder(incident.severity, unacked),
        slot: Math.min(n, SLOTS - 1),
        // Numbers, because a group adds them up.
        pulse: unacked && incident.severity === 'critical' && incident.condition === 'active' ? 1 : 0,
        cleared: incident.condition === 'cleared' ? 1 : 0,
      },
    })
  }
  return features
}

export function deviceFeatures(
  devices: Iterable<Device>,
  stateOf: (id: string) => DeviceState | undefined,
  nowMs: number,
  ttlMs: number,
): PointFeature[] {
  const features: PointFeature[] = []
  for (const { id, kind, lon, lat, disabled } of devices) {
    if ((kind !== 'camera' && kind !== 'detector') || lon == null || lat == null) continue
    const state = disabled ? undefined : stateOf(id)
    const look = deviceLook(kind, state, nowMs, ttlMs)
    features.push({
      type: 'Feature',
      // One that moves is where it last said.
      geometry: { type: 'Point', coordinates: state ? [state.lon, state.lat] : [lon, lat] },
      properties: { id, look, bad: ABNORMAL.has(look) ? 1 : 0 },
    })
  }
  return features
}

/** What changed since `known` (id → signature), which is brought up to date; null when nothing did. */
export function diffFeatures(known: Map<string, string>, features: PointFeature[]): Diff | null {
  const diff: Diff = { remove: [], add: [] }
  const present = new Set<string>()
  for (const feature of features) {
    const { id } = feature.properties
    const signature = JSON.stringify([feature.geometry.coordinates, feature.properties])
    present.add(id)
    const before = known.get(id)
    if (before === signature) continue
    if (before !== undefined) diff.remove.push(id)
    diff.add.push(feature)
    known.set(id, signature)
  }
  for (const id of [...known.keys()]) {
    if (present.has(id)) continue
    known.delete(id)
    diff.remove.push(id)
  }
  return diff.add.length || diff.remove.length ? diff : null
}
