import { describe, expect, it } from 'vitest'
import { legalOps, nextOp } from '../api/lifecycle'
import { incident } from '../feed/testing'
import type { Handling, Incident } from '../feed/types'
import { vi } from '../i18n/vi'
import { evidenceLine } from './evidence'
import { withNames, withoutSource } from './names'
import { ago, clockTime, countdown, stamp } from './time'

describe('time', () => {
  it('is Vietnam’s, whatever the machine’s zone', () => {
    expect(clockTime(Date.parse('2026-11-22T17:30:05Z'))).toBe('00:30:05')
  })

  it('names the day only when it is not today', () => {
    const now = Date.parse('2026-11-22T18:00:00Z')
    expect(stamp(Date.parse('2026-11-22T17:30:00Z'), now)).toBe('00:30:00')
    expect(stamp(Date.parse('2026-11-22T16:30:00Z'), now)).toBe('22/11 23:30:00')
  })

  it('counts down in minutes, hours and days', () => {
    const { unit } = vi
    expect([59_000, 3_599_000, 3_600_000, 200_000_000].map((ms) => countdown(ms, unit))).toEqual(['0:59', '59:59', '1:00:00', '2 ngày 7 giờ'])
    expect([5_000, 120_000, 3_660_000].map((ms) => ago(ms, unit))).toEqual(['5 giây', '2 phút', '1 giờ 1 phút'])
  })
})

const NOTHING = { op: null, threshold: null, unit: null }

describe('evidence', () => {
  it('says value and threshold in plain language', () => {
    const line = evidenceLine({ name: 'speed_kmh', value: 12.34, op: '<', threshold: 20, unit: 'km/h' }, 'vi', vi.why)
    expect(line).toMatchObject({ name: 'Tốc độ', value: '12,3 km/h', threshold: '< 20 km/h' })
    expect(line.bar?.threshold).toBeGreaterThan(line.bar?.value ?? 1)
  })

  it('shows fractions as percent, flags as words and unknown names as they are', () => {
    expect(evidenceLine({ name: 'occupancy', value: 0.42, op: '>', threshold: 0.35, unit: null }, 'en', vi.why).value).toBe('42 %')
    expect(evidenceLine({ name: 'online', value: false, ...NOTHING }, 'vi', vi.why).value).toBe('không')
    expect(evidenceLine({ name: 'odd_thing', value: 'x', ...NOTHING }, 'vi', vi.why).name).toBe('Odd thing')
  })
})

describe('commands', () => {
  const at = (handling: Handling, more: Partial<Incident> = {}) => incident('i', 1, { handling, ...more })

  it('offers only what the state machine allows', () => {
    expect(legalOps(at('new'), 'operator')).toEqual([
      'acknowledge', 'assign', 'start', 'resolve', 'comment', 'reject', 'reroute', 'involve', 'merge', 'shelve', 'pause',
    ])
    expect(legalOps(at('resolved'), 'operator')).toEqual(['close', 'reopen', 'comment'])
    expect(legalOps(at('merged'), 'operator')).toEqual(['comment', 'unmerge'])
  })

  it('offers only what the incident as it stands has use for', () => {
    const now = '2026-11-22T10:00:00Z'
    const offered = legalOps(at('new', { handed_from: '25750', shelved_until: now, paused: now, members: 2 }), 'operator')
    for (const op of ['accept', 'decline', 'unshelve', 'resume'] as const) expect(offered).toContain(op)
    for (const op of ['acknowledge', 'merge', 'shelve', 'pause'] as const) expect(offered).not.toContain(op)
    expect(nextOp(at('new', { handed_from: '25750' }))).toBe('accept')
  })

  it('offers each role what the server lets it do', () => {
    expect(legalOps(at('new'), 'ward')).toEqual(['acknowledge', 'assign', 'start', 'resolve', 'comment', 'reroute'])
    expect(legalOps(at('resolved'), 'ward')).toEqual(['comment'])
    expect([legalOps(at('new'), 'leader'), legalOps(at('new'), 'engineer')]).toEqual([['comment'], ['comment']])
    expect(legalOps(at('new'), 'auditor' as never)).toEqual([])
  })
})

describe('names', () => {
  const names = new Map([['cam-25747-01', 'Cổng trường'], ['det-1', 'Cầu Phú Cường']])
  const told = (text: string) => withNames(text, (id) => names.get(id), (code) => (code === '25747' ? 'Phường Thủ Dầu Một' : undefined))

  it('stand in the place of device ids, and only of known ones', () => {
    expect(told('Camera cam-25747-01 thấy khói, 2 lần')).toBe('Camera Cổng trường thấy khói, 2 lần')
    expect(told('Ùn tắc giao thông tại det-1.')).toBe('Ùn tắc giao thông tại Cầu Phú Cường.')
    expect(told('Camera cam-25747-012 mất tín hiệu')).toBe('Camera cam-25747-012 mất tín hiệu')
  })

  it('stand in the place of ward codes, with the rank said once', () => {
    expect(told('2 phản ánh ngập tại phường, xã 25747 trong 15 phút')).toBe('2 phản ánh ngập tại Phường Thủ Dầu Một trong 15 phút')
    expect(told('2 flood reports in ward 99999')).toBe('2 flood reports in ward 99999')
  })

  it('are left out where the device is named anyway', () => {
    expect(withoutSource('Ùn tắc giao thông tại det-1', 'det-1')).toBe('Ùn tắc giao thông')
    expect(withoutSource('Camera cam-25747-01 mất tín hiệu', 'cam-25747-01')).toBe('Camera mất tín hiệu')
    expect(withoutSource('Tụ tập đông người', 'cam-25747-01')).toBe('Tụ tập đông người')
  })
})
