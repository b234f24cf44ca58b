/**
 * How often a map may change when drawing it is slow. Pure.
 *
 * On a machine without a GPU one change takes most of a second to draw, and the page cannot be used meanwhile: after
 * each change it is left alone for as long as the drawing took.
 */

/** A map that moves is never done drawing; a change is given up on after this. */
export const LONGEST_MS = 2_000

export class Pace {
  #changedMs: number | null = null
  #restUntilMs = 0

  mayChange(nowMs: number): boolean {
    if (this.#changedMs !== null && nowMs - this.#changedMs > LONGEST_MS) this.drawn(nowMs)
    return this.#changedMs === null && nowMs >= this.#restUntilMs
  }

  changed(nowMs: number): void {
    this.#changedMs = nowMs
  }

  /** Nothing is left to draw. */
  drawn(nowMs: number): void {
    if (this.#changedMs === null) return
    this.#restUntilMs = nowMs + Math.min(nowMs - this.#changedMs, LONGEST_MS)
    this.#changedMs = null
  }
}
