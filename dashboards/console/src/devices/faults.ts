/** What is wrong with the values of a form, by field, from a refusal or from before it was sent. */
import { ApiError } from '../lib/api/client'
import type { FormFault } from './form'
import type { Texts } from './texts'

export function faultsOf(error: unknown): Record<string, string> | null {
  if (!(error instanceof ApiError) || error.status !== 422) return null
  const found: Record<string, string> = {}
  for (const { field = '', detail = '' } of error.problem.errors ?? []) found[field] = found[field] ? `${found[field]}; ${detail}` : detail
  return found
}

export const ownFaults = (faults: readonly FormFault[], t: Texts): Record<string, string> =>
  Object.fromEntries(faults.map(({ field, rule }) => [field, t.faults[rule]]))
