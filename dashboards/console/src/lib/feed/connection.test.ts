import { beforeEach, describe, expect, it } from 'vitest'
import { BACKOFF_MAX_MS, backoffMs } from './backoff'
import { FeedConnection, type Link, type Socket, type Surroundings } from './connection'
import { decodeFrame } from './decode'
import { FeedProtocol } from './protocol'
import { change, ev, snap, welcome } from './testing'
import type { ClientFrame, Delays, ServerFrame } from './types'

class FakeSocket implements Socket {
  sent: ClientFrame[] = []
  closed = false
  onopen: Socket['onopen'] = null
  onmessage: Socket['onmessage'] = null
  onclose: Socket['onclose'] = null
  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientFrame)
  }
  close(): void {
    this.closed = true
  }
  deliver(...frames: ServerFrame[]): void {
    for (const frame of frames) this.onmessage?.(JSON.stringify(frame))
  }
}

/** Time that moves only when told; no socket, no page. */
class FakeWorld implements Surroundings {
  sockets: FakeSocket[] = []
  online = true
  #now = 0
  #due: { at: number; run: () => void }[] = []
  now = (): number => this.#now
  random = (): number => 0.5
  isOnline = (): boolean => this.online
  open = (): Socket => {
    const socket = new FakeSocket()
    this.sockets.push(socket)
    return socket
  }
  schedule = (run: () => void, ms: number): (() => void) => {
    const entry = { at: this.#now + ms, run }
    this.#due.push(entry)
    return () => (this.#due = this.#due.filter((other) => other !== entry))
  }
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#due = this.#due.filter((entry) => entry !== next)
      this.#now = next.at
      next.run()
    }
    this.#now = end
  }
  get socket(): FakeSocket {
    return this.sockets.at(-1) as FakeSocket
  }
}

let world: FakeWorld
let connection: FeedConnection
let link: Link
let delays: Delays | null

beforeEach(() => {
  delays = null
  world = new FakeWorld()
  connection = new FeedConnection(new FeedProtocol('test', () => 'vi'), world, {
    effect: () => undefined,
    frame: () => undefined,
    delays: (measured) => (delays = measured),
    link: (now) => (link = now),
  })
  connection.start()
})

function goLive(): void {
  world.socket.onopen?.()
  world.socket.deliver(welcome('snapshot'), snap(5, []))
}

