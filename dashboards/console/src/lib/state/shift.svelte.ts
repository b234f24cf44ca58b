/** The running shift and its hand-over, followed while the dialog is open. Nothing here is optimistic. */
import { api, ApiError } from '../api/client'
import type { CurrentShift, Shift, ShiftItem, ShiftOp } from '../api/types'
import { uuid } from './uuid'

/** What arises is on the list within two seconds; the dialog follows as fast. */
const RELOAD_MS = 2_000

export type ShiftOutcome = { kind: 'passed' | 'conflict' | 'unreachable' } | { kind: 'refused'; detail: string }

class Shifts {
  current = $state.raw<CurrentShift | null>(null)
  failed = $state(false)
  busy = $state(false)
  outcome = $state.raw<ShiftOutcome | null>(null)
  past = $state.raw<Shift[]>([])

  /** Load now and every two seconds; returns the undo. */
  follow(): () => void {
    this.outcome = null
    const load = (): void => void this.#load()
    load()
    void this.#loadPast()
    const timer = setInterval(load, RELOAD_MS)
    return () => clearInterval(timer)
  }

  async begin(): Promise<void> {
    await this.#send(() => api.beginShift(uuid()))
  }

  async act(op: ShiftOp, args: { items?: string[]; note?: string } = {}): Promise<boolean> {
    const shift = this.current?.shift
    if (!shift) return false
    const done = await this.#send(() => api.handOver(shift.id, { op, expect_rev: shift.rev, idem: uuid(), args }))
    if (done && op === 'pass') {
      this.outcome = { kind: 'passed' }
      void this.#loadPast()
    }
    return done
  }

  async #send(call: () => Promise<CurrentShift>): Promise<boolean> {
    if (this.busy) return false
    this.busy = true
    this.outcome = null
    try {
      this.current = await call()
      return true
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError(0, {})
      if (failure.status === 409) {
        this.outcome = { kind: 'conflict' }
        await this.#load()
      } else if (failure.status === 0 || failure.status >= 500) this.outcome = { kind: 'unreachable' }
      else this.outcome = { kind: 'refused', detail: failure.problem.errors?.[0]?.detail ?? failure.message }
      return false
    } finally {
      this.busy = false
    }
  }

  async #load(): Promise<void> {
    try {
      const found = await api.shift()
      const known = this.current?.shift
      const { shift } = found
      // An answer that a command has overtaken is old.
      if (!known || (shift && (shift.id > known.id || (shift.id === known.id && shift.rev >= known.rev)))) this.current = found
      this.failed = false
    } catch {
      this.failed = true
    }
  }

  async #loadPast(): Promise<void> {
    try {
      this.past = (await api.shifts()).filter((shift) => shift.state === 'passed')
    } catch {
      // The list of reports is not worth a message of its own; it comes with the next opening.
    }
  }
}

export const isUndecided = (item: ShiftItem): boolean => item.verdict === 'open' && !item.gone

export const shifts = new Shifts()
