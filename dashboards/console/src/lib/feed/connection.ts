/**
 * Moves bytes for `FeedProtocol`: opens sockets, keeps time, comes back by itself.
 *
 * Everything outside (socket, clock, randomness, page events) is passed in, so tests drive it by hand.
 */
import { backoffMs } from './backoff'
import { closeVerdict } from './codes'
import { decodeFrame } from './decode'
import { DelayMeter } from './delays'
import { FeedProtocol, type Effect } from './protocol'
import type { BBox, ClientFrame, Delays } from './types'

export type LinkState = 'connecting' | 'live' | 'waiting' | 'offline' | 'stopped'

export interface Link {
  state: LinkState
  /** When the next attempt is due (local clock, ms), while waiting. */
  retryAtMs: number | null
  /** Why we are not live, for the engineer. */
  reason: string | null
  /** The session is gone. */
  login: boolean
}

export interface Socket {
  send(text: string): void
  close(): void
  onopen: (() => void) | null
  onmessage: ((text: string) => void) | null
  onclose: ((code: number) => void) | null
}

export interface Surroundings {
  open(): Socket
  now(): number
  random(): number
  isOnline(): boolean
  schedule(callback: () => void, ms: number): () => void
}

export interface Handlers {
  effect(effect: Effect, receivedMs: number): void
  link(link: Link): void
  /** Any frame, also a ping: the wire lives. */
  frame(receivedMs: number): void
  /** How old changes were when they had been applied, as the service is told. */
  delays(measured: Delays): void
}

const SILENCE_SLACK_MS = 5_000
/** We ask after this much silence, so that a quiet city does not look like a dead one. */
const PROBE_AFTER_MS = 2_500
/** How often the service is asked its time and told how old changes came. */
const REPORT_EVERY_MS = 10_000
const WATCH_EVERY_MS = 1_000
const WELCOME_TIMEOUT_MS = 10_000
/** From opening to a whole snapshot; beyond it the session is stuck, however many other frames it sends. */
const LIVE_TIMEOUT_MS = 30_000
/** Spread of reconnects that every console starts in the same instant (`online`, tab shown). */
const WAKE_JITTER_MS = 400

export class FeedConnection {
  #socket: Socket | null = null
  #link: Link = { state: 'connecting', retryAtMs: null, reason: null, login: false }
  #attempt = 0
  #openedMs = 0
  #lastFrameMs = 0
  #lastProbeMs = 0
  #lastReportMs = 0
  readonly #delays = new DelayMeter()
  #heartbeatMs = 15_000
  #live = false
  #cancelRetry: (() => void) | null = null
  #cancelWatch: (() => void) | null = null
  #view: { bbox: BBox | null; zoom: number } | null = null

  constructor(
    readonly protocol: FeedProtocol,
    private readonly around: Surroundings,
    private readonly handlers: Handlers,
  ) {}

  get link(): Link {
    return this.#link
  }

  start(): void {
    this.#watch()
    this.#connect()
  }

  /** Close for good (log out). */
  stop(): void {
    this.#cancelRetry?.()
    this.#cancelWatch?.()
    this.#drop()
    this.#setLink({ state: 'stopped', retryAtMs: null, reason: 'stopped', login: false })
  }

