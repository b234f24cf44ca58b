/** The calls of the pages for everybody. Every failure is a `PublicError` that says what the page should say. */
import type { Areas } from '../api/types'
import type { Board, Candidate, Challenge, Followed, PublicCity, Question, Receipt, ReportBody, Service, WallReport } from './types'

import { solve } from './work'

export type { PublicCity } from './types'

const TIMEOUT_MS = 20_000
const UPLOAD_TIMEOUT_MS = 90_000

export interface FieldProblem {
  field: string
  rule: string
  detail: string
}

/** `offline`: no answer at all; `limit`: later again; `refused`: the values; `missing`: no such thing; `fault`: ours. */
export type Failure = 'offline' | 'limit' | 'refused' | 'missing' | 'fault'

export class PublicError extends Error {
  constructor(
    readonly failure: Failure,
    readonly problems: FieldProblem[] = [],
    /** Seconds until it is worth another try; 0 unknown. */
    readonly retryS = 0,
    /** Work to be done before the same request is taken. */
    readonly challenge: Challenge | null = null,
  ) {
    super(failure)
  }

  /** The rule by which `field` was refused, if it was. */
  ruleOf(field: string): string | undefined {
    return this.problems.find((problem) => problem.field === field || problem.field.startsWith(`${field}.`))?.rule
  }
}

function failureOf(status: number): Failure {
  if (status === 404) return 'missing'
  if (status === 429) return 'limit'
  return status >= 500 || status === 0 ? 'fault' : 'refused'
}

async function ask(path: string, init: RequestInit = {}, timeoutMs = TIMEOUT_MS): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path.startsWith('/api/') ? path : `/api/v1/public${path}`, { ...init, signal: AbortSignal.timeout(timeoutMs) })
  } catch {
    throw new PublicError('offline')
  }
  if (response.ok) return response
  const told = await response.json().then(
    (problem: { errors?: FieldProblem[]; challenge?: Challenge }) => problem,
    () => null,
  )
  const retryS = Number(response.headers.get('retry-after')) || 0
  throw new PublicError(failureOf(response.status), told?.errors, retryS, told?.challenge)
}

function posting(body: BodyInit, type: string): RequestInit {
  return { method: 'POST', headers: { 'content-type': type, 'x-ioc': '1' }, body }
}

async function read<T>(path: string): Promise<T> {
  return (await (await ask(path)).json()) as T
}

async function send<T>(path: string, value: unknown): Promise<T> {
  return (await (await ask(path, posting(JSON.stringify(value), 'application/json'))).json()) as T
}

const id = encodeURIComponent

interface Aged<T> {
  value: T
  ageMs: number
}

/** Figures, and how old they were when they came, by the service's own clock. */
async function aged<T extends { at: string }>(path: string, init: RequestInit): Promise<Aged<T>> {
  // Not what the browser kept: it would look younger than it is, and hide that nothing answers.
  const response = await ask(path, { ...init, cache: 'no-store' })
  const value = (await response.json()) as T
  const sent = Date.parse(response.headers.get('date') ?? '')
  return { value, ageMs: Number.isNaN(sent) ? 0 : Math.max(0, sent - Date.parse(value.at)) }
}

export const publicApi = {
  city: () => read<PublicCity>('/city'),
  areas: () => read<Areas>('/areas'),
  services: async () => (await read<{ services: Service[] }>('/services')).services,
  duplicates: async (question: Question) => (await send<{ items: Candidate[] }>('/duplicates', question)).items,
  photo: async (photo: Blob) => {
    const sent = await ask('/photos', posting(photo, photo.type || 'application/octet-stream'), UPLOAD_TIMEOUT_MS)
    return ((await sent.json()) as { ref: string }).ref
  },
  report: async (report: ReportBody): Promise<Receipt> => {
    try {
      return await send<Receipt>('/reports', report)
    } catch (error) {
      if (!(error instanceof PublicError) || !error.challenge) throw error
      return await send<Receipt>('/reports', { ...report, solution: await solve(error.challenge) })
    }
  },
  follow: (code: string) => read<Followed>(`/reports/${id(code)}`),
  vote: (code: string, satisfied: boolean, text: string | null) =>
    send<Followed>(`/reports/${id(code)}/vote`, { satisfied, text }),
  board: () => aged<Board>('/board', {}),
}

/** What the token of a screen on a wall opens. `refused`: the token is unknown, over or revoked. */
export const readWall = (token: string): Promise<Aged<WallReport>> => aged('/api/v1/wall', { headers: { authorization: `Bearer ${token}` } })

export const publicPhoto = (ref: string, small: boolean): string =>
  `/api/v1/public/photos/${id(ref)}${small ? '?small=true' : ''}`
