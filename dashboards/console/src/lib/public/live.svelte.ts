/** Figures asked every minute. What is shown says how old it is, also when nothing answers any more. */
import { publicApi } from './api'
import { city } from './city.svelte'
import { services } from './services.svelte'
import type { Board } from './types'

const EVERY_MS = 60_000
const AGAIN_MS = 10_000
/** Older than this the figures are called old, whatever the reason. */
export const OLD_MS = 5 * 60_000

export interface Asked<T> {
  value: T
  /** How old it was when it came, by the service's own clock. */
  ageMs: number
}

interface Kept<T> {
  value: T
  /** When these figures were computed, by this device's clock. */
  madeMs: number
}

export class Live<T> {
  #kept = $state.raw<Kept<T> | null>(null)
  /** The last question had no answer. */
  lost = $state(false)
  nowMs = $state(Date.now())
  readonly #ask: () => Promise<Asked<T>>
  readonly #key: string | null
  /** Which question an answer belongs to: one that a later one has overtaken tells nothing new. */
  #asked = 0

  /** Ask by `ask`; what is kept under `key` stands until the first answer, null keeps nothing on the device. */
  constructor(ask: () => Promise<Asked<T>>, key: string | null) {
    this.#ask = ask
    this.#key = key
    try {
      if (key) this.#kept = JSON.parse(localStorage.getItem(key) ?? 'null') as Kept<T> | null
    } catch {
      // Nothing that can be read is nothing kept.
    }
  }

  get value(): T | null {
    return this.#kept?.value ?? null
  }

  get ageMs(): number {
    return this.#kept ? Math.max(0, this.nowMs - this.#kept.madeMs) : 0
  }

  get stale(): boolean {
    return this.lost || this.ageMs > OLD_MS
  }

  /** Ask from now on; `back` is told when an answer came after there was none. Returns the undo. */
  start(back: () => void = () => undefined): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined
    let ended = false
    const next = async (): Promise<void> => {
      clearTimeout(timer)
      const wasLost = this.lost
      await this.#renew()
      if (ended) return
      if (wasLost && !this.lost) back()
      clearTimeout(timer)
      timer = setTimeout(next, this.lost ? AGAIN_MS : EVERY_MS)
    }
    const tick = setInterval(() => (this.nowMs = Date.now()), 1000)
    const wake = (): void => void next()
    addEventListener('online', wake)
    void next()
    return () => {
      ended = true
      clearTimeout(timer)
      clearInterval(tick)
      removeEventListener('online', wake)
    }
  }

  /** Show nothing of what was answered so far. */
  forget(): void {
    this.#kept = null
    this.#keep()
  }

  async #renew(): Promise<void> {
    const mine = ++this.#asked
    try {
      const { value, ageMs } = await this.#ask()
      if (mine !== this.#asked) return
      this.#kept = { value, madeMs: Date.now() - ageMs }
      this.lost = false
      this.#keep()
      // Names that a page which began without a network did not get.
      if (!services.items) void services.load()
      if (!city.value) void city.load()
    } catch {
      if (mine === this.#asked) this.lost = true
    }
    this.nowMs = Date.now()
  }

  #keep(): void {
    try {
      if (this.#key) localStorage.setItem(this.#key, JSON.stringify(this.#kept))
    } catch {
      // Not allowed or full: the figures last as long as the page.
    }
  }
}

export const liveBoard = new Live<Board>(publicApi.board, 'ioc.board.2')