  /** The viewport for the state lane; repeated by us after each reconnect. */
  view(bbox: BBox | null, zoom: number): void {
    this.#view = { bbox, zoom }
    if (this.#live) this.#send({ type: 'view', bbox, zoom })
  }

  /** The page came back (online, tab shown, button pressed): do not wait out the backoff. */
  wake(): void {
    if (this.#link.state === 'waiting' || this.#link.state === 'offline') {
      this.#retryIn(this.around.random() * WAKE_JITTER_MS, this.#link.reason)
    } else if (this.#live && this.around.now() - this.#lastFrameMs > PROBE_AFTER_MS) {
      this.#probe()
    }
  }

  /** The network went away: say so at once instead of waiting for the heartbeat. */
  offline(): void {
    if (this.#link.state !== 'stopped') this.#lost('offline', null)
  }

  /** A patch came whose base is not here: begin anew. */
  lostBase(): void {
    this.protocol.lostBase()
    this.#lost('patch without its base', null)
  }

  /** Close the socket as a broken network would; for tests and the engineer's console. */
  breakLink(): void {
    this.#lost('broken on request', null)
  }

  #connect(): void {
    this.#cancelRetry?.()
    this.#setLink({ state: 'connecting', retryAtMs: null, reason: this.#link.reason, login: false })
    this.#openedMs = this.#lastFrameMs = this.around.now()
    const socket = this.around.open()
    this.#socket = socket
    socket.onopen = () => {
      for (const frame of this.protocol.opened()) this.#send(frame)
    }
    socket.onmessage = (text) => this.#message(socket, text)
    socket.onclose = (code) => {
      if (this.#socket === socket) this.#closed(code)
    }
  }

  #message(socket: Socket, text: string): void {
    const now = this.around.now()
    this.#lastFrameMs = now
    this.handlers.frame(now)
    let effects: Effect[]
    try {
      const frame = decodeFrame(text)
      effects = frame ? this.protocol.receive(frame) : []
    } catch (error) {
      this.protocol.forget()
      return this.#lost(`unreadable frame: ${String(error)}`, null)
    }
    for (const effect of effects) {
      // An effect may close this socket; what follows it then belongs to a dead link.
      if (this.#socket !== socket) return
      this.#perform(effect, now)
    }
  }

  #perform(effect: Effect, now: number): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.frame)
      case 'reconnect':
        return this.#lost(effect.reason, effect.afterMs)
      case 'stop':
        return this.#halt(effect.reason, false)
      case 'welcome':
        this.#heartbeatMs = effect.heartbeatMs
        this.#delays.welcome(effect.serverTimeMs, now)
        break
      case 'pong':
        return this.#delays.pong(effect.t, effect.serverTimeMs, now)
      case 'changes':
        this.handlers.effect(effect, now)
        return this.#delays.applied(effect.changes, this.around.now())
      case 'live':
        this.#live = true
        this.#attempt = 0
        this.#probe()
        if (this.#view) this.#send({ type: 'view', ...this.#view })
        this.#setLink({ state: 'live', retryAtMs: null, reason: null, login: false })
        break
    }
    this.handlers.effect(effect, now)
  }

  #closed(code: number): void {
    const verdict = closeVerdict(code)
    if (verdict.forget) this.protocol.forget()
    if (verdict.reconnect) this.#lost(`closed ${code}`, null)
    else this.#halt(`closed ${code}`, verdict.login ?? false)
  }

  #lost(reason: string, afterMs: number | null): void {
    this.#drop()
    const wait = Math.max(afterMs ?? 0, backoffMs(this.#attempt, () => this.around.random()))
    this.#attempt += 1
    this.#retryIn(wait, reason)
  }

  #halt(reason: string, login: boolean): void {
    this.#drop()
    this.#setLink({ state: 'stopped', retryAtMs: null, reason, login })
  }

  #retryIn(ms: number, reason: string | null): void {
    this.#cancelRetry?.()
    // "Offline" is the browser's opinion and wrong for a server on this machine, so it never stops us.
    const state = this.around.isOnline() ? 'waiting' : 'offline'
    this.#setLink({ state, retryAtMs: this.around.now() + ms, reason, login: false })
    this.#cancelRetry = this.around.schedule(() => this.#connect(), ms)
  }

  #watch(): void {
    this.#cancelWatch = this.around.schedule(() => {
      this.#watch()
      if (!this.#socket) return
      const now = this.around.now()
      const silence = now - this.#lastFrameMs
      const limit = this.#live ? this.#heartbeatMs + SILENCE_SLACK_MS : WELCOME_TIMEOUT_MS
      if (!this.#live && now - this.#openedMs > LIVE_TIMEOUT_MS) return this.#lost('never became live', null)
      if (silence > limit) return this.#lost(`silent for ${Math.round(silence / 1000)} s`, null)
      const sinceProbe = now - this.#lastProbeMs
      const due = sinceProbe >= REPORT_EVERY_MS || (silence > PROBE_AFTER_MS && sinceProbe > PROBE_AFTER_MS)
      if (this.#live && due) this.#probe()
    }, WATCH_EVERY_MS)
  }

  #probe(): void {
    const now = (this.#lastProbeMs = this.around.now())
    const delays = now - this.#lastReportMs >= REPORT_EVERY_MS ? this.#delays.report() : null
    if (delays) {
      this.#lastReportMs = now
      this.handlers.delays(delays)
    }
    this.#send({ type: 'ping', t: now, ...(delays && { delays }) })
  }

  #send(frame: ClientFrame): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  #drop(): void {
    const socket = this.#socket
    this.#socket = null
    this.#live = false
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close()
  }

  #setLink(link: Link): void {
    this.#link = link
    this.handlers.link(link)
  }
}
