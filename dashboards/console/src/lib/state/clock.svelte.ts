/** One clock for the whole screen: it ticks once a second and speaks the server's time. */

class Clock {
  /** Server minus local time, ms; from the feed's `welcome`. */
  offsetMs = $state(0)
  #local = $state(Date.now())
  #timer: ReturnType<typeof setTimeout> | null = null

  /** Local time of the last tick, for ages of what we ourselves received. */
  get localMs(): number {
    return this.#local
  }

  /** Server time of the last tick, for everything the server dates. */
  get now(): number {
    return this.#local + this.offsetMs
  }

  /** Server time right now, off the tick. */
  exact(): number {
    return Date.now() + this.offsetMs
  }

  sync(serverMs: number, receivedMs: number): void {
    if (Number.isFinite(serverMs)) this.offsetMs = serverMs - receivedMs
  }

  start(): () => void {
    const tick = (): void => {
      this.#local = Date.now()
      this.#timer = setTimeout(tick, 1000 - ((Date.now() + this.offsetMs) % 1000))
    }
    tick()
    return () => {
      if (this.#timer) clearTimeout(this.#timer)
    }
  }
}

export const clock = new Clock()
