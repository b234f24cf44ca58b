import { describe, expect, it } from 'vitest'
import { incident } from '../feed/testing'
import { runningClock } from './clocks'
import { matcher, NO_FILTER, readFilter, writeFilter } from './filter'
import { hold, windowOf } from './freeze'
import { alarmRate, bySeverityThenAge, countBySeverity, sharedName } from './order'
import { containsAll, fold } from './text'

const at = (minute: number): string => `2026-11-22T10:${String(minute).padStart(2, '0')}:00.000Z`

describe('order', () => {
  it('puts the worst first, then the unacknowledged, then what goes on, then the one that waits longest', () => {
    const list = [
      incident('past', 1, { severity: 'high', detected: at(1), condition: 'cleared' }),
      incident('late', 1, { severity: 'high', detected: at(9) }),
      incident('low', 1, { severity: 'low', detected: at(1) }),
      incident('held', 2, { severity: 'high', detected: at(1), handling: 'assigned' }),
      incident('early', 1, { severity: 'high', detected: at(2) }),
      incident('worst', 1, { severity: 'critical', detected: at(30) }),
    ]
    expect(list.sort(bySeverityThenAge).map(({ id }) => id)).toEqual(['worst', 'early', 'late', 'past', 'held', 'low'])
  })

  it('counts open incidents only', () => {
    const counts = countBySeverity([incident('a'), incident('b', 1, { handling: 'assigned' }), incident('c', 1, { handling: 'closed' })])
    expect(counts.medium).toEqual({ open: 2, unacked: 1 })
  })

  it('calls ten in ten minutes a flood and names what most of it shares', () => {
    const now = Date.parse(at(20))
    const list = Array.from({ length: 10 }, (_, i) => incident(`i${i}`, 1, { detected: at(12 + (i % 5)), rule: i < 7 ? 'jam' : 'fall' }))
    expect(alarmRate(list, now)).toMatchObject({ recent: 10, flood: true, topRule: ['jam', 7] })
    expect(alarmRate(list.slice(1), now).flood).toBe(false)
  })
})

describe('sharedName', () => {
  it('calls incidents by the title they share, and different ones by what they are of', () => {
    expect(sharedName(['Ùn tắc', 'Ùn tắc'], 'Giao thông')).toBe('Ùn tắc')
    expect(sharedName(['Phản ánh: Rác', 'Phản ánh: Đèn'], 'Phản ánh người dân')).toBe('Phản ánh người dân')
    expect(sharedName([], 'Giao thông')).toBe('Giao thông')
  })
})

describe('hold', () => {
  it('shows the live order when nobody is choosing', () => {
    expect(hold(['a', 'b'], ['b', 'c'], false)).toEqual({ ids: ['b', 'c'], fresh: [] })
  })

  it('keeps every row in place while held, also those that left, and collects what is new', () => {
    expect(hold(['a', 'b'], ['new', 'b'], true)).toEqual({ ids: ['a', 'b'], fresh: ['new'] })
  })

  it('does not hold an empty list', () => {
    expect(hold([], ['a'], true)).toEqual({ ids: ['a'], fresh: [] })
  })

  it('draws only rows near the view', () => {
    expect(windowOf(7_600, 760, 76, 2_000, 5)).toEqual({ from: 95, to: 115 })
    expect(windowOf(0, 760, 76, 3)).toEqual({ from: 0, to: 3 })
  })
})

describe('filter', () => {
  it('shows what is merged in its head only, and what is shelved apart', () => {
    const list = [
      incident('open'), incident('part', 1, { handling: 'merged', merged_into: 'open' }),
      incident('later', 1, { shelved_until: at(59) }), incident('done', 1, { handling: 'closed' }),
    ]
    const shown = (state: 'open' | 'shelved' | 'finished') => list.filter(matcher({ ...NO_FILTER, state }, () => '')).map(({ id }) => id)
    expect([shown('open'), shown('shelved'), shown('finished')]).toEqual([['open'], ['later'], ['done']])
    expect(countBySeverity(list).medium).toEqual({ open: 1, unacked: 1 })
  })

  it('finds without diacritics, words in any order, and đ as d', () => {
    expect(fold('Đường Ùn Tắc')).toBe('duong un tac')
    expect(containsAll(fold('Ùn tắc hầm chui, Phường Dĩ An'), 'di an tac')).toBe(true)
  })

  it('survives the address bar', () => {
    const filter = { severities: ['critical' as const], state: 'new' as const, ward: '25747', category: 'traffic', rule: 'congestion', query: 'hầm' }
    const params = new URLSearchParams('incident=x')
    writeFilter(filter, params)
    expect(params.get('incident')).toBe('x')
    expect(readFilter(new URLSearchParams(params.toString()))).toEqual(filter)
  })

  it('shows open incidents by default and finished ones on request', () => {
    const open = matcher(NO_FILTER, () => '')
    const finished = matcher({ ...NO_FILTER, state: 'finished' }, () => '')
    const done = incident('a', 1, { handling: 'resolved' })
    expect([open(done), finished(done), open(incident('b'))]).toEqual([false, true, true])
  })

  it('keeps to one rule when asked', () => {
    const jams = matcher({ ...NO_FILTER, rule: 'road-jam' }, () => '')
    expect([jams(incident('a')), jams(incident('b', 1, { rule: 'crowd' }))]).toEqual([true, false])
  })

  it('ignores an address it does not understand', () => {
    expect(readFilter(new URLSearchParams('sev=nonsense&state=nonsense'))).toEqual(NO_FILTER)
  })
})

describe('clocks', () => {
  const base = { detected: at(0), ack_due: at(5), resolve_due: at(50) }

  it('runs towards acknowledgement first, then towards resolution', () => {
    expect(runningClock(incident('a', 1, base), Date.parse(at(1)))).toMatchObject({ kind: 'ack', leftMs: 240_000 })
    const held = incident('a', 2, { ...base, handling: 'acknowledged' })
    expect(runningClock(held, Date.parse(at(10)))).toMatchObject({ kind: 'resolve', used: expect.closeTo(0.2) })
  })

  it('is negative once overdue and absent once finished', () => {
    expect(runningClock(incident('a', 1, base), Date.parse(at(6)))?.leftMs).toBe(-60_000)
    expect(runningClock(incident('a', 1, { ...base, handling: 'closed' }), 0)).toBeNull()
  })
})
