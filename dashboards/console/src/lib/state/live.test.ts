import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { snap, welcome } from '../feed/testing'
import type { ServerFrame } from '../feed/types'
import { live } from './live.svelte'

/** The sockets a page has opened, which say what a test lets them say. */
const sockets: FakeWebSocket[] = []

class FakeWebSocket {
  static readonly OPEN = 1
  readonly readyState = FakeWebSocket.OPEN
  onopen: (() => void) | null = null
  onmessage: ((message: { data: string }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null

  constructor() {
    sockets.push(this)
  }

  send(): void {}
  close(): void {}

  deliver(...frames: ServerFrame[]): void {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) })
  }
}

const CUT: ServerFrame = { type: 'notice', level: 'warning', code: 'incidents_cut' }

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('WebSocket', FakeWebSocket)
  vi.stubGlobal('location', { href: 'http://ioc.example/' })
  vi.stubGlobal('fetch', () => new Promise(() => undefined))
  vi.stubGlobal('addEventListener', () => undefined)
  vi.stubGlobal('document', { addEventListener: () => undefined, visibilityState: 'visible' })
})

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** The socket that is opened after the present one has broken. */
async function reopened(): Promise<FakeWebSocket> {
  const before = sockets.length
  sockets.at(-1)?.onclose?.({ code: 1006 })
  // Not a fixed time: the wait is random, and a socket that is never welcomed is given up again.
  while (sockets.length === before) await vi.advanceTimersToNextTimerAsync()
  const socket = sockets.at(-1) as FakeWebSocket
  socket.onopen?.()
  return socket
}

it('says of a list that was cut that it is, until another takes its place', async () => {
  const stop = live.start(() => undefined)
  const socket = sockets[0] as FakeWebSocket
  socket.onopen?.()
  socket.deliver(welcome('snapshot'), CUT, snap(5, []))
  expect(live.cut).toBe(true)

  const resumed = await reopened()
  resumed.deliver(welcome('resume'))
  expect(live.cut).toBe(true)
  resumed.deliver({ type: 'reset', reason: 'retention' }, snap(9, []))
  expect(live.cut).toBe(false)

  resumed.deliver(CUT)
  ;(await reopened()).deliver(welcome('snapshot'), snap(9, []))
  expect(live.cut).toBe(false)
  stop()
})
