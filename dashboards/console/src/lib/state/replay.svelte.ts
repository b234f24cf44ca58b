/** Replay: loads stretches ahead of its clock and says what the screen shows. The live feed goes on behind it. */
import { ApiError, get } from '../api/client'
import type { Incident, Severity } from '../feed/types'
import { advance, around, readAddress, seek, toggle, validSpeed, writeAddress, type ReplayClock } from '../replay/clock'
import { sceneAt, stepS, stretchMs, stretchStart, type Frame, type Revision, type Scene, type Stretch } from '../replay/tape'
import { clock } from './clock.svelte'

const TICK_MS = 250
const RETRY_MS = 3_000
/** Two windows may differ by so much of their own time before one is moved. */
const APART_MS = 700
/** Stretches kept in memory; the farthest from the clock goes first. */
const KEPT = 6
const MAX_PAGES = 40
/** A city of many devices at high speed: each refusal asks for this many times fewer frames. */
const COARSER = 4
const BUCKETS = 120
const EMPTY: Scene = { incidents: new Map(), states: new Map() }

interface Page {
  base: Incident[]
  changes: Revision[]
  next: number | null
  kept_from: string | null
}

export interface Histogram {
  bucket_s: number
  coverage_s: number
  incidents: { time: string; severity: Severity; incidents: number }[]
  coverage: { time: string; events: number }[]
}

const isTooMuch = (error: unknown): boolean => error instanceof ApiError && error.problem.errors?.[0]?.rule === 'too_much'
const iso = (ms: number): string => new Date(ms).toISOString()

class Replay {
  clock = $state.raw<ReplayClock | null>(null)
  histogram = $state.raw<Histogram | null>(null)
  /** A load failed and is tried again. */
  failed = $state(false)
  /** How many times coarser than the eye sees the frames are, because there is too much to be asked for. */
  coarse = $state(1)
  /** Before this, changes of incidents are no longer kept. */
  keptFromMs = $state<number | null>(null)
  /** Live incidents that came while the past was shown. */
  fresh = $state(0)
  /** Raised by what a person does here, not by the passing of time or by the other window. */
  acts = $state(0)
  #stretches = $state.raw<ReadonlyMap<number, Stretch>>(new Map())
  #loading = new Set<number>()
  #retryAtMs = 0
  #length = 60_000
  /** Raised by each change of range or speed: answers to earlier questions are dropped. */
  #turn = 0

  active = $derived(this.clock !== null)
  #current = $derived(this.clock ? this.#stretches.get(stretchStart(this.clock.atMs, this.#length)) : undefined)
  /** Nothing can be said yet of the moment the clock stands at. */
  buffering = $derived(this.clock !== null && !this.#current)
  scene = $derived(this.clock && this.#current ? sceneAt(this.#current, this.clock.atMs) : EMPTY)
  incidents = $derived([...this.scene.incidents.values()])

  /** Begin at `atMs`, by default five minutes ago. */
  enter(atMs = clock.now - 5 * 60_000, minutes = 60, speed = 1): void {
    if (this.clock === null) this.fresh = 0
    this.acts += 1
    this.#begin(around(atMs, minutes, clock.now, speed))
  }

  leave(): void {
    this.acts += 1
    this.#end()
  }

  /** Stand where the other window stands; null: live. Only a clock that runs apart is moved. */
  follow(clock: ReplayClock | null): void {
    const own = this.clock
    if (!clock) return own ? this.#end() : undefined
    const same = own && own.fromMs === clock.fromMs && own.toMs === clock.toMs && own.speed === clock.speed
    if (!same) return this.#begin(clock)
    const apart = Math.abs(own.atMs - clock.atMs) > (clock.playing ? APART_MS * clock.speed : 0)
    if (!apart && own.playing === clock.playing) return
    this.clock = clock
    this.#save()
    this.#load()
  }

  #end(): void {
    this.#turn += 1
    this.clock = this.histogram = null
    this.#stretches = new Map()
    this.#loading.clear()
    this.fresh = 0
    this.failed = false
    this.#save()
  }

  /** A range of another length around the same moment. */
  setRange(minutes: number): void {
    if (!this.clock) return
    this.acts += 1
    this.#begin(around(this.clock.atMs, minutes, clock.now, this.clock.speed))
  }

  setSpeed(speed: number): void {
    if (!this.clock) return
    this.acts += 1
    const playing = this.clock.playing
    this.#begin({ ...this.clock, speed: validSpeed(speed), playing }, this.histogram)
  }

  /** Go to a moment; one outside the range takes the range along. */
  seek(atMs: number): void {
    const now = this.clock
    if (!now || !Number.isFinite(atMs)) return
    this.acts += 1
    if (atMs >= now.fromMs && atMs <= now.toMs) this.clock = seek(now, atMs)
    else this.#begin({ ...around(atMs, (now.toMs - now.fromMs) / 60_000, clock.now, now.speed), playing: now.playing })
    this.#save()
    this.#load()
  }

  step(ms: number): void {
    if (this.clock) this.seek(this.clock.atMs + ms)
  }

  toggle(): void {
    if (!this.clock) return
    this.acts += 1
    this.clock = toggle(this.clock)
    this.#save()
  }

  /** Run the clock; enters by itself where the address names a moment. Returns the undo. */
  start(): () => void {
    const asked = readAddress(new URLSearchParams(location.search))
    if (asked) this.#begin(around(asked.atMs, asked.minutes, clock.now, asked.speed))
    let last = performance.now()
    const timer = setInterval(() => {
      const now = performance.now()
      this.#tick(now - last)
      last = now
    }, TICK_MS)
    return () => {
      clearInterval(timer)
      this.#turn += 1
      this.clock = null
    }
  }

  #begin(next: ReplayClock, histogram: Histogram | null = null): void {
    this.#turn += 1
    this.#length = stretchMs(next.speed)
    this.#stretches = new Map()
    this.#loading.clear()
    this.#retryAtMs = 0
    this.coarse = 1
    this.clock = next
    this.histogram = histogram
    this.#save()
    this.#load()
    if (!histogram) void this.#loadHistogram(next, this.#turn)
  }

