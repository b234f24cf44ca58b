/**
 * Which commands the console offers: the server's state machine (`ioc/incidents/lifecycle.py`) and the roles'
 * rights (`ioc/api/security.py`), as one table each. The server decides; this only keeps buttons away that it
 * would refuse.
 */
import type { Handling } from '../feed/types'
import type { Op, Role } from './types'

const OPEN: Handling[] = ['new', 'acknowledged', 'assigned', 'in_progress']

const LEGAL: Record<Op, Handling[]> = {
  acknowledge: ['new'],
  assign: OPEN,
  start: ['new', 'acknowledged', 'assigned'],
  resolve: OPEN,
  close: ['resolved'],
  reject: ['new', 'acknowledged', 'assigned'],
  reopen: ['resolved', 'closed', 'rejected'],
  comment: [...OPEN, 'resolved', 'closed', 'rejected'],
}

const ALL: Op[] = ['acknowledge', 'assign', 'start', 'resolve', 'close', 'reject', 'reopen', 'comment']

const RIGHTS: Record<Role, Op[]> = {
  admin: ALL,
  supervisor: ALL,
  operator: ALL,
  ward: ['acknowledge', 'assign', 'start', 'resolve', 'comment'],
  engineer: ['comment'],
  leader: ['comment'],
}

/** The step a person usually takes next; it gets the filled button. */
const NEXT: Partial<Record<Handling, Op>> = {
  new: 'acknowledge',
  acknowledged: 'assign',
  assigned: 'start',
  in_progress: 'resolve',
  resolved: 'close',
}

export const NOTE_REQUIRED: ReadonlySet<Op> = new Set(['resolve', 'reject', 'reopen', 'comment'])

export function isOpen(handling: Handling): boolean {
  return OPEN.includes(handling)
}

/** Operations `role` may use on an incident in `handling`, in the order of their buttons. */
export function legalOps(handling: Handling, role: Role): Op[] {
  return ALL.filter((op) => LEGAL[op].includes(handling) && RIGHTS[role]?.includes(op))
}

export function nextOp(handling: Handling): Op | null {
  return NEXT[handling] ?? null
}
