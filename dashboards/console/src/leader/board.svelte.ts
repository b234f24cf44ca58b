/** What the page shows: period, ward and figure (all in the address bar), and the newest answers to them. */
import { ApiError, get } from '../lib/api/client'
import type { Incident, Text } from '../lib/feed/types'
import { session } from '../lib/state/session.svelte'
import { COLUMNS } from './model'
import type { Group } from '../lib/api/readings'
import type { Definition, PeriodName, Report, Series, Warning, Warnings } from './types'

const POLL_MS = 15_000
const RETRY_MS = 5_000
/** Courses change by the hour or day. */
const SERIES_MS = 120_000
const PAGE = 20

export const PERIODS: PeriodName[] = ['today', '7d', '30d', 'quarter']
export const DEFAULT_FIGURE = 'processing_rate'

type Page = { items: Incident[]; next: string | null }

class Board {
  period = $state<PeriodName>('today')
  ward = $state<string | null>(null)
  figure = $state(DEFAULT_FIGURE)

  definitions = $state.raw<ReadonlyMap<string, Definition>>(new Map())
  report = $state.raw<Report | null>(null)
  warnings = $state.raw<Warnings | null>(null)
  series = $state.raw<ReadonlyMap<string, Series>>(new Map())
  incidents = $state.raw<Incident[] | null>(null)
  next = $state<string | null>(null)
  /** The next page of incidents is asked for. */
  paging = $state<'no' | 'yes' | 'failed'>('no')
  /** Local time of the last complete answer; 0 before the first. */
  answeredMs = $state(0)
  denied = $state(false)
  failing = $state(false)

  #timer: ReturnType<typeof setTimeout> | undefined
  #seriesMs = 0
  #turn = 0
  #running = false

  /** The table: every ward with the figures of its columns. */
  wards = $state.raw<Group[]>([])
  /** The group whose figures the tiles show: the city, or one ward. */
  shown = $derived<Group | undefined>(this.report?.items[0])
  wardText = $derived<Text | null>(this.wards.find((each) => each.key === this.ward)?.name ?? null)
  shownWarnings = $derived<Warning[]>(
    this.ward === null ? (this.warnings?.items ?? []) : (this.warnings?.items ?? []).filter((each) => each.ward === this.ward),
  )

  /** Read the address bar, then ask again and again. Returns the undo. */
  start(): () => void {
    this.#read()
    this.#running = true
    const onPop = (): void => {
      this.#read()
      this.#refresh()
    }
    addEventListener('popstate', onPop)
    const onSeen = (): void => {
      if (document.visibilityState === 'visible') this.#refresh()
    }
    document.addEventListener('visibilitychange', onSeen)
    this.#refresh()
    return () => {
      this.#running = false
      this.#turn += 1
      clearTimeout(this.#timer)
      removeEventListener('popstate', onPop)
      document.removeEventListener('visibilitychange', onSeen)
    }
  }

  choose(change: { period?: PeriodName; ward?: string | null; figure?: string }): void {
    if (change.period !== undefined) this.period = change.period
    if (change.ward !== undefined) this.ward = change.ward
    if (change.figure !== undefined) this.figure = change.figure
    const params = new URLSearchParams()
    if (this.period !== 'today') params.set('period', this.period)
    if (this.ward !== null) params.set('ward', this.ward)
    if (this.figure !== DEFAULT_FIGURE) params.set('figure', this.figure)
    const query = params.toString()
    history.pushState(null, '', query ? `?${query}` : location.pathname)
    if (change.period !== undefined || change.ward !== undefined) this.series = new Map()
    if (change.ward !== undefined) scrollTo(0, 0)
    this.#forgetIncidents()
    this.#refresh()
  }

  /** The question of the address bar as a query of the API. */
  query(more: Record<string, string> = {}): string {
    const params = new URLSearchParams({ period: this.period, ...more })
    if (this.ward !== null) params.set('ward', this.ward)
    return params.toString()
  }

  async more(): Promise<void> {
    if (this.next === null || this.paging === 'yes') return
    const path = this.#nextPath
    this.paging = 'yes'
    try {
      const page = await get<Page>(path)
      // Something else may be asked by now; the figures themselves are read anew every few seconds.
      if (path !== this.#nextPath) return
      this.incidents = [...(this.incidents ?? []), ...page.items]
      this.next = page.next
      this.paging = 'no'
    } catch {
      if (path === this.#nextPath) this.paging = 'failed'
    }
  }

  get #nextPath(): string {
    return `/kpis/${this.figure}/incidents?${this.query({ limit: String(PAGE), cursor: this.next ?? '' })}`
  }

  #forgetIncidents(): void {
    this.incidents = this.next = null
    this.paging = 'no'
  }

  #read(): void {
    const params = new URLSearchParams(location.search)
    const period = params.get('period') as PeriodName
    this.period = PERIODS.includes(period) ? period : 'today'
    this.ward = params.get('ward')
    this.figure = params.get('figure') ?? DEFAULT_FIGURE
    this.series = new Map()
    this.#forgetIncidents()
  }