  #tick(elapsedMs: number): void {
    if (!this.clock) return
    const before = this.clock
    this.clock = advance(before, elapsedMs, this.#readyMs(before.atMs))
    if (before.playing && !this.clock.playing) this.#save()
    this.#load()
  }

  /** Up to where everything is loaded without a gap. */
  #readyMs(atMs: number): number {
    let start = stretchStart(atMs, this.#length)
    if (!this.#stretches.has(start)) return atMs
    while (this.#stretches.has(start)) start += this.#length
    return start - 1
  }

  /** Ask for the stretch the clock stands in and the one after it. */
  #load(): void {
    if (!this.clock || performance.now() < this.#retryAtMs) return
    const here = stretchStart(this.clock.atMs, this.#length)
    for (const start of [here, here + this.#length]) {
      if (start > this.clock.toMs || this.#stretches.has(start) || this.#loading.has(start)) continue
      void this.#fetch(start, Math.min(start + this.#length, clock.now), this.clock.speed, this.#turn)
    }
  }

  async #fetch(fromMs: number, toMs: number, speed: number, turn: number): Promise<void> {
    if (toMs <= fromMs) return
    this.#loading.add(fromMs)
    const span = `from=${iso(fromMs)}&to=${iso(toMs)}`
    const step = Math.min(stepS(speed) * this.coarse, Math.ceil(this.#length / 1000))
    try {
      const [{ frames }, revisions] = await Promise.all([
        get<{ frames: Frame[] }>(`/playback/states?${span}&step_s=${step}`),
        this.#revisions(span),
      ])
      if (turn !== this.#turn || !this.clock) return
      const atMs = this.clock.atMs
      const all = [...this.#stretches, [fromMs, { fromMs, toMs, frames, ...revisions }] as const]
      all.sort(([a], [b]) => Math.abs(a - atMs) - Math.abs(b - atMs))
      this.#stretches = new Map(all.slice(0, KEPT))
      this.failed = false
    } catch (error) {
      if (turn !== this.#turn) return
      if (isTooMuch(error) && step < this.#length / 1000) {
        this.coarse *= COARSER
        return
      }
      console.info('replay', error)
      this.failed = true
      this.#retryAtMs = performance.now() + RETRY_MS
    } finally {
      if (turn === this.#turn) this.#loading.delete(fromMs)
    }
  }

  async #revisions(span: string): Promise<{ base: Incident[]; changes: Revision[] }> {
    const changes: Revision[] = []
    let base: Incident[] = []
    let after = 0
    for (let page = 0; page < MAX_PAGES; page++) {
      const found = await get<Page>(`/playback/incidents?${span}&after=${after}&limit=1000`)
      if (after === 0) base = found.base
      changes.push(...found.changes)
      this.keptFromMs = found.kept_from === null ? null : Date.parse(found.kept_from)
      if (found.next === null) return { base, changes }
      after = found.next
    }
    throw new Error(`more than ${MAX_PAGES} pages of changes`)
  }

  async #loadHistogram({ fromMs, toMs }: ReplayClock, turn: number): Promise<void> {
    try {
      const bucketS = Math.ceil((toMs - fromMs) / 1000 / BUCKETS)
      const found = await get<Histogram>(`/playback/histogram?from=${iso(fromMs)}&to=${iso(toMs)}&bucket_s=${bucketS}`)
      if (turn === this.#turn) this.histogram = found
    } catch {
      // The bars are missing, the slider works: the layers say by themselves what cannot be had.
    }
  }

  #save(): void {
    const params = new URLSearchParams(location.search)
    writeAddress(this.clock, params)
    const query = params.toString()
    history.replaceState(null, '', query ? `?${query}` : location.pathname)
  }
}

export const replay = new Replay()
