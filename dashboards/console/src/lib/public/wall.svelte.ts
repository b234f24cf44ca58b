/**
 * What a screen on a wall shows besides the public board, for the token that was made for it.
 *
 * `/board?kiosk#TOKEN` hands it over once: it is kept by the screen and leaves the address at once. Where it no longer
 * opens anything, what it opened leaves the screen; it is asked on, should only something on the way have refused it.
 */
import { PublicError, readWall } from './api'
import { Live } from './live.svelte'
import type { WallReport } from './types'

const KEY = 'ioc.wall'
const TOKEN = /^#(ioct_[\w-]{20,120})$/

class Wall {
  #token = ''
  /** The screen has a token, which was revoked or is over. */
  refused = $state(false)
  readonly live = new Live<WallReport>(() => this.#read(), null)

  /** Take the token over from the address, or from before; false where there is none. */
  enter(): boolean {
    const given = TOKEN.exec(location.hash)?.[1]
    this.#token = given ?? ''
    try {
      if (given) localStorage.setItem(KEY, given)
      else this.#token = localStorage.getItem(KEY) ?? ''
      // Only now: a screen that may keep nothing finds it in its address after a reload.
      if (given) history.replaceState(null, '', location.pathname + location.search)
    } catch {
      // Storage is forbidden: the board turns all the same.
    }
    return this.#token !== ''
  }

  async #read(): ReturnType<typeof readWall> {
    try {
      const answer = await readWall(this.#token)
      this.refused = false
      return answer
    } catch (error) {
      if (error instanceof PublicError && error.failure === 'refused') {
        this.refused = true
        this.live.forget()
      }
      throw error
    }
  }
}

export const wall = new Wall()

/** A service that was away may have come back as a newer one: the screen then takes its page anew. Call what is returned. */
export function renewal(): () => void {
  let known: string | null = null
  const look = async (): Promise<void> => {
    const tag = (await fetch('/board', { method: 'HEAD', cache: 'no-store' })).headers.get('etag')
    if (known && tag && tag !== known) location.reload()
    known ??= tag
  }
  const ask = (): void => void look().catch(() => undefined)
  ask()
  return ask
}