  #refresh(): void {
    clearTimeout(this.#timer)
    this.#turn += 1
    void this.#ask(this.#turn)
  }

  async #ask(turn: number): Promise<void> {
    let wait = POLL_MS
    try {
      await this.#load(turn)
      this.failing = false
      this.denied = false
    } catch (error) {
      if (turn !== this.#turn) return
      wait = RETRY_MS
      this.failing = true
      if (error instanceof ApiError && error.status === 401) void session.verify()
      this.denied = error instanceof ApiError && error.status === 403
    }
    if (this.#running && turn === this.#turn) this.#timer = setTimeout(() => this.#refresh(), wait)
  }

  async #load(turn: number): Promise<void> {
    if (!this.definitions.size) {
      const { items } = await get<{ items: Definition[] }>('/kpis/definitions')
      this.definitions = new Map(items.map((each) => [each.id, each]))
      if (!this.definitions.has(this.figure)) this.figure = DEFAULT_FIGURE
    }
    const [report, table, warnings] = await Promise.all([
      get<Report>(`/kpis?${this.query()}`),
      get<Report>(`/kpis?period=${this.period}&group_by=ward&trend=false&${COLUMNS.map((each) => `figure=${each}`).join('&')}`),
      get<Warnings>('/warnings?limit=200'),
    ])
    if (turn !== this.#turn) return
    this.report = report
    this.wards = table.items.slice(1)
    this.warnings = warnings
    this.answeredMs = Date.now()
    await Promise.all([this.#loadIncidents(turn), this.#loadSeries(turn)])
  }

  async #loadIncidents(turn: number): Promise<void> {
    if (!this.definitions.get(this.figure)?.has_incidents) return
    // Whoever has paged on, or does so now, is not thrown back to the first page.
    if (this.paging === 'yes' || (this.incidents?.length ?? 0) > PAGE) return
    const page = await get<Page>(`/kpis/${this.figure}/incidents?${this.query({ limit: String(PAGE) })}`)
    if (turn !== this.#turn) return
    this.incidents = page.items
    this.next = page.next
  }

  async #loadSeries(turn: number): Promise<void> {
    const old = Date.now() - this.#seriesMs > SERIES_MS
    const wanted = [this.figure, ...SPARKED.filter((each) => each !== this.figure)]
    for (const figure of wanted) {
      if (turn !== this.#turn) return
      if (!old && this.series.has(figure)) continue
      const series = await get<Series>(`/kpis/${figure}/series?${this.query()}`)
      if (turn !== this.#turn) return
      this.series = new Map(this.series).set(figure, series)
    }
    if (old) this.#seriesMs = Date.now()
  }
}

/** Figures whose tiles carry a course. */
export const SPARKED = [
  'processing_rate', 'within_time', 'seen_within_time', 'open', 'overdue', 'detected', 'acknowledge_median',
  'respond_median', 'resolve_median', 'reopened_share', 'rejected_share', 'alarms_per_operator_hour', 'camera_coverage',
  'detector_coverage',
]

export const board = new Board()
