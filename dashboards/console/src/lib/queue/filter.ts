/** What the queue shows, as one value that lives in the address bar. */
import { isOpen } from '../api/lifecycle'
import type { Handling, Incident, Severity } from '../feed/types'
import { SEVERITIES } from './order'
import { containsAll, fold } from './text'

export type StateFilter = 'open' | 'finished' | 'shelved' | Handling

export interface QueueFilter {
  severities: Severity[]
  state: StateFilter
  ward: string | null
  category: string | null
  rule: string | null
  query: string
}

export const NO_FILTER: QueueFilter = { severities: [], state: 'open', ward: null, category: null, rule: null, query: '' }
export const STATE_CHOICES: StateFilter[] = ['open', 'new', 'acknowledged', 'assigned', 'in_progress', 'shelved', 'finished']

export function readFilter(params: URLSearchParams): QueueFilter {
  const wanted = (params.get('sev') ?? '').split(',')
  const state = params.get('state') ?? 'open'
  return {
    severities: SEVERITIES.filter((severity) => wanted.includes(severity)),
    state: STATE_CHOICES.find((choice) => choice === state) ?? 'open',
    ward: params.get('ward'),
    category: params.get('cat'),
    rule: params.get('rule'),
    query: params.get('q') ?? '',
  }
}

/** Write `filter` into `params`, leaving other parameters alone. */
export function writeFilter(filter: QueueFilter, params: URLSearchParams): void {
  const set = (key: string, value: string): void => {
    if (value) params.set(key, value)
    else params.delete(key)
  }
  set('sev', filter.severities.join(','))
  set('state', filter.state === 'open' ? '' : filter.state)
  set('ward', filter.ward ?? '')
  set('cat', filter.category ?? '')
  set('rule', filter.rule ?? '')
  set('q', filter.query)
}

export function isFiltered(filter: QueueFilter): boolean {
  return filter.severities.length > 0 || filter.state !== 'open' || filter.ward !== null || filter.category !== null || filter.rule !== null || filter.query !== ''
}

/** A predicate for `filter`; `haystack` gives an incident's searchable words, folded. */
export function matcher(
  filter: QueueFilter,
  haystack: (incident: Incident) => string,
): (incident: Incident) => boolean {
  const query = fold(filter.query.trim())
  return (incident) =>
    matchesState(incident, filter.state) &&
    (filter.severities.length === 0 || filter.severities.includes(incident.severity)) &&
    (filter.ward === null || incident.ward === filter.ward) &&
    (filter.category === null || incident.category === filter.category) &&
    (filter.rule === null || incident.rule === filter.rule) &&
    (query === '' || containsAll(haystack(incident), query))
}

function matchesState(incident: Incident, state: StateFilter): boolean {
  const { handling } = incident
  // What is merged is seen in its head, what is shelved comes back by itself.
  if (state === 'shelved') return isOpen(handling) && incident.shelved_until !== null
  if (state === 'finished') return !isOpen(handling) && handling !== 'merged'
  return (state === 'open' ? isOpen(handling) : handling === state) && incident.shelved_until === null
}
