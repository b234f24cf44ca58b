/** Which clock of an incident runs, and how it stands. */
import { isOpen } from '../api/lifecycle'
import type { Incident } from '../feed/types'

export interface RunningClock {
  kind: 'ack' | 'resolve'
  /** Milliseconds left; negative once overdue. */
  leftMs: number
  /** Share of the time allowed that is used up, 0 to 1. */
  used: number
}

/** The clock that asks for the next step: acknowledgement first, then resolution; null when none runs. */
export function runningClock(incident: Incident, nowMs: number): RunningClock | null {
  if (!isOpen(incident.handling)) return null
  const kind = incident.handling === 'new' && incident.ack_due ? 'ack' : 'resolve'
  const due = kind === 'ack' ? incident.ack_due : incident.resolve_due
  return due ? clockAt(kind, incident, Date.parse(due), nowMs) : null
}

function clockAt(kind: 'ack' | 'resolve', incident: Incident, dueMs: number, nowMs: number): RunningClock {
  const allowed = Math.max(1, dueMs - Date.parse(incident.detected))
  const leftMs = dueMs - nowMs
  return { kind, leftMs, used: Math.min(1, Math.max(0, 1 - leftMs / allowed)) }
}
