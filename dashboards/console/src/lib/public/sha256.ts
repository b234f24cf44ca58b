/** SHA-256 of a short ASCII text (FIPS 180-4). The browser's own exists on https only, and takes a promise each. */

function roots(count: number, power: number): Uint32Array {
  const found: number[] = []
  for (let n = 2; found.length < count; n += 1) {
    let prime = true
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) prime = false
    if (prime) found.push((n ** power % 1) * 2 ** 32)
  }
  return Uint32Array.from(found)
}

const START = roots(8, 1 / 2)
const ROUNDS = roots(64, 1 / 3)
const at = (words: Uint32Array, i: number): number => words[i] as number
const turn = (word: number, by: number): number => (word >>> by) | (word << (32 - by))

export function sha256(text: string): Uint32Array {
  const blocks = (text.length + 9 + 63) >> 6
  const words = new Uint32Array(blocks * 16)
  for (let i = 0; i < text.length; i += 1) words[i >> 2] = at(words, i >> 2) | (text.charCodeAt(i) << (24 - 8 * (i & 3)))
  words[text.length >> 2] = at(words, text.length >> 2) | (0x80 << (24 - 8 * (text.length & 3)))
  words[words.length - 1] = text.length * 8
  const state = START.slice()
  for (let block = 0; block < blocks; block += 1) mix(state, words.subarray(block * 16, block * 16 + 16))
  return state
}

const schedule = new Uint32Array(64)

function mix(state: Uint32Array, block: Uint32Array): void {
  schedule.set(block)
  for (let i = 16; i < 64; i += 1) {
    const early = at(schedule, i - 15)
    const late = at(schedule, i - 2)
    const s0 = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3)
    const s1 = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10)
    schedule[i] = at(schedule, i - 16) + s0 + at(schedule, i - 7) + s1
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state
  for (let i = 0; i < 64; i += 1) {
    const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + at(ROUNDS, i) + at(schedule, i)) | 0
    const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + one) | 0
    d = c
    c = b
    b = a
    a = (one + two) | 0
  }
  for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) state[i] = at(state, i) + value
}
