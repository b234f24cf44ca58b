/** Why a request came to nothing, as a word that the catalogues know. A session that is over ends here. */
import { ApiError } from '../api/client'
import type { PhotoTrouble, ReportTrouble } from '../i18n/citizens'
import { session } from './session.svelte'

const BY_STATUS: Record<number, ReportTrouble> = { 0: 'offline', 403: 'denied', 404: 'gone', 429: 'many' }

/** Rules of `ioc/photos/check.py` and `ioc/api/photos.py`. */
const BY_RULE: Record<string, PhotoTrouble> = {
  empty: 'broken',
  max_bytes: 'large',
  not_an_image: 'unreadable',
  max_pixels: 'large',
  animated: 'animated',
  polyglot: 'mixed',
  broken: 'broken',
  too_costly: 'broken',
  busy: 'busy',
  read_timeout: 'busy',
  total_bytes: 'full',
  unclaimed: 'full',
}

function failureOf(error: unknown): ApiError {
  const failure = error instanceof ApiError ? error : new ApiError(0, {})
  if (failure.status === 401) session.leave(true)
  return failure
}

export function refusalOf(error: unknown): ReportTrouble {
  return BY_STATUS[failureOf(error).status] ?? 'failed'
}

/** Whether the request may have had its effect although no answer says so. */
export function mayHaveArrived(error: unknown): boolean {
  const { status } = failureOf(error)
  return status === 0 || status >= 500
}

export function photoRefusalOf(error: unknown): PhotoTrouble {
  const failure = failureOf(error)
  if (failure.status === 0) return 'offline'
  return BY_RULE[failure.problem.errors?.[0]?.rule ?? ''] ?? 'failed'
}
