/** Texts of rules carry device ids and ward codes; people know both by their names. */

const DEVICE_ID = /[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)+/g
const WARD_CODE = /(phường, xã|ward) (\d{5})\b/gi

/** `text` with every id that `nameOf` knows, and every ward code that `wardOf` knows, replaced by its name. */
export function withNames(
  text: string,
  nameOf: (id: string) => string | undefined,
  wardOf: (code: string) => string | undefined,
): string {
  return text
    .replace(DEVICE_ID, (id) => nameOf(id) ?? id)
    .replace(WARD_CODE, (all, _rank: string, code: string) => wardOf(code) ?? all)
}

/** `text` without the device it happened at, for places that name the device anyway. */
export function withoutSource(text: string, source: string | null): string {
  if (!source || !text.includes(source)) return text
  const at = text.indexOf(source)
  const before = text.slice(0, at).replace(/\s*(tại|ở|at|in)?\s*$/u, '')
  return `${before}${text.slice(at + source.length)}`.trim()
}
