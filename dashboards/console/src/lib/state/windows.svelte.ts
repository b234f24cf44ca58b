/**
 * One console over two windows: the map on one screen, queue and panel on the other.
 *
 * The two know each other by a name in their addresses, so both survive a reload; what is selected in one is selected
 * in the other, and both show the same moment: live, or where the replay stands. Where both have their sound on, one of them sounds: closing it leaves no silence.
 */
import type { ReplayClock } from '../replay/clock'
import { replay } from './replay.svelte'
import { uuid } from './uuid'
import { view, type Selection } from './view.svelte'

export type Screen = 'whole' | 'map' | 'queue'

type Message = { selection: Selection | null } | { flight: [number, number] } | { replay: ReplayClock | null } | 'joined' | 'merged'

const PARTS: readonly Screen[] = ['map', 'queue']

/** While it runs, the clock of the window that was used last is told so often. */
const TELL_EVERY_MS = 1_000

class Windows {
  screen = $state<Screen>('whole')
  /** The other window sounds already. */
  quiet = $state(false)
  /** The browser did not let us open another window. */
  blocked = $state(false)
  #channel: BroadcastChannel | null = null
  #pair = ''
  #lock: AbortController | null = null
  /** What came from the other window is not sent back. */
  #told = ''
  #flown: [number, number] | null = null
  #acts = 0
  /** The replay was last used here: the other window follows this one's clock. */
  #leads = false
  #toldMs = 0

  /** Become what the address says. Returns the undo. */
  start(): () => void {
    const params = new URLSearchParams(location.search)
    const screen = PARTS.find((part) => part === params.get('screen'))
    const pair = params.get('pair')
    if (screen && pair) this.#join(screen, pair)
    return () => this.#leave()
  }

  /** Show the map in a window of its own and queue and panel in this one. */
  split(): void {
    const pair = uuid()
    const params = new URLSearchParams(location.search)
    params.set('pair', pair)
    params.set('screen', 'map')
    // Named, so that the other screen's window is found again and not opened twice.
    const other = open(`${location.pathname}?${params}`, `ioc-map-${pair}`, 'popup,width=1280,height=800')
    this.blocked = other === null
    if (!other) return
    this.#join('queue', pair)
    this.#save(pair)
  }

  /** Be a whole console again, and let the other window go. */
  merge(): void {
    this.#channel?.postMessage('merged' satisfies Message)
    this.#leave()
    this.#save(null)
  }

  /** Tell the other window what is selected here; call it from an effect. */
  tell(selection: Selection | null, flight: [number, number] | null): void {
    if (!this.#channel) return
    const words = JSON.stringify(selection)
    if (words !== this.#told) {
      this.#told = words
      this.#channel.postMessage({ selection } satisfies Message)
    }
    if (flight && flight !== this.#flown) {
      this.#flown = flight
      this.#channel.postMessage({ flight: [...flight] } satisfies Message)
    }
  }

  /** Tell the other window where the replay stands; call it from an effect. */
  tellReplay(acts: number, now: ReplayClock | null): void {
    if (acts !== this.#acts) this.#leads = true
    const due = acts !== this.#acts || (this.#leads && now?.playing && performance.now() - this.#toldMs >= TELL_EVERY_MS)
    this.#acts = acts
    if (due) this.#sendReplay(now)
  }

  #sendReplay(now: ReplayClock | null): void {
    this.#toldMs = performance.now()
    this.#channel?.postMessage({ replay: now && { ...now } } satisfies Message)
  }

  #join(screen: Screen, pair: string): void {
    this.screen = screen
    this.#pair = pair
    this.#told = JSON.stringify(view.selection)
    this.#channel = new BroadcastChannel(`ioc.pair.${pair}`)
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => this.#heard(data)
    this.#channel.postMessage('joined' satisfies Message)
  }

  /** Say whether this window's sound is on; call it from an effect. Browsers without locks sound in both. */
  sounding(on: boolean): void {
    const wanted = on && this.screen !== 'whole' && 'locks' in navigator
    if (wanted === (this.#lock !== null)) return
    this.#lock?.abort()
    this.#lock = null
    this.quiet = wanted
    if (!wanted) return
    const { signal } = (this.#lock = new AbortController())
    const held = (): Promise<void> => {
      this.quiet = false
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
    }
    navigator.locks.request(`ioc.sound.${this.#pair}`, { signal }, held).catch(() => undefined)
  }

  #heard(message: Message): void {
    if (message === 'merged') {
      // A window that a script opened may close itself; another goes on as a whole console.
      close()
      this.#leave()
      this.#save(null)
    } else if (message === 'joined') {
      this.#sendReplay(replay.clock)
    } else if ('replay' in message) {
      this.#leads = false
      replay.follow(message.replay)
    } else if ('flight' in message) {
      this.#flown = message.flight
      view.flight = message.flight
    } else {
      this.#told = JSON.stringify(message.selection)
      view.select(message.selection)
    }
  }

  #leave(): void {
    this.#channel?.close()
    this.#channel = null
    this.screen = 'whole'
  }

  #save(pair: string | null): void {
    const params = new URLSearchParams(location.search)
    for (const [name, value] of [['screen', pair && this.screen], ['pair', pair]] as const) {
      if (value) params.set(name, value)
      else params.delete(name)
    }
    const query = params.toString()
    history.replaceState(null, '', query ? `?${query}` : location.pathname)
  }
}

export const windows = new Windows()
