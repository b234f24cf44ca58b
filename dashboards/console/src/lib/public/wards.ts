/** Wards by the names people know them by: those of today, and those of before 1 July 2025. Pure. */
import type { Text } from '../feed/types'
import { fold } from '../queue/text'

/** What a ward took over, by its code: names apart by semicolons. */
export type Former = Record<string, string>

/** Fewer rows than this are read faster than they are searched. */
export const SEARCHED_FROM = 8

export const namesOf = (former: string | undefined): string[] => (former ?? '').split(';').map((name) => name.trim()).filter(Boolean)

/** Codes of the wards whose present or former name holds `query` from the beginning of a word on, without diacritics. */
export function wardsNamed(query: string, wards: Record<string, Text>, former: Former): string[] {
  const asked = ` ${fold(query.trim())}`
  return Object.keys(wards).filter((code) => fold(` ${wards[code]?.vi}; ${wards[code]?.en}; ${former[code] ?? ''}`).includes(asked))
}

/** The first former name that an address speaks of, and the wards it belongs to now; null for a name that is also one of today. */
export function formerIn(address: string, wards: Record<string, Text>, former: Former): { name: string; codes: string[] } | null {
  const text = ` ${fold(address).replace(/[^\p{L}\d]+/gu, ' ')} `
  const today = new Set(Object.values(wards).map(({ vi }) => fold(vi)))
  const has = (name: string): boolean => !today.has(fold(name)) && text.includes(` ${fold(name)} `)
  const name = Object.values(former).flatMap(namesOf).find(has)
  if (!name) return null
  return { name, codes: Object.keys(former).filter((code) => namesOf(former[code]).some((each) => fold(each) === fold(name))) }
}
