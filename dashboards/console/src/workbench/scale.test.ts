import { describe, expect, it } from 'vitest'
import { vietnamTime } from '../lib/format/time'
import { moments, nice } from './scale'

describe('marks of an axis', () => {
  it('are round and few', () => {
    expect(nice(100, 6)).toEqual([0, 30, 60, 90])
    expect(nice(0.5, 6)).toEqual([0])
    expect(nice(86_400 * 31, 6).length).toBeLessThanOrEqual(6)
  })

  it('lie on round times of Viet Nam', () => {
    const from = Date.parse('2026-11-28T07:10:00+07:00')
    const found = moments(from, from + 3_600_000, 6, 7 * 3_600_000).map((ms) => new Date(ms).toISOString().slice(11, 16))
    expect(found).toEqual(['00:15', '00:30', '00:45', '01:00'])
  })
})

it('what is typed is time of Viet Nam, wherever the machine stands', () => {
  expect(vietnamTime('2026-11-28T07:00')).toBe('2026-11-28T07:00:00+07:00')
  expect(vietnamTime('')).toBeNull()
})