describe('connection', () => {
  it('is live only when the snapshot is whole', () => {
    world.socket.onopen?.()
    world.socket.deliver(welcome('snapshot'), snap(5, [], 0, false))
    expect(link.state).toBe('connecting')
    world.socket.deliver(snap(5, [], 1, true))
    expect(link.state).toBe('live')
  })

  it('gives up a silent line after the heartbeat and its slack, and resumes', () => {
    goLive()
    const first = world.socket
    world.advance(19_000)
    expect(link.state).toBe('live')
    world.advance(2_500)
    expect(first.closed).toBe(true)
    world.advance(1_000)
    world.socket.onopen?.()
    expect(world.socket.sent[0]).toMatchObject({ type: 'hello', resume: { offset: 5 } })
  })

  it('asks a quiet line for a sign of life, so that quiet is not taken for dead', () => {
    goLive()
    world.advance(4_000)
    expect(world.socket.sent.some(({ type }) => type === 'ping')).toBe(true)
    for (let i = 0; i < 20; i++) {
      world.socket.deliver({ type: 'pong', t: 0 })
      world.advance(2_000)
    }
    expect(world.sockets).toHaveLength(1)
  })

  it('tells the service how old changes came, however busy the line', () => {
    goLive()
    const pings = (): ClientFrame[] => world.socket.sent.filter(({ type }) => type === 'ping')
    expect(pings()).toEqual([{ type: 'ping', t: 0 }])
    world.advance(40)
    world.socket.deliver({ type: 'pong', t: 0, server_time: '2026-11-22T10:00:00.020Z' })
    world.socket.deliver(ev(6, 6, [change(6, 'add', 'a', 1)]))
    for (let second = 1; second <= 12; second++) {
      world.advance(1_000)
      world.socket.deliver({ type: 'state', set: [], del: [], conflated: 0 })
    }
    expect(pings().slice(1)).toEqual([{ type: 'ping', t: 10_000, delays: { p50_ms: 40, p99_ms: 40, count: 1 } }])
    expect(delays).toEqual({ p50_ms: 40, p99_ms: 40, count: 1 })
  })

  it('never stops trying, and never waits longer than the limit', () => {
    for (let i = 0; i < 50; i++) {
      world.socket.onclose?.(1006)
      expect(link.state).toBe('waiting')
      expect((link.retryAtMs ?? 0) - world.now()).toBeLessThanOrEqual(BACKOFF_MAX_MS)
      world.advance(BACKOFF_MAX_MS)
    }
    expect(world.sockets.length).toBeGreaterThan(50)
  })

  it('gives up a session that talks but never becomes live', () => {
    world.socket.onopen?.()
    world.socket.deliver(welcome('snapshot'))
    for (let i = 0; i < 32; i++) {
      world.socket.deliver({ type: 'state', set: [], del: [], conflated: 0 })
      world.advance(1_000)
    }
    expect(world.sockets.length).toBeGreaterThan(1)
  })

  it('asks for a login when the session is gone, and does not come back by itself', () => {
    goLive()
    world.socket.onclose?.(4401)
    expect(link).toMatchObject({ state: 'stopped', login: true })
    world.advance(60_000)
    expect(world.sockets).toHaveLength(1)
  })

  it('comes back at once when the network does', () => {
    goLive()
    world.online = false
    connection.offline()
    expect(link.state).toBe('offline')
    world.online = true
    connection.wake()
    world.advance(400)
    expect(world.sockets).toHaveLength(2)
  })

  it('tells every new session what the person looks at', () => {
    connection.view([106, 10, 107, 11], 12)
    goLive()
    expect(world.socket.sent.at(-1)).toEqual({ type: 'view', bbox: [106, 10, 107, 11], zoom: 12 })
  })

  it('begins anew when a patch has no base', () => {
    goLive()
    connection.lostBase()
    world.advance(1_000)
    world.socket.onopen?.()
    expect(world.socket.sent[0]).toMatchObject({ lost: 'base' })
    expect(world.socket.sent[0]).not.toHaveProperty('resume')
  })

  it('hears nothing from a socket it has left', () => {
    goLive()
    const old = world.socket
    world.socket.deliver(ev(9, 9))
    expect(link.state).toBe('waiting')
    old.deliver(ev(6, 6))
    expect(connection.protocol.position?.offset).toBe(5)
  })

  it('starts from a snapshot after a frame it cannot read', () => {
    goLive()
    world.socket.onmessage?.('{"type":"ev"')
    world.advance(1_000)
    world.socket.onopen?.()
    expect(world.socket.sent[0]).not.toHaveProperty('resume')
  })
})

describe('backoff', () => {
  it('grows, is bounded and is never zero', () => {
    const least = [0, 1, 2, 3, 9, 40].map((attempt) => backoffMs(attempt, () => 0))
    expect(least).toEqual([200, 400, 800, 1600, 6000, 6000])
    expect(backoffMs(40, () => 1)).toBe(BACKOFF_MAX_MS)
  })
})

describe('decoder', () => {
  it('passes over types it does not know and fields it does not need', () => {
    expect(decodeFrame('{"type":"later","x":1}')).toBeNull()
    expect(decodeFrame('{"type":"ping","t":1,"more":true}')).toMatchObject({ type: 'ping' })
  })

  it.each(['', '[]', 'null', '{}', '{"type":"ev","from":"1"}', '{"type":"snap","epoch":"e"}'])('refuses %j', (text) => {
    expect(() => decodeFrame(text)).toThrow(SyntaxError)
  })
})
