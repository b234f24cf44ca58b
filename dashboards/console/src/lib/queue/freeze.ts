/** A list that never jumps under the cursor: while held, rows keep their places and new ones wait. */

export interface Shown {
  ids: string[]
  /** Ids that wait behind the pill. */
  fresh: string[]
}

/**
 * The rows to show now.
 *
 * Not held: the live order. Held: the rows already shown stay where they are, even those that have left
 * (the caller draws them as gone); what is new waits in `fresh`.
 */
export function hold(shown: readonly string[], live: readonly string[], held: boolean): Shown {
  if (!held || shown.length === 0) return { ids: [...live], fresh: [] }
  const known = new Set(shown)
  return { ids: [...shown], fresh: live.filter((id) => !known.has(id)) }
}

/** The part of a list of equal rows that is worth drawing, with some rows around it. */
export function windowOf(
  scrollTop: number,
  height: number,
  rowHeight: number,
  count: number,
  overscan = 6,
): { from: number; to: number } {
  const from = Math.max(0, Math.floor(scrollTop / rowHeight) - overscan)
  const to = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + overscan)
  return { from: Math.min(from, to), to }
}
