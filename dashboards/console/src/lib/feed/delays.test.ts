import { beforeEach, describe, expect, it } from 'vitest'
import { DelayMeter } from './delays'
import { incident } from './testing'
import type { Change } from './types'

/** The service's clock is a day and a bit ahead of ours. */
const AHEAD_MS = 90_000_000
const SERVER_MS = Date.parse('2026-11-22T10:00:00.000Z')
const LOCAL_MS = SERVER_MS - AHEAD_MS

function changed(serverMs: number): Change {
  return { o: 1, op: 'upd', rev: 2, incident: incident('a', 2, { updated: new Date(serverMs).toISOString() }) }
}

let meter: DelayMeter

beforeEach(() => {
  meter = new DelayMeter()
  meter.welcome(SERVER_MS, LOCAL_MS + 300)
})

describe('delays', () => {
  it('are in the time of the service, by the quickest pong', () => {
    meter.pong(LOCAL_MS + 1_000, SERVER_MS + 1_900, LOCAL_MS + 2_000)
    meter.pong(LOCAL_MS + 3_000, SERVER_MS + 3_010, LOCAL_MS + 3_020)
    meter.pong(LOCAL_MS + 4_000, SERVER_MS + 4_100, LOCAL_MS + 5_000)
    expect(meter.offsetMs).toBe(AHEAD_MS)
    meter.applied([changed(SERVER_MS + 6_000)], LOCAL_MS + 6_120)
    expect(meter.report()).toEqual({ p50_ms: 120, p99_ms: 120, count: 1 })
  })

  it('are known by the welcome alone until a pong has come', () => {
    meter.applied([changed(SERVER_MS + 6_000)], LOCAL_MS + 6_500)
    expect(meter.report()).toMatchObject({ p50_ms: 200 })
  })

  it('follow a clock that was set', () => {
    meter.pong(LOCAL_MS + 1_000, SERVER_MS + 1_002, LOCAL_MS + 1_004)
    meter.pong(LOCAL_MS + 60_000, SERVER_MS + 2_010, LOCAL_MS + 60_020)
    expect(meter.offsetMs).toBe(AHEAD_MS - 58_000)
  })

  it('leave out what came about before the connection, and what only left', () => {
    meter.applied([changed(SERVER_MS - 1), { o: 2, op: 'del', rev: 3, incident: { id: 'a', rev: 3 } }], LOCAL_MS)
    expect(meter.report()).toBeNull()
  })

  it('are told once, as median and as the worst but one in a hundred', () => {
    meter.pong(LOCAL_MS, SERVER_MS, LOCAL_MS)
    for (let age = 1; age <= 200; age++) meter.applied([changed(SERVER_MS + 5_000 - age)], LOCAL_MS + 5_000)
    expect(meter.report()).toEqual({ p50_ms: 100, p99_ms: 198, count: 200 })
    expect(meter.report()).toBeNull()
  })

  it('are bounded, in number and in what they can be', () => {
    meter.pong(LOCAL_MS, SERVER_MS, LOCAL_MS)
    for (let n = 0; n < 3_000; n++) meter.applied([changed(SERVER_MS + 1)], LOCAL_MS + (n < 2_000 ? 1e9 : 1))
    expect(meter.report()).toEqual({ p50_ms: 0, p99_ms: 0, count: 3_000 })
    meter.applied([changed(SERVER_MS + 2), changed(SERVER_MS + 2)], LOCAL_MS + 1)
    meter.applied([changed(SERVER_MS + 2)], LOCAL_MS + 1e9)
    expect(meter.report()).toEqual({ p50_ms: 0, p99_ms: 3_600_000, count: 3 })
  })

  it.each([
    [NaN, SERVER_MS, LOCAL_MS],
    [LOCAL_MS, NaN, LOCAL_MS],
    [LOCAL_MS + 1, SERVER_MS, LOCAL_MS],
  ])('take no pong that cannot be (%d, %d, %d)', (sent, server, now) => {
    meter.pong(sent, server, now)
    expect(meter.offsetMs).toBe(AHEAD_MS - 300)
  })
})
