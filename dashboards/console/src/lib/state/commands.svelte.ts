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

class Commands {
  last = $state.raw<Attempt | null>(null)
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
      this.last = null
      this.form = { incident: incident.id, op }
    } else void this.send(incident, op, {})
  }

  async send(incident: Incident, op: Op, args: Command['args']): Promise<void> {
    if (this.#isSending(incident.id)) return
    const command: Command = { op, expect_rev: incident.rev, idem: uuid(), args }
    await this.#post(incident, command, true)
  }

  /** Send the last command again with the same key: if it did arrive, it takes effect only once. */
  async retry(): Promise<void> {
    const last = this.last
    const incident = last && live.book.get(last.incident)
    if (last && incident && last.outcome.kind === 'unreachable') await this.#post(incident, last.command, true)
  }

  dismiss(): void {
    this.last = null
    this.form = null
  }

  async #post(seen: Incident, command: Command, mayRepeat: boolean): Promise<void> {
    const attempt = (outcome: Outcome): void => {
      this.last = { incident: seen.id, command, outcome }
    }
    attempt({ kind: 'sending' })
    try {
      const now = await api.command(seen.id, command)
      const wards = session.me?.wards
      // Handed over to a ward that is not ours: the feed takes it away, and may have done so already.
      if (!wards || (now.ward && wards.includes(now.ward))) live.book.put(now)
      this.form = null
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
        this.form = null
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

  #isSending(incident: string): boolean {
    return this.last?.incident === incident && this.last.outcome.kind === 'sending'
  }
}

export const commands = new Commands()
