/** The checklist of the incident that is open, read once for all who show it, and the keys that act on it. */
import { api } from '../api/client'
import type { Procedure } from '../api/types'
import type { Incident } from '../feed/types'

class Procedures {
  shown = $state.raw<Procedure | null>(null)
  failed = $state(false)
  /** What the keys do; the checklist on the screen sets it. */
  keys: { press: (number: number) => void; next: () => void } | null = null

  /** The checklist of `incident`, once it is loaded. */
  of(incident: Incident): Procedure | null {
    const owner = incident.merged_into ?? incident.id
    return this.shown?.incident === owner ? this.shown : null
  }

  #asked = ''

  async load(incident: string): Promise<void> {
    if (this.#asked !== incident) this.failed = false
    this.#asked = incident
    try {
      const found = await api.procedure(incident)
      // Whoever looks at another incident by now is not shown this one's.
      if (this.#asked !== incident) return
      // Answers may overtake each other: an older state never replaces a newer one.
      if (this.shown?.incident !== found.incident || found.rev >= this.shown.rev) this.shown = found
      this.failed = false
    } catch {
      if (this.#asked === incident) this.failed = true
    }
  }
}

export const procedures = new Procedures()
