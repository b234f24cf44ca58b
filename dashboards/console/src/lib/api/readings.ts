/** Figures as `/api/v1/kpis` and `/api/v1/wall` answer them. */
import type { Text } from '../feed/types'

export type Verdict = 'better' | 'worse' | 'same' | 'changed'

export interface Trend {
  now: number
  before: number
  verdict: Verdict
}

/** `value` null: there is nothing to compute it from, which is not zero. */
export interface Reading {
  figure: string
  value: number | null
  n: number
  coverage: number | null
  age_s: number | null
  trend: Trend | null
}

/** One ward or category: `key` null is the whole, empty what has none. */
export interface Group {
  key: string | null
  name: Text | null
  figures: Reading[]
}

export function readingOf(group: Group | undefined, figure: string): Reading | undefined {
  return group?.figures.find((each) => each.figure === figure)
}
