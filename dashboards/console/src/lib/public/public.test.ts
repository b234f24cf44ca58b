import { describe, expect, it } from 'vitest'
import type { Group } from '../api/readings'
import { tidyCode } from './code'
import { rowsOf, share, span } from './figures'
import { sha256 } from './sha256'
import type { Figures } from './types'
import { paceOf, rowsOfGroups } from './wall'
import { formerIn, wardsNamed } from './wards'
import { ago } from './when'
import { solve } from './work'

const hex = (bytes: ArrayLike<number>, digits: number): string =>
  Array.from(bytes, (each) => each.toString(16).padStart(digits, '0')).join('')
const theirs = async (text: string): Promise<string> =>
  hex(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))), 2)

describe('proof of work', () => {
  it('hashes as everybody else does, whatever the length', async () => {
    for (let length = 0; length < 200; length += 1) {
      const text = 'a1:'.repeat(100).slice(0, length)
      expect(hex(sha256(text), 8)).toBe(await theirs(text))
    }
  })

  it('finds a number whose hash begins with the bits asked for', async () => {
    const solution = await solve({ seed: '64a3b2.0123', bits: 10 })
    expect(solution).toMatch(/^64a3b2\.0123:\d+$/)
    expect(parseInt((await theirs(solution)).slice(0, 8), 16) >>> 22).toBe(0)
  })
})

describe('what people type and read', () => {
  it('takes a code however it is typed', () => {
    for (const typed of ['7k3mq-9qx2f-c', ' 7K3MQ 9QX2F C ', '7k3mq—9qx2f—c', '-7K3MQ--9QX2F-C-']) {
      expect(tidyCode(typed)).toBe('7K3MQ-9QX2F-C')
    }
  })

  it('tells ages in words of the language', () => {
    const now = Date.parse('2026-11-28T10:00:00Z')
    expect(ago('2026-11-28T07:00:00Z', 'vi', now)).toBe('3 giờ trước')
    expect(ago('2026-11-26T09:00:00Z', 'en', now)).toBe('2 days ago')
    expect(ago('2026-11-28T10:00:05Z', 'en', now)).toBe('just now')
  })
})

describe('the board', () => {
  it('has no share of nothing, and a time in the unit that fits', () => {
    expect([share(0, 0), share(0, 4), share(3, 4)]).toEqual([null, 0, 0.75])
    expect([8, 90, 3_599].map(span)).toEqual([[1, 'minutes'], [2, 'minutes'], [60, 'minutes']])
    expect([3_600, 86_400, 172_799].map(span)).toEqual([[1, 'hours'], [24, 'hours'], [48, 'hours']])
    expect([172_800, 864_000].map(span)).toEqual([[2, 'days'], [10, 'days']])
  })

  it('orders rows by what is to be done, and equal ones always alike', () => {
    const row = (open: number, received: number): Figures => ({
      open, received, done: 0, rejected: 0, overdue: 0, within_due: 0, median_done_s: null,
    })
    const rows = rowsOf({ b: row(1, 1), a: row(1, 1), c: row(1, 9), d: row(5, 5) })
    expect(rows.map(({ code }) => code)).toEqual(['d', 'c', 'a', 'b'])
  })
})

describe('a screen on a wall', () => {
  it('turns as fast as its address asks, between five seconds and five minutes', () => {
    expect(['?kiosk', '?kiosk&pace=30', '?pace=4', '?pace=301', '?pace=x', '?pace='].map(paceOf)).toEqual([15, 30, 15, 15, 15, 15])
  })

  it('puts first what is late, leaves out where nothing was to be done, and takes no missing figure for a zero share', () => {
    const group = (key: string | null, open: number, overdue: number, done: number, inTime: number | null): Group => ({
      key,
      name: null,
      figures: Object.entries({ open, overdue, within_time: inTime, resolve_median: 60 }).map(([figure, value]) => ({
        figure, value, n: figure === 'resolve_median' ? done : 0, coverage: null, age_s: null, trend: null,
      })),
    })
    const rows = rowsOfGroups([group(null, 9, 1, 9, 1), group('', 1, 0, 0, null), group('a', 5, 0, 0, null), group('b', 1, 1, 2, 0.5), group('c', 0, 0, 0, null)])
    expect(rows).toEqual([
      { code: 'b', open: 1, overdue: 1, done: 2, inTime: 0.5 },
      { code: 'a', open: 5, overdue: 0, done: 0, inTime: null },
    ])
  })
})

describe('wards', () => {
  const wards = { t: { vi: 'Phường Thủ Dầu Một', en: 'Thu Dau Mot Ward' }, p: { vi: 'Phường Phú Lợi', en: 'Phu Loi Ward' }, a: { vi: 'Phường An Phú', en: 'An Phu Ward' } }
  const former = { t: 'Phường Phú Cường; Phường Hiệp Thành', p: 'Phường Phú Lợi; Phường Hiệp Thành' }

  it('are found by the name of today and of before, with or without diacritics', () => {
    expect(['hiep thanh', 'Phú Cường', 'phu loi', 'an phu', 'xa la'].map((query) => wardsNamed(query, wards, former))).toEqual([['t', 'p'], ['t'], ['p'], ['a'], []])
  })

  it('that were merged are recognised in an address, as whole names, and a name that still is one leads nowhere else', () => {
    expect(formerIn('12 Yersin, phường Hiệp Thành', wards, former)).toEqual({ name: 'Phường Hiệp Thành', codes: ['t', 'p'] })
    expect(formerIn('chợ phuong phu cuong, TDM', wards, former)?.codes).toEqual(['t'])
    for (const address of ['Phường Phú Lợi', 'phường Hiệp Thànhx', 'Hiệp', '']) expect(formerIn(address, wards, former)).toBeNull()
  })
})
