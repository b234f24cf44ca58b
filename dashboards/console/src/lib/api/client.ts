/** The REST calls of the console. Every failure is an `ApiError` that says what the screen should say. */
import type { Incident } from '../feed/types'
import type { Service } from '../public/types'
import type {
  Areas, Audit, CitizenReport, City, Command, CurrentShift, DeviceList, Lang, Me, Photo, Problem, Procedure, RuleInfo,
  ShadowDiff, Shift, ShiftCommand, Unmasked, WardForecast,
} from './types'

const REQUEST_TIMEOUT_MS = 10_000
const UPLOAD_TIMEOUT_MS = 90_000

export class ApiError extends Error {
  /** `status` 0: no answer at all (network, time-out). */
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`)
  }
}

/** Whose requests these are; the service refuses them once somebody else is logged in here. */
let user: string | null = null
let replaced = (): void => undefined

/** From here on requests are `name`'s, null: anybody's; `whenReplaced` is told when one is refused for being another's. */
export function actAs(name: string | null, whenReplaced = (): void => undefined): void {
  user = name
  replaced = whenReplaced
}

async function request(method: string, path: string, body?: unknown, timeoutMs = REQUEST_TIMEOUT_MS, more: Record<string, string> = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json', ...more }
  if (user !== null && path !== '/session') headers['x-ioc-user'] = encodeURIComponent(user)
  const upload = body instanceof Blob
  if (upload) headers['content-type'] = body.type || 'application/octet-stream'
  else if (body !== undefined) headers['content-type'] = 'application/json'
  if (method !== 'GET') headers['x-ioc'] = '1'
  let response: Response
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      body: upload ? body : body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(upload ? UPLOAD_TIMEOUT_MS : timeoutMs),
    })
  } catch (error) {
    throw new ApiError(0, { detail: String(error) })
  }
  if (response.ok) return response
  const problem = await problemOf(response)
  if (problem.errors?.[0]?.rule === 'other_user') replaced()
  throw new ApiError(response.status, problem)
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    return (await response.json()) as Problem
  } catch {
    return { title: response.statusText, status: response.status }
  }
}

async function json<T>(method: string, path: string, body?: unknown, timeoutMs?: number): Promise<T> {
  return (await (await request(method, path, body, timeoutMs)).json()) as T
}

/** Read what a page of its own asks for. */
export const get = <T>(path: string): Promise<T> => json<T>('GET', path)

/** What a page of its own does; some of it takes its time. */
export const send = <T>(method: 'POST' | 'DELETE', path: string, body?: unknown, timeoutMs?: number): Promise<T> =>
  json<T>(method, path, body, timeoutMs)

/** Something with the tag (`ETag`) that a change of it has to name. */
export interface Tagged<T> {
  value: T
  tag: string
}

async function tagged<T>(response: Response): Promise<Tagged<T>> {
  return { value: (await response.json()) as T, tag: response.headers.get('etag') ?? '' }
}

export const getTagged = async <T>(path: string): Promise<Tagged<T>> => tagged(await request('GET', path))

/** Replace what has the tag `seen`, or make what is not there (null); somebody else's change is an `ApiError` 412. */
export async function putTagged<T>(path: string, body: unknown, seen: string | null): Promise<Tagged<T>> {
  const condition: Record<string, string> = seen === null ? { 'if-none-match': '*' } : { 'if-match': seen }
  return tagged(await request('PUT', path, body, REQUEST_TIMEOUT_MS, condition))
}

/** Deletes what has still the tag `seen`; else the answer is 412. */
export async function deleteTagged(path: string, seen: string): Promise<void> {
  await request('DELETE', path, undefined, REQUEST_TIMEOUT_MS, { 'if-match': seen })
}

const id = encodeURIComponent

export const api = {
  me: () => json<Me>('GET', '/session'),
  /** `code`: of the second factor; who has to give one is told so by an error of the field `code`. */
  login: (username: string, password: string, code = '') =>
    json<Me>('POST', '/session', { username, password, ...(code && { code }) }),
  loginOptions: () => json<{ oidc: boolean }>('GET', '/session/options'),
  logout: async () => void (await request('DELETE', '/session')),
  city: () => json<City>('GET', '/city'),
  areas: () => json<Areas>('GET', '/areas'),
  devices: () => json<DeviceList>('GET', '/devices'),
  incident: (incident: string) => json<Incident>('GET', `/incidents/${id(incident)}`),
  history: async (incident: string) =>
    (await json<{ items: Audit[] }>('GET', `/incidents/${id(incident)}/history`)).items,
  members: async (incident: string) =>
    (await json<{ items: Incident[] }>('GET', `/incidents/${id(incident)}/members`)).items,
  forecast: async (hours: number) => (await json<{ items: WardForecast[] }>('GET', `/forecast?hours=${hours}`)).items,
  procedure: (incident: string) => json<Procedure>('GET', `/incidents/${id(incident)}/procedure`),
  command: (incident: string, command: Command) =>
    json<Incident>('POST', `/incidents/${id(incident)}/commands`, command),
  rules: async () => (await json<{ items: RuleInfo[] }>('GET', '/rules')).items,
  shadow: async (rule: string) => (await json<{ items: ShadowDiff[] }>('GET', `/rules/${id(rule)}/shadow`)).items,
  shifts: async () => (await json<{ items: Shift[] }>('GET', '/shifts?limit=20')).items,
  shift: () => json<CurrentShift>('GET', '/shifts/current'),
  beginShift: (idem: string) => json<CurrentShift>('POST', '/shifts', { idem }),
  handOver: (shift: number, command: ShiftCommand) => json<CurrentShift>('POST', `/shifts/${shift}/commands`, command),
  shiftReport: (shift: number, lang: Lang) => `/api/v1/shifts/${shift}/report?format=html&lang=${lang}`,
  unmask: (incident: string, reason: string) =>
    json<Unmasked>('POST', `/incidents/${id(incident)}/unmask`, { reason }),
  photos: async (incident: string) => (await json<{ items: Photo[] }>('GET', `/incidents/${id(incident)}/photos`)).items,
  sendPhoto: async (picture: Blob) => (await json<{ ref: string }>('POST', '/photos', picture)).ref,
  release: (photo: string, released: boolean, reason: string) =>
    json<Photo>('POST', `/photos/${id(photo)}/release`, { released, reason }),
  services: async () => (await json<{ services: Service[] }>('GET', '/public/services')).services,
  reports: async (incident: string) =>
    (await json<{ items: CitizenReport[] }>('GET', `/incidents/${id(incident)}/reports`)).items,
  /** Answer one reporter, or all who told the same; how many were answered. */
  answer: async (report: string, text: string, everybody: boolean, idem: string) =>
    (await json<{ answered: number }>('POST', `/reports/${id(report)}/answer`, { text, everybody, idem })).answered,
  separate: async (report: string) => void (await request('POST', `/reports/${id(report)}/separate`)),
  contact: async (report: string, reason: string) =>
    (await json<{ contact: string | null }>('POST', `/reports/${id(report)}/unmask`, { reason })).contact,
  picture: async (camera: string) => (await request('GET', `/cameras/${id(camera)}/picture`)).blob(),
}
