/** All devices and how they fare, asked for again and again; what is filtered and chosen, in the address bar. */
import { api, ApiError, get } from '../lib/api/client'
import type { Areas } from '../lib/api/types'
import { fold } from '../lib/queue/text'
import { clock } from '../lib/state/clock.svelte'
import { session } from '../lib/state/session.svelte'
import { countStates, matching, NO_FILTER, readFilter, sorted, statesOf, writeFilter, type Filter, type Judged } from './model'
import type { Health, HealthList } from './types'

/** The service counts anew every fifteen seconds. */
const POLL_MS = 15_000
const RETRY_MS = 5_000
/** Without an answer for this long, nothing on the page may be taken for present. */
export const STILL_MS = 45_000
const ALPHABET = new Intl.Collator('vi', { numeric: true })

interface WardName {
  code: string
  vi: string
  en: string
  former: string
}

class Fleet {
  devices = $state.raw<Judged[]>([])
  wards = $state.raw<ReadonlyMap<string, WardName>>(new Map())
  /** Server time of the figures; 0 before the first answer. */
  atMs = $state(0)
  failing = $state(false)
  filter = $state.raw<Filter>(readFilter(new URLSearchParams(location.search)))
  chosen = $state<string | null>(new URLSearchParams(location.search).get('device'))

  byId = $derived(new Map(this.devices.map((each) => [each.health.id, each])))
  within = $derived(matching(this.devices, this.filter))
  counts = $derived(countStates(this.within))
  listed = $derived.by(() => {
    const { state } = this.filter
    return sorted(state ? this.within.filter(({ states }) => states.includes(state)) : this.within, this.filter)
  })
  decoders = $derived([...new Set(this.devices.map(({ health }) => health.decoder))].sort())
  still = $derived(this.atMs > 0 && clock.now - this.atMs > STILL_MS)

  #timer: ReturnType<typeof setTimeout> | undefined
  #running = false
  #turn = 0
  #offsetMs = -Infinity
  /** Folding ten thousand names takes longer than judging them, and names hardly change. */
  #words = new Map<string, { of: string; folded: string }>()

  start(): () => void {
    this.#running = true
    const onPop = (): void => {
      const params = new URLSearchParams(location.search)
      this.filter = readFilter(params)
      this.chosen = params.get('device')
    }
    const onSeen = (): void => {
      if (document.visibilityState === 'visible') void this.refresh()
    }
    addEventListener('popstate', onPop)
    document.addEventListener('visibilitychange', onSeen)
    void this.#loadWards()
    void this.refresh()
    return () => {
      this.#running = false
      this.#turn += 1
      clearTimeout(this.#timer)
      removeEventListener('popstate', onPop)
      document.removeEventListener('visibilitychange', onSeen)
    }
  }

  setFilter(change: Partial<Filter>): void {
    this.filter = { ...this.filter, ...change }
    this.#save(false)
  }

  clearFilter(): void {
    const { sort, turned } = this.filter
    this.setFilter({ ...NO_FILTER, sort, turned })
  }

  choose(device: string | null): void {
    if (device === this.chosen) return
    this.chosen = device
    this.#save(true)
  }

  async refresh(): Promise<void> {
    clearTimeout(this.#timer)
    const turn = ++this.#turn
    let wait = POLL_MS
    try {
      const found = await get<HealthList>('/devices/health')
      if (turn !== this.#turn) return
      this.atMs = Date.parse(found.at)
      // Figures are a little older than the answer: the newest of them tells best what the server's clock says.
      this.#offsetMs = Math.max(this.#offsetMs, this.atMs - Date.now())
      clock.offsetMs = this.#offsetMs
      this.devices = this.#judge(found.items)
      this.failing = false
    } catch (error) {
      if (turn !== this.#turn) return
      wait = RETRY_MS
      this.failing = true
      if (error instanceof ApiError && error.status === 401) void session.verify()
    }
    // A page that nobody sees asks for nothing; being seen again asks at once.
    if (this.#running && document.visibilityState === 'visible') this.#timer = setTimeout(() => void this.refresh(), wait)
  }

  #judge(items: Health[]): Judged[] {
    const judged = items.map((health) => ({ health, states: statesOf(health, this.atMs), words: this.#wordsOf(health) }))
    return judged.sort((a, b) => ALPHABET.compare(a.health.name, b.health.name) || (a.health.id < b.health.id ? -1 : 1))
  }

  #wordsOf({ id, name, ward }: Health): string {
    const area = ward === null ? undefined : this.wards.get(ward)
    const of = `${name} ${id} ${ward ?? ''} ${area ? `${area.vi} ${area.en} ${area.former}` : ''}`
    const known = this.#words.get(id)
    if (known?.of === of) return known.folded
    const folded = fold(of)
    this.#words.set(id, { of, folded })
    return folded
  }

  async #loadWards(): Promise<void> {
    try {
      const { features } = await get<Areas>('/areas?kind=ward')
      this.wards = new Map(
        features.map(({ properties: { code, name, name_en, former = '' } }) => [code, { code, vi: name, en: name_en || name, former }]),
      )
      this.devices = this.#judge(this.devices.map(({ health }) => health))
    } catch {
      // Codes stand in their place.
    }
  }

  #save(push: boolean): void {
    const query = writeFilter(this.filter, this.chosen)
    history[push ? 'pushState' : 'replaceState'](null, '', query ? `?${query}` : location.pathname)
  }
}

export const fleet = new Fleet()

/** What a map needs, asked for when somebody opens one. */
export const ground = (): Promise<[Areas, Awaited<ReturnType<typeof api.city>>]> => Promise.all([api.areas(), api.city()])
