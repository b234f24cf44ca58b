/** The rule being worked on, its draft, and what the server said of it. */
import { ApiError, get, send } from '../lib/api/client'
import { session } from '../lib/state/session.svelte'
import { keepDraft, readDraft } from './drafts'
import type { BenchRules, Checked, Explanation, ChangeEntry, Job, RuleSource, TestsPlayed } from './types'

const RELOAD_MS = 5_000
const CHECK_MS = 350
const POLL_MS = 400
const LONG_MS = 70_000
const TEMPLATE = (name: string): string => `rule: ${name}
title: {vi: "…", en: "…"}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
by: [source]
having: count >= 3 within 60s
hold: 30s
severity: medium
`

export type Panel = 'tests' | 'backtest' | 'activate' | 'shadow' | 'history' | 'why'
export const PANELS: readonly Panel[] = ['tests', 'backtest', 'activate', 'shadow', 'history', 'why']

/** The part of an error that a person can act on. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error)
  const [first] = error.problem.errors ?? []
  return error.status === 0 ? '' : (first?.detail ?? error.problem.detail ?? error.message)
}

class Bench {
  list = $state.raw<BenchRules | null>(null)
  failing = $state(false)
  denied = $state(false)

  rule = $state<string | null>(null)
  source = $state.raw<RuleSource | null>(null)
  text = $state('')
  tests = $state('')
  seen = $state(0)
  checked = $state.raw<Checked | null>(null)
  checking = $state<'no' | 'yes' | 'failed'>('no')
  panel = $state<Panel>('tests')
  /** What the editor should jump to; a new object each time. */
  jump = $state.raw<{ line: number; column: number } | null>(null)

  played = $state.raw<TestsPlayed | null>(null)
  job = $state.raw<Job | null>(null)
  /** The text that `job` ran. */
  jobText = $state('')
  conflict = $state.raw<RuleSource | null>(null)

  dirty = $derived(this.source !== null && (this.text !== this.source.text || this.tests !== (this.source.tests ?? '')))
  changed = $derived(this.source !== null && this.text !== this.source.text)
  info = $derived(this.list?.items.find((each) => each.info.rule === this.rule) ?? null)

  #checkTimer: ReturnType<typeof setTimeout> | undefined
  #turn = 0
  #checkTurn = 0
  #unread = false

  start(): () => void {
    const onPop = (): void => void this.open(new URLSearchParams(location.search).get('rule'), false)
    addEventListener('popstate', onPop)
    void this.refresh()
    onPop()
    const timer = setInterval(() => void this.refresh(), RELOAD_MS)
    return () => {
      clearInterval(timer)
      removeEventListener('popstate', onPop)
    }
  }

  async refresh(): Promise<void> {
    try {
      this.list = await get<BenchRules>('/workbench/rules')
      this.failing = false
      // Its text could not be read before.
      if (this.#unread) void this.open(this.rule, false)
    } catch (error) {
      this.failing = true
      if (error instanceof ApiError && error.status === 401) void session.verify()
      this.denied = error instanceof ApiError && error.status === 403
    }
  }

  /** Show a rule. An unknown name begins a new one. */
  async open(rule: string | null, push = true): Promise<void> {
    const turn = ++this.#turn
    if (push) history.pushState(null, '', rule ? `?rule=${encodeURIComponent(rule)}` : location.pathname)
    this.rule = rule
    this.source = null
    this.#unread = false
    this.#forget()
    if (rule === null) return
    let source: RuleSource
    try {
      source = await get<RuleSource>(`/workbench/rules/${encodeURIComponent(rule)}`)
    } catch (error) {
      if (turn !== this.#turn || !(error instanceof ApiError)) return
      if (error.status !== 404) {
        this.failing = this.#unread = true
        return
      }
      const none = { author: '', at: '', reason: null, shadow_text: null, shadow_version: null, tests: null, hash: '' }
      source = { ...none, rule, file: `${rule}.yaml`, text: '', version: 0, set_version: this.list?.set_version ?? 0, enabled: false }
    }
    if (turn !== this.#turn) return
    const draft = readDraft(rule)
    this.text = draft?.text ?? (source.version ? source.text : TEMPLATE(rule))
    this.tests = draft?.tests ?? source.tests ?? ''
    this.seen = draft?.seen ?? source.set_version
    this.source = source
    void this.check()
  }

  edit(text: string): void {
    if (text === this.text) return
    this.text = text
    this.#kept()
    clearTimeout(this.#checkTimer)
    this.#checkTimer = setTimeout(() => void this.check(), CHECK_MS)
  }

  editTests(tests: string): void {
    if (tests === this.tests) return
    this.tests = tests
    this.#kept()
  }

  discard(): void {
    if (!this.source) return
    keepDraft(this.source.rule, null)
    void this.open(this.source.rule, false)
  }

  async check(): Promise<void> {
    const { source } = this
    if (!source) return
    const turn = ++this.#checkTurn
    this.checking = 'yes'
    try {
      const found = await send<Checked>('POST', '/workbench/check', { file: source.file, text: this.text })
      if (turn !== this.#checkTurn) return
      this.checked = found
      this.checking = 'no'
    } catch {
      if (turn === this.#checkTurn) this.checking = 'failed'
    }
  }

  async play(): Promise<void> {
    if (!this.source) return
    const { text, tests, source } = this
    const turn = this.#turn
    this.played = null
    const played = await send<TestsPlayed>('POST', '/workbench/test', { file: source.file, text, tests }, LONG_MS)
    // Another rule may have been opened meanwhile.
    if (turn === this.#turn) this.played = played
  }

  /** Start a backtest and follow it to its end. */
  async run(span: { from?: string; to?: string; trial?: boolean }): Promise<void> {
    if (!this.source) return
    const { text, source } = this
    const turn = this.#turn
    const begun = await send<Job>('POST', '/workbench/backtests', { file: source.file, text, ...span })
    // Another rule may have been opened meanwhile.
    if (turn !== this.#turn) return
    this.job = begun
    this.jobText = text
    const { id } = begun
    while (this.job?.id === id && this.job.state === 'running') {
      await new Promise((done) => setTimeout(done, POLL_MS))
      const found: Job = await get<Job>(`/workbench/backtests/${id}`)
      if (this.job?.id === id) this.job = found
    }
  }

  async cancel(): Promise<void> {
    if (this.job) this.job = await send<Job>('DELETE', `/workbench/backtests/${this.job.id}`)
  }

  /** Put the text into force; the version, or null where somebody else was faster (`conflict`). */
  async push(reason: string, shadow: boolean, flood: string): Promise<number | null> {
    const { source } = this
    if (!source) return null
    const trial = !shadow && this.job?.trial ? { trial: this.job.id } : {}
    const body = { file: source.file, text: this.text, expect_version: this.seen, reason, shadow, ...trial }
    return this.#change('/workbench/push', flood ? { ...body, accept_flood: flood } : body)
  }

  async switchTo(on: boolean, shadow: boolean, reason: string): Promise<number | null> {
    if (!this.source) return null
    const path = `/workbench/rules/${encodeURIComponent(this.source.rule)}/switch`
    return this.#change(path, { on, shadow, expect_version: this.seen, reason }, this.dirty)
  }

  history = async (): Promise<ChangeEntry[]> =>
    (await get<{ items: ChangeEntry[] }>(`/workbench/rules/${encodeURIComponent(this.rule ?? '')}/history`)).items

  why = async (key: string, at: string, draft: boolean): Promise<Explanation> => {
    const text = draft && this.source ? { file: this.source.file, text: this.text } : {}
    const body = { rule: this.rule, key, at, ...text }
    return (await send<{ explanation: Explanation }>('POST', '/workbench/why', body, LONG_MS)).explanation
  }

  /** Go on from what somebody else has put into force; one's own text stays. */
  rebase(): void {
    if (!this.conflict) return
    const { text, tests } = this
    this.source = { ...this.conflict, tests: this.source?.tests ?? null }
    this.seen = this.conflict.set_version
    this.conflict = null
    this.job = null
    keepDraft(this.source.rule, { text, tests, seen: this.seen })
    void this.check()
  }

  async #change(path: string, body: object, keep = false): Promise<number | null> {
    const rule = this.rule
    try {
      const { version } = await send<{ version: number }>('POST', path, body)
      if (rule !== null) {
        const testsDraft = this.tests !== (this.source?.tests ?? '')
        const fresh = await get<RuleSource>(`/workbench/rules/${encodeURIComponent(rule)}`)
        if (this.rule !== rule) return version
        this.source = fresh
        this.seen = fresh.set_version
        this.job = null
        keepDraft(rule, keep || testsDraft || this.text !== fresh.text ? { text: this.text, tests: this.tests, seen: this.seen } : null)
        void this.check()
        void this.refresh()
      }
      return version
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 409 || rule === null) throw error
      const present = (error.problem as { present?: RuleSource | null }).present
      const conflict = present ?? (await get<RuleSource>(`/workbench/rules/${encodeURIComponent(rule)}`))
      if (this.rule === rule) this.conflict = conflict
      return null
    }
  }

  #kept(): void {
    if (this.source) keepDraft(this.source.rule, this.dirty ? { text: this.text, tests: this.tests, seen: this.seen } : null)
  }

  #forget(): void {
    clearTimeout(this.#checkTimer)
    this.#checkTurn += 1
    this.checked = null
    this.played = null
    this.job = null
    this.conflict = null
    this.jump = null
  }
}

export const bench = new Bench()
