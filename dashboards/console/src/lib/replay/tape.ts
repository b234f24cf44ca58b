/** What was loaded of a range, and how everything was at any moment of it (pure). */
import type { DeviceState, Incident } from '../feed/types'

export interface Frame {
  at: string
  items: DeviceState[]
}

export interface Revision {
  at: string
  incident: Incident
}

/** One stretch of time with both layers: whole states and incidents at its start, and what changed until its end. */
export interface Stretch {
  fromMs: number
  toMs: number
  frames: Frame[]
  base: Incident[]
  changes: Revision[]
}

export interface Scene {
  incidents: Map<string, Incident>
  states: Map<string, DeviceState>
}

/** Both layers as they were at `atMs`, a moment of the stretch. */
export function sceneAt(stretch: Stretch, atMs: number): Scene {
  const states = new Map<string, DeviceState>()
  for (const frame of stretch.frames) {
    if (Date.parse(frame.at) > atMs) break
    for (const state of frame.items) states.set(state.id, state)
  }
  const incidents = new Map(stretch.base.map((incident) => [incident.id, incident]))
  // In order of commit, which the times may differ from by the length of a transaction.
  for (const { at, incident } of stretch.changes) {
    if (Date.parse(at) > atMs) continue
    const known = incidents.get(incident.id)
    if (!known || known.rev < incident.rev) incidents.set(incident.id, incident)
  }
  return { incidents, states }
}

/** Milliseconds of one stretch: a quarter of a minute of watching at this speed, a minute at least. */
export function stretchMs(speed: number): number {
  return Math.max(60_000, speed * 15_000)
}

/** Seconds between frames: as fine as the eye sees at this speed. */
export function stepS(speed: number): number {
  return Math.ceil(Math.max(stretchMs(speed) / 1000 / 180, speed / 2, 1))
}

/** Start of the stretch that holds `atMs`; stretches of one length lie side by side from the epoch. */
export function stretchStart(atMs: number, lengthMs: number): number {
  return Math.floor(atMs / lengthMs) * lengthMs
}
