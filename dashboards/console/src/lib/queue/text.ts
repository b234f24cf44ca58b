/** Search that does not ask for diacritics: "tac hem" finds "Ùn tắc hẻm". */

const COMBINING = /\p{M}+/gu

export function fold(text: string): string {
  return text.normalize('NFD').replace(COMBINING, '').replace(/[đĐ]/g, 'd').toLowerCase()
}

/** True when every word of `query` (already folded) is somewhere in `text` (already folded). */
export function containsAll(text: string, query: string): boolean {
  return query.split(/\s+/).every((word) => text.includes(word))
}
