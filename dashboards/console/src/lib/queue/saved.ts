/** Filters a person has given a name to. Pure: a list in, a list or the reason against it out. */
import { isFiltered, readFilter, writeFilter, type QueueFilter } from './filter'
import { fold } from './text'

export const MOST_SAVED = 20
export const LONGEST_NAME = 40

/** `query` is the filter as the address bar has it, so that a newer console reads what an older one kept. */
export interface SavedFilter {
  name: string
  query: string
}

export type SaveError = 'empty' | 'long' | 'taken' | 'full' | 'unfiltered'

export function queryOf(filter: QueueFilter): string {
  const params = new URLSearchParams()
  writeFilter(filter, params)
  return params.toString()
}

export function filterOf(saved: SavedFilter): QueueFilter {
  return readFilter(new URLSearchParams(saved.query))
}

/** What storage held: anything that is not a list of filters in bounds is left out. */
export function readSaved(text: string | null): SavedFilter[] {
  let found: unknown
  try {
    found = JSON.parse(text ?? '[]')
  } catch {
    return []
  }
  if (!Array.isArray(found)) return []
  const saved: SavedFilter[] = []
  for (const each of found as Partial<SavedFilter>[]) {
    if (typeof each?.name !== 'string' || typeof each.query !== 'string') continue
    if (nameError(saved, each.name) === null && saved.length < MOST_SAVED) saved.push({ name: each.name, query: each.query })
  }
  return saved
}

/** Names differ by more than case and diacritics: the palette finds them without either. */
function nameError(saved: SavedFilter[], name: string): SaveError | null {
  if (!name.trim()) return 'empty'
  if (name.trim().length > LONGEST_NAME) return 'long'
  return saved.some((each) => fold(each.name) === fold(name.trim())) ? 'taken' : null
}

/** Append `filter` under `name`. */
export function save(saved: SavedFilter[], name: string, filter: QueueFilter): SavedFilter[] | SaveError {
  if (!isFiltered(filter)) return 'unfiltered'
  if (saved.length >= MOST_SAVED) return 'full'
  return nameError(saved, name) ?? [...saved, { name: name.trim(), query: queryOf(filter) }]
}

export function rename(saved: SavedFilter[], from: string, to: string): SavedFilter[] | SaveError {
  const others = saved.filter(({ name }) => name !== from)
  return nameError(others, to) ?? saved.map((each) => (each.name === from ? { ...each, name: to.trim() } : each))
}
