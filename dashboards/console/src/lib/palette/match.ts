/** What a command palette finds for some words: without diacritics, the nearest first. Pure. */
import { fold } from '../queue/text'

export interface Findable {
  id: string
  label: string
  /** Further words that find it. */
  words?: string
}

export const MOST_FOUND = 40

/** Smaller is nearer; null: not all words are in it. */
function distance(label: string, all: string, words: readonly string[]): number | null {
  let sum = 0
  for (const word of words) {
    const at = label.indexOf(word)
    if (at === 0) continue
    if (at > 0) sum += label[at - 1] === ' ' ? 1 : 2
    else if (all.includes(word)) sum += 3
    else return null
  }
  return sum
}

/** The items that hold every word of `query`, nearest first and otherwise in the order given, at most `MOST_FOUND`. */
export function find<T extends Findable>(items: readonly T[], query: string): T[] {
  const words = fold(query).split(/\s+/).filter(Boolean)
  if (!words.length) return items.slice(0, MOST_FOUND)
  const found: { item: T; far: number }[] = []
  for (const item of items) {
    const label = fold(item.label)
    const far = distance(label, `${label} ${fold(item.words ?? '')}`, words)
    if (far !== null) found.push({ item, far })
  }
  return found.sort((a, b) => a.far - b.far).slice(0, MOST_FOUND).map(({ item }) => item)
}
