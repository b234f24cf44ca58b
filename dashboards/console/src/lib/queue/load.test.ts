import { describe, expect, it } from 'vitest'
import type { Incident } from '../feed/types'
import { alarmLoad as loadOf, HOUR_MS } from './load'

const alarmLoad = (incidents: Incident[], nowMs: number) => loadOf(incidents, nowMs, (source) => source !== 'citizens')

const NOW = Date.parse('2026-11-22T10:00:00Z')

function incident(id: string, minutesAgo: number, more: Partial<Incident> = {}): Incident {
  return { id, rule: 'wrong-way', source: 'cam-1', handling: 'new', condition: 'active', detected: new Date(NOW - minutesAgo * 60_000).toISOString(), ...more } as Incident
}

describe('alarm load', () => {
  it('counts the hour, what is part of another left out, and judges it', () => {
    const old = incident('old', 61)
    const part = incident('part', 1, { handling: 'merged' })
    const load = alarmLoad([old, part, ...Array.from({ length: 7 }, (_, i) => incident(`i${i}`, i))], NOW)
    expect([load.hour, load.level]).toEqual([7, 'manageable'])
    expect(alarmLoad([old], NOW).level).toBe('good')
    expect(alarmLoad(Array.from({ length: 13 }, (_, i) => incident(`i${i}`, i)), NOW).level).toBe('over')
  })

  it('names the ten busiest sources, finished incidents counted', () => {
    const many = Array.from({ length: 12 }, (_, i) => incident(`i${i}`, 1, { source: `cam-${i}` }))
    const again = incident('again', 2, { source: 'cam-7', handling: 'closed', rule: 'crowd' })
    const { sources } = alarmLoad([...many, again, incident('none', 1, { source: null })], NOW)
    expect(sources).toHaveLength(10)
    expect(sources[0]).toEqual({ source: 'cam-7', n: 2 })
  })

  it('says who chatters: one rule at one source three times in an hour', () => {
    const three = [1, 2, 3].map((minutes) => incident(`i${minutes}`, minutes))
    const other = [1, 2].map((minutes) => incident(`o${minutes}`, minutes, { rule: 'crowd' }))
    expect(alarmLoad([...three, ...other], NOW).chattering).toEqual([{ source: 'cam-1', rule: 'wrong-way', n: 3 }])
  })

  it('lets people report as often as they like', () => {
    const reports = [1, 2, 3].map((minutes) => incident(`r${minutes}`, minutes, { source: 'citizens' }))
    const load = alarmLoad(reports, NOW)
    expect([load.chattering, load.sources]).toEqual([[], [{ source: 'citizens', n: 3 }]])
  })

  it('finds what has gone on for more than a day, oldest first', () => {
    const day = (24 * HOUR_MS) / 60_000
    const list = [incident('b', day + 1), incident('a', day + 5), incident('done', day + 9, { handling: 'resolved' }), incident('over', day + 9, { condition: 'cleared' })]
    expect(alarmLoad(list, NOW).stale.map(({ id }) => id)).toEqual(['a', 'b'])
  })
})
