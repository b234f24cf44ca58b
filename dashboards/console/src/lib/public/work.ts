/** The proof of work that the service asks of an address which sends much: about a second of a phone's time. */
import type { Challenge } from './types'
import { sha256 } from './sha256'

const SLICE = 2_000

export async function solve({ seed, bits }: Challenge): Promise<string> {
  for (let nonce = 0; ; nonce += 1) {
    // In slices, so that the page goes on answering.
    if (nonce % SLICE === 0) await new Promise((go) => setTimeout(go))
    const solution = `${seed}:${nonce}`
    if (leadingZeros(sha256(solution)) >= bits) return solution
  }
}

function leadingZeros(words: Uint32Array): number {
  let zeros = 0
  for (const word of words) {
    if (word !== 0) return zeros + Math.clz32(word)
    zeros += 32
  }
  return zeros
}
