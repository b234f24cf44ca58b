/** Marks of a time axis. Pure. */

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400]

/** At most `most` round numbers of seconds from 0 to `length`. */
export function nice(length: number, most: number): number[] {
  const step = STEPS.find((each) => length / each <= most - 1) ?? Math.ceil(length / 86_400 / (most - 1)) * 86_400
  const found = []
  for (let at = 0; at <= length; at += step) found.push(at)
  return found
}

/** At most `most` round moments between two, of a zone `offset` ms ahead of UTC. */
export function moments(from: number, to: number, most: number, offset: number): number[] {
  const [, step = 1] = nice((to - from) / 1000, most)
  const ms = step * 1000
  const found = []
  for (let at = Math.ceil((from + offset) / ms) * ms - offset; at <= to; at += ms) found.push(at)
  return found
}
