/** The ward page's state: who is here, what is open, what waits to be sent. */
import { api, ApiError } from '../lib/api/client'
import type { CommandArgs, Me, Op, Procedure } from '../lib/api/types'
import type { Incident } from '../lib/feed/types'
import { cityData } from '../lib/state/city.svelte'
import { clock } from '../lib/state/clock.svelte'
import { live } from '../lib/state/live.svelte'
import { session } from '../lib/state/session.svelte'
import { uuid } from '../lib/state/uuid'
import { again, drop, hasRoom, kept, sendable, settle, type Answer, type Entry } from './outbox'
import { store } from './store'

const KEEP_EVERY_MS = 500
const RETRY_MS = 10_000

class WardPage {
  /** Incidents from the feed, else as they were when the phone last heard of them. */
  remembered = $state.raw<Incident[]>([])
  rememberedMs = $state<number | null>(null)
  wards = $state.raw<Record<string, { vi: string; en: string }>>({})
  entries = $state.raw<Entry[]>([])
  /** Nothing more fits into the outbox. */
  full = $state(false)
  sending = $state(false)
  procedure = $state.raw<Procedure | null>(null)
  #next = 1
  #keeping: ReturnType<typeof setTimeout> | undefined
  #keptMs = 0

  online = $derived(live.link.state === 'live' && !live.stale)
  incidents = $derived(live.loaded ? live.incidents : this.remembered)
  mine = $derived(this.entries.filter(({ user }) => user === session.me?.user))

  /** Enter with the session there is; without a network, as who was here last. */
  async restore(): Promise<void> {
    const [list, entries] = await Promise.all([store.list(), store.entries()]).catch(() => [undefined, []] as const)
    this.entries = [...entries]
    this.#next = Math.max(0, ...this.entries.map(({ seq }) => seq)) + 1
    let me: Me | null = null
    try {
      me = await api.me()
    } catch (error) {
      if (error instanceof ApiError && error.status === 0 && list) me = list.me
    }
    if (list && list.me.user === me?.user) {
      this.remembered = list.incidents
      this.rememberedMs = list.atMs
      this.wards = list.wards
    }
    session.me = me
    session.phase = me ? 'in' : 'out'
  }

  /** Follow the feed and send what waits. Returns the undo. */
  start(): () => void {
    this.#replace(kept(this.entries, session.me?.user ?? '', Date.now()))
    const pump = (): void => void this.pump()
    const undo = [clock.start(), cityData.load(), live.start(() => undefined)]
    const timer = setInterval(pump, RETRY_MS)
    addEventListener('online', pump)
    document.addEventListener('visibilitychange', pump)
    pump()
    return () => {
      undo.forEach((step) => step())
      clearInterval(timer)
      removeEventListener('online', pump)
      document.removeEventListener('visibilitychange', pump)
    }
  }

  /** Keep the list for when the network is gone; call it from an effect. */
  remember(incidents: Incident[]): void {
    const { me } = session
    if (!live.loaded || !me) return
    clearTimeout(this.#keeping)
    const wards = Object.fromEntries([...cityData.wards].map(([code, { vi, en }]) => [code, { vi, en }]))
    const keep = (): void => {
      this.#keptMs = Date.now()
      void store.keepList({ me, incidents, atMs: clock.exact(), wards: cityData.wards.size ? wards : this.wards }).catch(() => undefined)
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
    this.procedure = (await store.procedure(incident).catch(() => undefined)) ?? null
    try {
      this.procedure = await api.procedure(incident)
      await store.keepProcedure(this.procedure)
    } catch {
      // Without a network the remembered one stands; without either there is none to show.
    }
  }

  /** Put into the outbox, from which it goes at once if it can. False: there is no room. */
  add(seen: Incident, op: Op, args: CommandArgs, photo: Blob | null = null): boolean {
    const { me } = session
    this.full = !hasRoom(this.entries, photo?.size ?? 0)
    if (!me || this.full) return false
    const entry: Entry = {
      seq: this.#next++, user: me.user, op, args, photo, seen: $state.snapshot(seen) as Incident, idem: uuid(), madeMs: Date.now(),
      state: 'waiting', detail: '', current: null,
    }
    this.#replace([...this.entries, entry])
    void this.pump()
    return true
  }

  again(seq: number): void {
    this.#replace(again(this.entries, seq, uuid()))
    void this.pump()
  }

  drop(seq: number): void {
    this.#replace(drop(this.entries, seq))
    void this.pump()
  }

  /** Send what may be sent, one after the other, until nothing moves. */
  async pump(): Promise<void> {
    const user = session.phase === 'in' ? session.me?.user : undefined
    if (!user || this.sending || document.hidden) return
    this.sending = true
    try {
      for (let entry = sendable(this.entries, user)[0]; entry; entry = sendable(this.entries, user)[0]) {
        const answer = await this.#send(entry)
        if (!answer) return
        if (answer.kind === 'done' && (!session.me?.wards || (answer.now.ward && session.me.wards.includes(answer.now.ward)))) live.book.put(answer.now)
        if (answer.kind === 'conflict') live.book.put(answer.current)
        this.#replace(settle(this.entries, entry.seq, answer, uuid()))
        if (answer.kind === 'done' && this.procedure?.incident === answer.now.id) void this.openProcedure(answer.now.id)
      }
    } finally {
      this.sending = false
    }
  }

  /** What the service says; null: nobody answered, or not now, so it waits. */
  async #send(entry: Entry): Promise<Answer | null> {
    try {
      let { args } = entry
      if (entry.photo) {
        args = { ...args, photo: await api.sendPhoto(entry.photo) }
        // Uploaded once: what follows may fail without sending it again.
        this.#replace(this.entries.map((each) => (each.seq === entry.seq ? { ...each, args, photo: null } : each)))
      }
      return { kind: 'done', now: await api.command(entry.seen.id, { op: entry.op, expect_rev: entry.seen.rev, idem: entry.idem, args }) }
    } catch (error) {
      const { status, problem, message } = error instanceof ApiError ? error : new ApiError(0, {})
      if (status === 401) session.leave(true)
      if (status === 0 || status === 401 || status === 408 || status === 429 || status >= 500) return null
      if (status === 409 && problem.current) return { kind: 'conflict', current: problem.current }
      return { kind: 'refused', detail: problem.errors?.[0]?.detail ?? message }
    }
  }

  /** Log out and leave nothing on the phone. */
  async logout(): Promise<void> {
    await session.logout().catch(() => undefined)
    this.#replace([])
    this.remembered = []
    this.rememberedMs = this.procedure = null
    await store.wipe(true).catch(() => undefined)
  }

  #replace(entries: Entry[]): void {
    this.entries = entries
    void store.keepEntries(entries).catch(() => undefined)
  }
}

export const page = new WardPage()
