/**
 * The saved filters of whoever is signed in, kept in this browser.
 *
 * Not at the service: a filter is a habit of a desk, no record of the city's. Another machine gets it by its address.
 */
import type { QueueFilter } from '../queue/filter'
import { filterOf, queryOf, readSaved, rename, save, type SavedFilter, type SaveError } from '../queue/saved'
import { session } from './session.svelte'
import { view } from './view.svelte'

class Saved {
  #key = $derived(`ioc.filters.${session.me?.user ?? ''}`)
  /** Raised when storage has changed, here or in another window. */
  #version = $state(0)
  /** What storage would not keep lasts as long as the page. */
  #unkept = $state.raw<SavedFilter[] | null>(null)
  list = $derived.by(() => {
    void this.#version
    return this.#unkept ?? this.#read()
  })

  /** Follow other windows of this browser. Returns the undo. */
  start(): () => void {
    const abort = new AbortController()
    addEventListener('storage', ({ key }) => key === this.#key && (this.#version += 1), { signal: abort.signal })
    return () => {
      abort.abort()
      this.#unkept = null
    }
  }

  /** The saved filter that the queue shows now. */
  current(filter: QueueFilter): SavedFilter | undefined {
    const query = queryOf(filter)
    return this.list.find((each) => each.query === query)
  }

  apply(saved: SavedFilter): void {
    view.setFilter(filterOf(saved))
  }

  /** Returns why not, or null when it is kept. */
  save(name: string, filter: QueueFilter): SaveError | null {
    return this.#take(save(this.list, name, filter))
  }

  rename(from: string, to: string): SaveError | null {
    return this.#take(rename(this.list, from, to))
  }

  remove(name: string): void {
    this.#take(this.list.filter((each) => each.name !== name))
  }

  #take(next: SavedFilter[] | SaveError): SaveError | null {
    if (typeof next === 'string') return next
    try {
      localStorage.setItem(this.#key, JSON.stringify(next))
      this.#unkept = null
    } catch {
      this.#unkept = next
    }
    this.#version += 1
    return null
  }

  #read(): SavedFilter[] {
    try {
      return readSaved(localStorage.getItem(this.#key))
    } catch {
      return []
    }
  }
}

export const saved = new Saved()
