/** The public board, asked every minute. What is shown says how old it is, also when nothing answers any more. */
import { publicApi } from './api'
import type { Board } from './types'

const EVERY_MS = 60_000
const AGAIN_MS = 10_000
const KEY = 'ioc.board'
/** Older than this the figures are called old, whatever the reason. */
export const OLD_MS = 5 * 60_000

interface Kept {
  board: Board
  /** When these figures were computed, by this device's clock. */
  madeMs: number
}

function recall(): Kept | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? 'null') as Kept | null
  } catch {
    return null
  }
}

class LiveBoard {
  #kept = $state.raw<Kept | null>(recall())
  /** The last question had no answer. */
  lost = $state(false)
  nowMs = $state(Date.now())

  get board(): Board | null {
    return this.#kept?.board ?? null
  }

  get ageMs(): number {
    return this.#kept ? Math.max(0, this.nowMs - this.#kept.madeMs) : 0
  }

  get stale(): boolean {
    return this.lost || this.ageMs > OLD_MS
  }

  start(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined
    const next = async (): Promise<void> => {
      clearTimeout(timer)
      await this.#ask()
      timer = setTimeout(next, this.lost ? AGAIN_MS : EVERY_MS)
    }
    const tick = setInterval(() => (this.nowMs = Date.now()), 1000)
    const wake = (): void => void next()
    addEventListener('online', wake)
    void next()
    return () => {
      clearTimeout(timer)
      clearInterval(tick)
      removeEventListener('online', wake)
    }
  }

  async #ask(): Promise<void> {
    try {
      const { board, ageMs } = await publicApi.board()
      this.#kept = { board, madeMs: Date.now() - ageMs }
      this.lost = false
      localStorage.setItem(KEY, JSON.stringify(this.#kept))
    } catch {
      this.lost = true
    }
    this.nowMs = Date.now()
  }
}

export const liveBoard = new LiveBoard()
