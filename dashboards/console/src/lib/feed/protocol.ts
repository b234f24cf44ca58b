/**
 * The feed's rules without a socket, a timer or a clock: frames in, effects out.
 *
 * The caller opens the socket and sends `opened()`; passes every parsed frame to `receive()` and performs
 * the effects in order. The position survives reconnects, so the next `opened()` resumes by itself.
 *
 *   waiting ──welcome(resume)──► live ◄──────────── last page
 *      └─────welcome(snapshot)─► snapshot ──snap…──┘      reset: live → snapshot
 */
import type { Change, ClientFrame, DeviceChanges, DeviceState, Incident, Position, ServerFrame } from './types'

export type Effect =
  | { kind: 'send'; frame: ClientFrame }
  /** `resumed`: what we hold goes on; else a snapshot takes its place. */
  | { kind: 'welcome'; serverTimeMs: number; heartbeatMs: number; resumed: boolean }
  /** The feed is complete up to the position: from here on it is live. */
  | { kind: 'live' }
  | { kind: 'replace'; incidents: Incident[]; newEpoch: boolean }
  | { kind: 'changes'; changes: Change[] }
  | { kind: 'states'; set: DeviceState[]; del: string[]; conflated: number }
  | ({ kind: 'devices' } & DeviceChanges)
  | { kind: 'notice'; level: string; code: string }
  /** The service's time, in answer to a ping that said `t`. */
  | { kind: 'pong'; t: number; serverTimeMs: number }
  /** Close the socket and open another; the position kept decides between resume and snapshot. */
  | { kind: 'reconnect'; reason: string; afterMs: number | null }
  | { kind: 'stop'; reason: string }

type Phase = 'waiting' | 'snapshot' | 'live'

/** Frames that may wait for a snapshot's last page; beyond it we start over rather than grow. */
const MAX_HELD_FRAMES = 500

export class FeedProtocol {
  #phase: Phase = 'waiting'
  #position: Position | null = null
  #pages: Incident[] = []
  #nextPage = 0
  #knownEpoch: string | null = null
  #held: Extract<ServerFrame, { type: 'ev' }>[] = []
  #lostBase = false

  constructor(
    private readonly client: string,
    private readonly lang: () => string,
  ) {}

  get position(): Position | null {
    return this.#position
  }

  get phase(): Phase {
    return this.#phase
  }

  /** Call when a socket has opened: the frames to send first. */
  opened(): ClientFrame[] {
    this.#phase = 'waiting'
    this.#dropSnapshot()
    const hello: ClientFrame = { type: 'hello', client: this.client, lang: this.lang(), caps: ['patch', 'devices'] }
    if (this.#lostBase) return [{ ...hello, lost: 'base' }]
    return [this.#position ? { ...hello, resume: this.#position } : hello]
  }

  /** A patch had no base here: the next `opened()` says so, and is given a snapshot and whole incidents. */
  lostBase(): void {
    this.forget()
    this.#lostBase = true
  }

  /** Forget the position: the next `opened()` asks for a snapshot. */
  forget(): void {
    this.#position = null
  }

  receive(frame: ServerFrame): Effect[] {
    switch (frame.type) {
      case 'welcome':
        return this.#welcome(frame)
      case 'snap':
        return this.#snap(frame)
      case 'ev':
        return this.#events(frame)
      case 'state':
        return [{ kind: 'states', set: frame.set, del: frame.del, conflated: frame.conflated ?? 0 }]
      case 'devices':
        return [{ ...frame, kind: 'devices' }]
      case 'reset':
        this.#phase = 'snapshot'
        this.#position = null
        this.#dropSnapshot()
        return [{ kind: 'notice', level: 'info', code: `reset:${frame.reason}` }]
      case 'notice':
        return [{ kind: 'notice', level: frame.level, code: frame.code }]
      case 'ping':
        return [{ kind: 'send', frame: { type: 'pong', t: frame.t } }]
      case 'pong':
        return [{ kind: 'pong', t: Number(frame.t), serverTimeMs: Date.parse(frame.server_time ?? '') }]
      case 'bye':
        return frame.reconnect
          ? [{ kind: 'reconnect', reason: frame.reason, afterMs: frame.after_ms ?? null }]
          : [{ kind: 'stop', reason: frame.reason }]
      default:
        return []
    }
  }

  #welcome(frame: Extract<ServerFrame, { type: 'welcome' }>): Effect[] {
    this.#lostBase = false
    const effects: Effect[] = [
      { kind: 'welcome', serverTimeMs: Date.parse(frame.server_time), heartbeatMs: frame.hb_ms, resumed: frame.mode === 'resume' },
    ]
    if (frame.mode === 'resume' && this.#position?.epoch === frame.epoch) {
      this.#phase = 'live'
      return [...effects, { kind: 'live' }]
    }
    // A resume of something we do not hold would leave us without the state before it.
    if (frame.mode === 'resume') return this.#restart('resumed another epoch')
    this.#phase = 'snapshot'
    this.#position = null
    this.#dropSnapshot()
    return effects
  }

  #snap(frame: Extract<ServerFrame, { type: 'snap' }>): Effect[] {
    this.#phase = 'snapshot'
    if (frame.page !== this.#nextPage) return this.#restart(`snapshot page ${frame.page}`)
    this.#nextPage += 1
    this.#pages.push(...frame.items)
    if (!frame.last) return []
    const newEpoch = this.#knownEpoch !== null && this.#knownEpoch !== frame.epoch
    const effects: Effect[] = [{ kind: 'replace', incidents: this.#pages, newEpoch }]
    const held = this.#held
    this.#position = { epoch: frame.epoch, offset: frame.offset }
    this.#knownEpoch = frame.epoch
    this.#phase = 'live'
    this.#dropSnapshot()
    effects.push({ kind: 'live' })
    for (const later of held) effects.push(...this.#events(later))
    return effects
  }

  #events(frame: Extract<ServerFrame, { type: 'ev' }>): Effect[] {
    if (this.#phase === 'snapshot') {
      this.#held.push(frame)
      return this.#held.length > MAX_HELD_FRAMES ? this.#restart('snapshot too slow') : []
    }
    const at = this.#position
    if (this.#phase !== 'live' || at === null) return this.#restart('events before a position')
    if (frame.epoch !== at.epoch) return this.#restart('epoch changed')
    if (frame.from !== at.offset + 1) {
      // A whole repeat is harmless; anything else is a hole, and only the log can fill it.
      if (frame.to <= at.offset) return []
      return [{ kind: 'reconnect', reason: `gap: ${frame.from} after ${at.offset}`, afterMs: 0 }]
    }
    this.#position = { epoch: at.epoch, offset: Math.max(frame.to, at.offset) }
    return frame.events.length ? [{ kind: 'changes', changes: frame.events }] : []
  }

  #restart(reason: string): Effect[] {
    this.forget()
    this.#phase = 'waiting'
    this.#dropSnapshot()
    return [{ kind: 'reconnect', reason, afterMs: null }]
  }

  #dropSnapshot(): void {
    this.#pages = []
    this.#nextPage = 0
    this.#held = []
  }
}
