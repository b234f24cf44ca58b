/** Sends commands. The screen changes only when the server has answered: nothing here is optimistic. */
import { api, ApiError } from '../api/client'
import { EXTRA, legalOps, NOTE_REQUIRED, sameToAPerson } from '../api/lifecycle'
import type { Command, Op } from '../api/types'
import type { Incident } from '../feed/types'
import { live } from './live.svelte'
import { replay } from './replay.svelte'
import { session } from './session.svelte'
import { uuid } from './uuid'

export type Outcome =
  | { kind: 'sending' }
  | { kind: 'done' }
  | { kind: 'conflict'; current: Incident }
  | { kind: 'refused'; detail: string; rule?: string | undefined }
  | { kind: 'unreachable' }

export interface Attempt {
  incident: string
  command: Command
  outcome: Outcome
}

/** What came of so many is kept, the newest first. */
const MOST_ATTEMPTS = 20

class Commands {
  #attempts = $state.raw<readonly Attempt[]>([])
  /** The operation whose form is open, and for which incident. */
  form = $state.raw<{ incident: string; op: Op } | null>(null)

  allowed(incident: Incident): Op[] {
    // What is shown of the past is not what a command would change.
    return session.me && !replay.active ? legalOps(incident, session.me.role) : []
  }

  /** A button or a key was pressed: open the form if the operation asks for words, else send. */
  begin(incident: Incident, op: Op): void {
    if (!this.allowed(incident).includes(op) || this.#isSending(incident.id)) return
    if (EXTRA[op] || NOTE_REQUIRED.has(op)) {
      this.#forget(incident.id)
      this.form = { incident: incident.id, op }
    } else void this.send(incident, op, {})
  }

  async send(incident: Incident, op: Op, args: Command['args']): Promise<void> {
    if (this.#isSending(incident.id)) return
    const command: Command = { op, expect_rev: incident.rev, idem: uuid(), args }
    await this.#post(incident, command, true)
  }

  /** What came of the last command to an incident. */
  of(incident: string): Attempt | null {
    return this.#attempts.find((each) => each.incident === incident) ?? null
  }

  /** Send the last command to an incident again with the same key: if it did arrive, it takes effect only once. */
  async retry(incident: Incident): Promise<void> {
    const last = this.of(incident.id)
    if (last?.outcome.kind === 'unreachable') await this.#post(incident, last.command, true)
  }

  /** Close the form, and say no more of what came of it. */
  dismiss(): void {
    if (this.form) this.#forget(this.form.incident)
    this.form = null
  }

  async #post(seen: Incident, command: Command, mayRepeat: boolean): Promise<void> {
    const attempt = (outcome: Outcome): void => {
      const others = this.#attempts.filter((each) => each.incident !== seen.id && each.outcome.kind !== 'done')
      this.#attempts = [{ incident: seen.id, command, outcome }, ...others].slice(0, MOST_ATTEMPTS)
    }
    attempt({ kind: 'sending' })
    try {
      const now = await api.command(seen.id, command)
      const wards = session.me?.wards
      // Handed over to a ward that is not ours: the feed takes it away, and may have done so already.
      if (!wards || (now.ward && wards.includes(now.ward))) live.book.put(now)
      this.#close(seen.id)
      attempt({ kind: 'done' })
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError(0, {})
      const current = failure.problem.current
      if (failure.status === 409 && current) {
        live.book.put(current)
        if (mayRepeat && sameToAPerson(seen, current)) {
          const again = { ...command, expect_rev: current.rev, idem: uuid() }
          return this.#post(current, again, false)
        }
        this.#close(seen.id)
        attempt({ kind: 'conflict', current })
      } else if (failure.status === 401) {
        session.leave(true)
      } else if (failure.status === 0 || failure.status >= 500) {
        attempt({ kind: 'unreachable' })
      } else {
        const told = failure.problem.errors?.[0]
        attempt({ kind: 'refused', detail: told?.detail ?? failure.message, rule: told?.rule })
      }
    }
  }

  /** Another incident's form may be open by the time an answer comes: what is written there stays. */
  #close(incident: string): void {
    if (this.form?.incident === incident) this.form = null
  }

  #forget(incident: string): void {
    this.#attempts = this.#attempts.filter((each) => each.incident !== incident)
  }

  #isSending(incident: string): boolean {
    return this.of(incident)?.outcome.kind === 'sending'
  }
}

export const commands = new Commands()
