/** Wait before the next attempt: exponential with full jitter, bounded, and without an attempt limit. */

export const BACKOFF_BASE_MS = 500
export const BACKOFF_MAX_MS = 15_000

/**
 * Milliseconds to wait before attempt number `attempt` (0 is the first retry).
 *
 * Never below 40 % of the step, so that a broken server is not hammered; the rest is random, so that
 * a whole control room does not come back in the same instant.
 */
export function backoffMs(attempt: number, random: () => number): number {
  const step = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 10))
  return Math.round(step * (0.4 + 0.6 * random()))
}
