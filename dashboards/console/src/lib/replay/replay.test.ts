import { describe, expect, it } from 'vitest'
import type { DeviceState, Incident } from '../feed/types'
import { advance, around, fieldOf, momentOf, readAddress, seek, toggle, validSpeed, writeAddress, type ReplayClock } from './clock'
import { sceneAt, stepS, stretchMs, type Stretch } from './tape'

const T = Date.parse('2026-11-18T10:00:00Z')
const clock: ReplayClock = { fromMs: T, toMs: T + 60_000, atMs: T, playing: true, speed: 10 }

describe('the clock of a replay', () => {
  it('runs as many times faster as it is told', () => {
    expect(advance(clock, 1_000, Infinity).atMs).toBe(T + 10_000)
    expect(advance({ ...clock, playing: false }, 1_000, Infinity).atMs).toBe(T)
  })
  it('waits at the edge of what is loaded, still playing, and goes on from there', () => {
    const waiting = advance(clock, 1_000, T + 4_000)
    expect([waiting.atMs, waiting.playing]).toEqual([T + 4_000, true])
    expect(advance(waiting, 100, Infinity).atMs).toBe(T + 5_000)
  })
  it('never runs backwards when what is loaded lies behind', () => expect(advance(clock, 1_000, T - 5_000).atMs).toBe(T))
  it('stops at the end and begins anew', () => {
    const ended = advance(clock, 100_000, Infinity)
    expect([ended.atMs, ended.playing]).toEqual([T + 60_000, false])
    expect(toggle(ended)).toMatchObject({ atMs: T, playing: true })
  })
  it('stays within its range when sought', () => {
    expect(seek(clock, T - 1).atMs).toBe(T)
    expect(seek(clock, T + 90_000).atMs).toBe(T + 60_000)
  })
  it('has no future in its range', () => {
    expect(around(T, 60, T + 60_000, 1)).toMatchObject({ toMs: T + 60_000, fromMs: T - 59 * 60_000, atMs: T })
    expect(around(T + 5, 15, T, 1).atMs).toBe(T)
  })
  it('bounds its speed', () => expect([0, 1.4, 500, NaN].map(validSpeed)).toEqual([1, 1, 120, 1]))
  it('reads from an address what it wrote there', () => {
    const params = new URLSearchParams('ward=25747')
    writeAddress(around(T, 60, T + 3_600_000, 30), params)
    expect(readAddress(params)).toEqual({ atMs: T, speed: 30, minutes: 60 })
    writeAddress(null, params)
    expect(params.toString()).toBe('ward=25747')
    expect(readAddress(new URLSearchParams('replay=gestern'))).toBeNull()
  })
  it('shows and reads fields in Vietnamese time', () => {
    expect(fieldOf(T)).toBe('2026-11-18T17:00:00')
    expect(momentOf('2026-11-18T17:00')).toBe(T)
  })
})

const incident = (id: string, rev: number, handling: string): Incident => ({ id, rev, handling }) as Incident
const at = (s: number): string => new Date(T + s * 1000).toISOString()
const state = (id: string, speed_kmh: number): DeviceState => ({ id, speed_kmh }) as DeviceState
const stretch: Stretch = {
  fromMs: T,
  toMs: T + 60_000,
  frames: [
    { at: at(0), items: [state('a', 1), state('b', 1)] },
    { at: at(10), items: [state('a', 2)] },
  ],
  base: [incident('x', 3, 'new')],
  changes: [
    { at: at(10), incident: incident('y', 1, 'new') },
    { at: at(20), incident: incident('y', 2, 'resolved') },
    { at: at(15), incident: incident('x', 4, 'acknowledged') },
  ],
}

describe('a stretch of the past', () => {
  it('shows an incident from its start to its end', () => {
    const handling = (s: number): unknown[] => ['x', 'y'].map((id) => sceneAt(stretch, T + s * 1000).incidents.get(id)?.handling)
    expect(handling(9.999)).toEqual(['new', undefined])
    expect(handling(10)).toEqual(['new', 'new'])
    expect(handling(15)).toEqual(['acknowledged', 'new'])
    expect(handling(20)).toEqual(['acknowledged', 'resolved'])
  })
  it('is the same whichever way one came there', () => {
    const once = sceneAt(stretch, T + 5_000)
    sceneAt(stretch, T + 50_000)
    expect(sceneAt(stretch, T + 5_000)).toEqual(once)
  })
  it('keeps what did not change', () => {
    const { states } = sceneAt(stretch, T + 10_000)
    expect([states.get('a')?.speed_kmh, states.get('b')?.speed_kmh]).toEqual([2, 1])
  })
  it('never asks for more than the server answers', () => {
    for (let speed = 1; speed <= 120; speed++) {
      expect(stretchMs(speed)).toBeLessThanOrEqual(3_600_000)
      expect(stretchMs(speed) / 1000 / stepS(speed)).toBeLessThanOrEqual(180)
    }
  })
})
