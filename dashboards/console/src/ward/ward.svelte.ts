/** The ward page's state: who is here, what is open, what waits to be sent. */
import { actAs, api, ApiError, get } from '../lib/api/client'
import type { CommandArgs, Me, Op, Procedure } from '../lib/api/types'
import type { Incident } from '../lib/feed/types'
import { cityData } from '../lib/state/city.svelte'
import { clock } from '../lib/state/clock.svelte'
import { live } from '../lib/state/live.svelte'
import { session } from '../lib/state/session.svelte'
import { uuid } from '../lib/state/uuid'
import { dayStart, together } from './day'
import { here } from './here.svelte'
import { again, drop, hasRoom, kept, KEPT_MS, sendable, settle, type Answer, type Entry } from './outbox'
import { store, type Draft } from './store'

const KEEP_EVERY_MS = 500
const RETRY_MS = 10_000
/** More than a ward ends in a day; what is above is the oldest. */
const ENDED_PAGES = 5
/** In the local storage: somebody logged out while nobody could be told. */
const LEAVING = 'ioc.ward-leaving'
/** More than anybody leaves lying about; a further one has to wait until one of them is sent. */
export const MOST_DRAFTS = 50

/** What an answer means besides those that settle an entry: wait with this incident, or with everything. */
type Sent = Answer | 'wait' | 'stop'

class WardPage {
  /** Incidents from the feed, else as they were when the phone last heard of them. */
  remembered = $state.raw<Incident[]>([])
  rememberedMs = $state<number | null>(null)
  /** What ended today before the feed began to tell of it. */
  ended = $state.raw<Incident[]>([])
  wards = $state.raw<Record<string, { vi: string; en: string }>>({})
  entries = $state.raw<Entry[]>([])
  /** Of whoever is here: what was begun and not sent, over a reload and a phone that put the page to sleep. */
  drafts = $state.raw<Draft[]>([])
  /** Nothing more fits into the outbox, or the phone does not keep it. */
  full = $state(false)
  broken = $state(false)
  sending = $state(false)
  procedure = $state.raw<Procedure | null>(null)
  #last = 0
  #opened = 0
  #keeping: ReturnType<typeof setTimeout> | undefined
  #keptMs = 0
  /** Tabs of one phone share one outbox. */
  readonly #tabs = new BroadcastChannel('ioc.ward')

  online = $derived(live.link.state === 'live' && !live.stale)
  incidents = $derived(live.loaded ? together(live.incidents, this.ended) : this.remembered)
  mine = $derived(this.entries.filter(({ user }) => user === session.me?.user))

