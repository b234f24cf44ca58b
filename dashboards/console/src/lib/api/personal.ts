/** Unmasking as the server allows it (`ioc/api/personal.py`, `ioc/api/security.py`); the server decides. */
import type { Role } from './types'

export const MASK = '•••'
export const MIN_REASON = 10

const MAY_PUBLISH: ReadonlySet<Role> = new Set(['operator', 'supervisor'])

/** Whether somebody may show a picture to the public. */
export function mayPublish(role: Role | undefined): boolean {
  return role !== undefined && MAY_PUBLISH.has(role)
}

const MAY_ANSWER: ReadonlySet<Role> = new Set(['operator', 'supervisor', 'ward', 'admin'])

/** Whether somebody answers citizens, hence sees what they told. */
export function mayAnswer(role: Role | undefined): boolean {
  return role !== undefined && MAY_ANSWER.has(role)
}

const MAY_UNMASK: ReadonlySet<Role> = new Set(['operator', 'supervisor', 'ward'])

export function mayUnmask(role: Role | undefined): boolean {
  return role !== undefined && MAY_UNMASK.has(role)
}
