/** What the person looks at: filter and selection, both in the address bar, so that a link shows the same. */
import { NO_FILTER, readFilter, writeFilter, type QueueFilter } from '../queue/filter'

export type Selection = { kind: 'incident' | 'device'; id: string }

function readSelection(params: URLSearchParams): Selection | null {
  const incident = params.get('incident')
  if (incident) return { kind: 'incident', id: incident }
  const device = params.get('device')
  return device ? { kind: 'device', id: device } : null
}

class View {
  filter = $state.raw<QueueFilter>(readFilter(new URLSearchParams(location.search)))
  selection = $state.raw<Selection | null>(readSelection(new URLSearchParams(location.search)))
  /** Row the keyboard stands on. */
  cursor = $state<string | null>(null)
  /** Where the map was last asked to fly. */
  flight = $state.raw<[number, number] | null>(null)

  flyTo(place: [number, number]): void {
    this.flight = [...place]
  }

  setFilter(change: Partial<QueueFilter>): void {
    this.filter = { ...this.filter, ...change }
    this.#save()
  }

  clearFilter(): void {
    this.setFilter(NO_FILTER)
  }

  select(selection: Selection | null): void {
    this.selection = selection
    if (selection?.kind === 'incident') this.cursor = selection.id
    this.#save()
  }

  /** The incident that keys act on: the open one, else the one under the keyboard cursor. */
  get target(): string | null {
    return this.selection?.kind === 'incident' ? this.selection.id : this.cursor
  }

  #save(): void {
    const params = new URLSearchParams(location.search)
    writeFilter(this.filter, params)
    params.delete('incident')
    params.delete('device')
    if (this.selection) params.set(this.selection.kind, this.selection.id)
    const query = params.toString()
    history.replaceState(null, '', query ? `?${query}` : location.pathname)
  }
}

export const view = new View()