  /** Enter with the session there is; without a service that answers, as who was here last. */
  async restore(): Promise<void> {
    const [list] = await Promise.all([store.list().catch(() => undefined), this.#reload()])
    if (localStorage.getItem(LEAVING) && !(await this.#leave())) {
      session.phase = 'out'
      return
    }
    let me: Me | null = null
    try {
      me = await api.me()
    } catch (error) {
      if (error instanceof ApiError && (error.status === 0 || error.status >= 500) && list) me = list.me
    }
    if (list && list.me.user === me?.user) {
      this.remembered = list.incidents
      this.rememberedMs = list.atMs
      this.wards = list.wards
      cityData.recall(list.devices ?? [])
    }
    session.me = me
    await this.#readDrafts()
    session.phase = me ? 'in' : 'out'
  }

  /** Follow the feed and send what waits. Returns the undo. */
  start(): () => void {
    localStorage.removeItem(LEAVING)
    const user = session.me?.user ?? ''
    actAs(user)
    void this.#readDrafts()
    const old = this.entries.filter((entry) => !kept([entry], user, Date.now()).length)
    void this.#apply(this.entries.filter((entry) => !old.includes(entry)))
    const pump = (): void => void this.pump()
    const undo = [clock.start(), cityData.load(), live.start(() => undefined)]
    const timer = setInterval(pump, RETRY_MS)
    addEventListener('online', pump)
    document.addEventListener('visibilitychange', pump)
    this.#tabs.onmessage = () => void this.#reload()
    pump()
    return () => {
      undo.forEach((step) => step())
      clearInterval(timer)
      clearTimeout(this.#keeping)
      removeEventListener('online', pump)
      document.removeEventListener('visibilitychange', pump)
      this.#tabs.onmessage = null
      actAs(null)
      // The next person at this phone sees nothing of it, whatever is stored.
      this.remembered = this.ended = []
      this.rememberedMs = this.procedure = null
      this.#opened += 1
      this.full = this.broken = false
      here.forget()
    }
  }

  /** Read what ended today: the feed begins with the last hour. */
  async readEnded(): Promise<void> {
    const user = session.me?.user
    const since = new Date(dayStart(clock.exact())).toISOString()
    const found: Incident[] = []
    let cursor: string | null = ''
    try {
      for (let page = 0; cursor !== null && page < ENDED_PAGES; page++) {
        const path: string = `/incidents?state=all&ended_since=${since}&limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`
        const { items, next } = await get<{ items: Incident[]; next: string | null }>(path)
        found.push(...items)
        cursor = next
      }
    } catch {
      // What was read before stands; with the next connection it is read again.
      return
    }
    if (session.me?.user === user) this.ended = found
  }

  /** Keep the list for when the network is gone; call it from an effect. */
  remember(incidents: Incident[]): void {
    const { me } = session
    if (!live.loaded || !me) return
    clearTimeout(this.#keeping)
    const wards = Object.fromEntries([...cityData.wards].map(([code, { vi, en }]) => [code, { vi, en }]))
    const keep = (): void => {
      this.#keptMs = Date.now()
      const devices = [...new Set(incidents.map(({ source }) => source ?? ''))].flatMap((id) => cityData.devices.get(id) ?? [])
      void store.keepList({ me, incidents, atMs: clock.exact(), wards: cityData.wards.size ? wards : this.wards, devices }).catch(() => undefined)
    }
    // A busy feed must not keep it from being kept.
    if (Date.now() - this.#keptMs > KEEP_EVERY_MS) keep()
    else this.#keeping = setTimeout(keep, KEEP_EVERY_MS)
  }

  wardName(code: string | null, lang: 'vi' | 'en'): string {
    if (!code) return ''
    return cityData.wards.get(code)?.[lang] ?? this.wards[code]?.[lang] ?? code
  }

  async openProcedure(incident: string): Promise<void> {
    const mine = ++this.#opened
    const show = (found: Procedure | null): void => {
      // Answers may overtake each other, and another incident may be open by now.
      if (mine === this.#opened) this.procedure = found
    }
    show((await store.procedure(incident).catch(() => undefined)) ?? null)
    try {
      const found = await api.procedure(incident)
      show(found)
      await store.keepProcedure(found)
    } catch {
      // Without a network the remembered one stands; without either there is none to show.
    }
  }

  /** Keep a draft on the phone, or let it go when there is nothing in it. */
  async keepDraft(draft: Draft): Promise<void> {
    const others = this.drafts.filter(({ key }) => key !== draft.key)
    const empty = !draft.note.trim() && !draft.ward && !draft.photo
    this.full = !empty && others.length >= MOST_DRAFTS
    if (this.full) return
    this.drafts = empty ? others : [...others, draft]
    try {
      await (empty ? store.dropDraft(draft.key) : store.keepDraft(draft))
    } catch (error) {
      console.warn('draft', error)
      this.broken = true
    }
  }

  /** Put into the outbox, from which it goes at once if it can. False: it is not kept, and `full` or `broken` says why. */
  async add(seen: Incident, op: Op, args: CommandArgs, photo: Blob | null = null): Promise<boolean> {
    const { me } = session
    await this.#reload()
    this.full = !hasRoom(this.entries, photo?.size ?? 0)
    if (!me || this.full) return false
    // Later than everything this phone holds, whatever its clock and its other tabs do.
    this.#last = Math.max(Date.now(), this.#last + 1, ...this.entries.map(({ seq }) => seq + 1))
    const entry: Entry = {
      seq: this.#last, user: me.user, op, args, photo, seen: $state.snapshot(seen) as Incident, idem: uuid(), madeMs: Date.now(),
      state: 'waiting', detail: '', current: null,
    }
    const done = await this.#apply([...this.entries, entry])
    if (done) void this.pump()
    return done
  }

  async again(seq: number): Promise<void> {
    await this.#apply(again(this.entries, seq, uuid()))
    void this.pump()
  }

  async drop(seq: number): Promise<void> {
    await this.#apply(drop(this.entries, seq))
    void this.pump()
  }

  /** Send what may be sent; one tab at a time, and what one incident cannot have holds up no other. */
  async pump(): Promise<void> {
    if (this.sending || document.hidden) return
    this.sending = true
    try {
      if ('locks' in navigator) await navigator.locks.request('ioc.ward', () => this.#sendAll())
      else await this.#sendAll()
    } finally {
      this.sending = false
    }
  }

  async #sendAll(): Promise<void> {
    await this.#reload()
    const waiting = new Set<string>()
    for (;;) {
      const user = session.phase === 'in' ? session.me?.user : undefined
      const entry = user && sendable(this.entries, user).find(({ seen }) => !waiting.has(seen.id))
      if (!entry) return
      const answer = await this.#send(entry)
      if (answer === 'stop') return
      if (answer === 'wait') {
        waiting.add(entry.seen.id)
        continue
      }
      const { me } = session
      if (answer.kind === 'done' && (!me?.wards || (answer.now.ward && me.wards.includes(answer.now.ward)))) live.book.put(answer.now)
      if (answer.kind === 'conflict') live.book.put(answer.current)
      await this.#apply(settle(this.entries, entry.seq, answer, uuid()))
      if (answer.kind === 'done' && this.procedure?.incident === answer.now.id) void this.openProcedure(answer.now.id)
    }
  }

  async #send(entry: Entry): Promise<Sent> {
    const withPhoto = (photo: string | undefined): Promise<boolean> => {
      const { photo: _, ...rest } = entry.args
      return this.#apply(this.entries.map((each) => (each.seq === entry.seq ? { ...each, args: photo ? { ...rest, photo } : rest } : each)))
    }
    try {
      let { args } = entry
      if (entry.photo && !args.photo) {
        args = { ...args, photo: await api.sendPhoto(entry.photo) }
        // Uploaded once: what follows may fail without sending it again.
        await withPhoto(args.photo)
      }
      return { kind: 'done', now: await api.command(entry.seen.id, { op: entry.op, expect_rev: entry.seen.rev, idem: entry.idem, args }) }
    } catch (error) {
      const { status, problem, message } = error instanceof ApiError ? error : new ApiError(0, {})
      const told = problem.errors?.[0]
      if (status === 401 || told?.rule === 'other_user') session.leave(true)
      if (status === 0 || status === 401 || told?.rule === 'other_user') return 'stop'
      if (status === 408 || status === 429 || status >= 500) return 'wait'
      if (status === 409 && problem.current) return { kind: 'conflict', current: problem.current }
      if (told?.rule === 'photo_unknown' && entry.photo) {
        // It lay there too long before the rest came: it is sent once more.
        await withPhoto(undefined)
        return 'wait'
      }
      return { kind: 'refused', detail: told?.detail ?? message }
    }
  }

  /** Log out and leave nothing on the phone; without a network the session ends when there is one. */
  async logout(): Promise<void> {
    localStorage.setItem(LEAVING, '1')
    clearTimeout(this.#keeping)
    await this.#leave()
    session.leave(false)
    this.entries = []
    this.drafts = []
    await store.wipe().catch(() => undefined)
    this.#tabs.postMessage('changed')
  }

  /** End the session at the service; false where nobody could be told. */
  async #leave(): Promise<boolean> {
    try {
      await api.logout()
    } catch (error) {
      if (!(error instanceof ApiError) || error.status === 0 || error.status >= 500) return false
    }
    localStorage.removeItem(LEAVING)
    return true
  }

  async #readDrafts(): Promise<void> {
    const found = await store.drafts().catch(() => this.drafts)
    const [oldest, user] = [Date.now() - KEPT_MS, session.me?.user]
    for (const { key, madeMs } of found) if (madeMs < oldest) void store.dropDraft(key).catch(() => undefined)
    this.drafts = found.filter((draft) => draft.user === user && draft.madeMs >= oldest)
  }

  async #reload(): Promise<void> {
    this.entries = await store.entries().catch(() => this.entries)
  }

  /** Make the outbox `next`, on the phone first; false where it could not be kept. */
  async #apply(next: Entry[]): Promise<boolean> {
    const known = new Map(this.entries.map((entry) => [entry.seq, entry]))
    const put = next.filter((entry) => known.get(entry.seq) !== entry)
    const left = new Set(next.map(({ seq }) => seq))
    try {
      await store.change(put, [...known.keys()].filter((seq) => !left.has(seq)))
      this.broken = false
    } catch (error) {
      console.warn('outbox', error)
      this.broken = true
      return false
    }
    this.entries = next
    this.#tabs.postMessage('changed')
    return true
  }
}

export const page = new WardPage()
