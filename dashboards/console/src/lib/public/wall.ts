/** What a screen on a wall turns through, and how fast: pure. */
import { readingOf, type Group } from '../api/readings'
import type { Row } from './figures'

/** `wall`: incidents, for a screen with a token; `board`: citizens' reports, which everybody may see. */
export const SCENES = { wall: ['wall-wards', 'wall-categories'], board: ['services', 'wards', 'recent'] } as const
export type Scene = (typeof SCENES)['wall' | 'board'][number]

const PACE_S = 15
const [FASTEST_S, SLOWEST_S] = [5, 300]

/** Seconds between two pages: `pace` of the address where it can be, else 15. */
export function paceOf(search: string): number {
  const asked = Number(new URLSearchParams(search).get('pace') ?? PACE_S)
  return asked >= FASTEST_S && asked <= SLOWEST_S ? asked : PACE_S
}

/** Wards or categories in which something is or was to be done today, what is late and what is most first. */
export function rowsOfGroups(groups: readonly Group[]): Row[] {
  return groups
    .filter(({ key }) => key)
    .map((group): Row => ({
      code: group.key ?? '',
      open: readingOf(group, 'open')?.value ?? 0,
      overdue: readingOf(group, 'overdue')?.value ?? 0,
      done: readingOf(group, 'resolve_median')?.n ?? 0,
      inTime: readingOf(group, 'within_time')?.value ?? null,
    }))
    .filter(({ open, done }) => open + done > 0)
    .sort((a, b) => b.overdue - a.overdue || b.open - a.open || b.done - a.done || a.code.localeCompare(b.code))
}
