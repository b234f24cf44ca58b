/**
 * What the feed has told us so far. Plain data with listeners; nothing here knows a socket or a screen.
 *
 * `(id, rev)` makes every repeat harmless: a revision we already know changes nothing, whichever way it
 * came (feed, snapshot or the answer to a command).
 */
import type { Change, DeviceState, Incident } from './types'

type Listener = () => void

class Observable {
  #listeners = new Set<Listener>()

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  protected notify(): void {
    for (const listener of this.#listeners) listener()
  }
}

export interface Applied {
  /** The incidents that were new to us. */
  added: Incident[]
  /** Some change was a patch of a revision that we do not hold: only a snapshot can tell what it made. */
  baseless: boolean
}

export class IncidentCollection extends Observable {
  #byId = new Map<string, Incident>()

  get size(): number {
    return this.#byId.size
  }

  get(id: string): Incident | undefined {
    return this.#byId.get(id)
  }

  values(): Incident[] {
    return [...this.#byId.values()]
  }

  /** Take a whole snapshot; within one epoch a revision we know to be newer is kept. */
  replace(incidents: Incident[], newEpoch: boolean): void {
    const next = new Map<string, Incident>()
    for (const incident of incidents) {
      const known = this.#byId.get(incident.id)
      next.set(incident.id, known && !newEpoch && known.rev > incident.rev ? known : incident)
    }
    this.#byId = next
    this.notify()
  }

  /** Apply changes in order. A patch without its base changes nothing: we never guess. */
  apply(changes: Change[]): Applied {
    const added: Incident[] = []
    let touched = false
    let baseless = false
    for (const { op, incident, rev } of changes) {
      const known = this.#byId.get(incident.id)
      if (op === 'del') {
        // What left our wards comes as its id alone.
        if (known && known.rev <= rev) touched = this.#byId.delete(incident.id) || touched
        continue
      }
      if (known && known.rev >= rev) continue
      if (op === 'patch') {
        if (known?.rev !== rev - 1) {
          baseless = true
          continue
        }
        this.#byId.set(incident.id, { ...known, ...incident })
      } else {
        if (!known) added.push(incident as Incident)
        this.#byId.set(incident.id, incident as Incident)
      }
      touched = true
    }
    if (touched) this.notify()
    return { added, baseless }
  }

  /** Take one incident from a REST answer. */
  put(incident: Incident): void {
    this.apply([{ o: 0, op: 'upd', rev: incident.rev, incident }])
  }

  clear(): void {
    this.#byId.clear()
    this.notify()
  }
}

export class StateCollection extends Observable {
  #byId = new Map<string, DeviceState>()
  conflated = 0

  get(id: string): DeviceState | undefined {
    return this.#byId.get(id)
  }

  get size(): number {
    return this.#byId.size
  }

  values(): IterableIterator<DeviceState> {
    return this.#byId.values()
  }

  apply(set: DeviceState[], del: string[], conflated: number): void {
    for (const state of set) this.#byId.set(state.id, state)
    for (const id of del) this.#byId.delete(id)
    this.conflated += conflated
    this.notify()
  }

  clear(): void {
    this.#byId.clear()
    this.conflated = 0
    this.notify()
  }
}
