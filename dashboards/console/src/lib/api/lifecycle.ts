/**
 * Which commands the console offers: the server's state machine (`ioc/incidents/commands.py`) and the roles'
 * rights (`ioc/api/security.py`), as one table each. The server decides; this only keeps buttons away that it
 * would refuse.
 */
import type { Handling, Incident, PauseReason } from '../feed/types'
import type { Op, Role } from './types'

const OPEN: Handling[] = ['new', 'acknowledged', 'assigned', 'in_progress']
const BEFORE_WORK: Handling[] = ['new', 'acknowledged', 'assigned']
const FINISHED: Handling[] = ['resolved', 'closed', 'rejected']

/** In the order of their buttons. */
const LEGAL: Record<Op, Handling[]> = {
  accept: ['new'],
  decline: ['new'],
  acknowledge: ['new'],
  assign: OPEN,
  start: BEFORE_WORK,
  resolve: OPEN,
  close: ['resolved'],
  reopen: FINISHED,
  comment: [...OPEN, ...FINISHED, 'merged'],
  unmerge: ['merged'],
  reject: BEFORE_WORK,
  reroute: OPEN,
  involve: OPEN,
  merge: OPEN,
  shelve: OPEN,
  unshelve: OPEN,
  pause: OPEN,
  resume: OPEN,
  step: OPEN,
  skip: OPEN,
}
const ALL = Object.keys(LEGAL) as Op[]

/** What else has to be true of the incident. */
const ONLY_IF: Partial<Record<Op, (incident: Incident) => boolean>> = {
  accept: (incident) => incident.handed_from !== null,
  decline: (incident) => incident.handed_from !== null,
  acknowledge: (incident) => incident.handed_from === null,
  merge: (incident) => incident.members === 0,
  shelve: (incident) => incident.shelved_until === null,
  unshelve: (incident) => incident.shelved_until !== null,
  pause: (incident) => incident.paused === null,
  resume: (incident) => incident.paused !== null,
  step: (incident) => Boolean(incident.checklist),
  skip: (incident) => Boolean(incident.checklist),
}

const RIGHTS: Record<Role, Op[]> = {
  admin: ALL,
  supervisor: ALL,
  operator: ALL,
  ward: ['acknowledge', 'assign', 'start', 'resolve', 'comment', 'step', 'skip', 'reroute', 'accept', 'decline'],
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

/** Done in the checklist, not by buttons of the incident. */
export const IN_CHECKLIST: ReadonlySet<Op> = new Set<Op>(['step', 'skip'])

/** Who may end an incident while required steps of its procedure are open, and lead a shift. */
export function supervises(role: Role | undefined): boolean {
  return role === 'supervisor' || role === 'admin'
}

/** Who may see shifts and the reports of their hand-over. */
export function seesShifts(role: Role | undefined): boolean {
  return role !== undefined && role !== 'ward' && role !== 'engineer'
}

/** Keys of commands; any other is asked for by its button or the palette. */
export const OP_KEYS: Partial<Record<Op, string>> = { acknowledge: 'a', assign: 'd', start: 's', resolve: 'r', shelve: 'S' }

/** Rarely needed: behind one button, so that the usual ones are found at once. */
export const RARE: ReadonlySet<Op> = new Set<Op>(['reject', 'reroute', 'involve', 'merge', 'shelve', 'pause'])

export const NOTE_REQUIRED: ReadonlySet<Op> = new Set<Op>([
  'resolve', 'reject', 'reopen', 'comment', 'reroute', 'decline', 'shelve', 'pause', 'involve',
])

/** What a command's form asks for besides its note. */
export type Extra = 'assignee' | 'ward' | 'into' | 'until' | 'reason'
export const EXTRA: Partial<Record<Op, Extra>> = {
  assign: 'assignee', involve: 'assignee', reroute: 'ward', merge: 'into', shelve: 'until', pause: 'reason',
}

export const PAUSE_REASONS: PauseReason[] = ['waiting_for_citizen', 'waiting_for_agency', 'force_majeure', 'waiting_for_parts']
/** How long one may shelve, in minutes; the server allows a day. */
export const SHELVE_MINUTES = [30, 60, 120, 240, 480, 1440]

export function isOpen(handling: Handling): boolean {
  return OPEN.includes(handling)
}

/** Operations `role` may use on an incident as it is. */
export function legalOps(incident: Incident, role: Role): Op[] {
  return ALL.filter((op) => LEGAL[op].includes(incident.handling) && RIGHTS[role]?.includes(op) && (ONLY_IF[op]?.(incident) ?? true))
}

export function nextOp(incident: Incident): Op | null {
  return incident.handed_from !== null && incident.handling === 'new' ? 'accept' : (NEXT[incident.handling] ?? null)
}

/**
 * A rule may add figures between the look and the click. When everything a person decides by is as they
 * saw it, that is no conflict, and the command is repeated once on the newer revision.
 */
export function sameToAPerson(seen: Incident, current: Incident): boolean {
  return (
    seen.handling === current.handling &&
    seen.severity === current.severity &&
    seen.condition === current.condition &&
    seen.assignee === current.assignee &&
    seen.note === current.note &&
    seen.ward === current.ward &&
    seen.shelved_until === current.shelved_until &&
    seen.paused === current.paused &&
    seen.checklist?.done === current.checklist?.done
  )
}

/** Who may change what is registered of devices, and who sees what of theirs was refused; the server says so too. */
export const changesDevices = (role: Role | undefined): boolean => role === 'engineer' || role === 'admin'
export const seesRefused = (role: Role | undefined): boolean => changesDevices(role) || role === 'supervisor'

/** Who may work on rules; the server says so too. */
export const changesRules = (role: Role | undefined): boolean => role === 'engineer' || role === 'admin'
