import { describe, expect, it } from 'vitest'
import { incident } from '../lib/feed/testing'
import { dayStart, distanceText, doneToday, together } from './day'

const NOON = Date.parse('2026-11-28T12:00:00+07:00')
const done = (resolved: string | null, more = {}) => incident('a', 2, { handling: 'resolved', resolved, closed: null, ...more })

describe('the working day', () => {
  it('begins at midnight in Viet Nam, wherever the phone was bought', () => {
    const midnight = Date.parse('2026-11-27T17:00:00Z')
    expect([dayStart(midnight - 1), dayStart(midnight), dayStart(NOON)]).toEqual([midnight - 86_400_000, midnight, midnight])
  })

  it('holds what was resolved since, whenever it was closed, and nothing that is open again', () => {
    expect(doneToday(done('2026-11-28T00:00:00+07:00'), NOON)).toBe(true)
    expect(doneToday(done('2026-11-27T23:59:59+07:00', { closed: '2026-11-28T08:00:00+07:00' }), NOON)).toBe(false)
    expect(doneToday(done(null, { handling: 'closed', closed: '2026-11-28T08:00:00+07:00' }), NOON)).toBe(true)
    expect(doneToday(done('2026-11-28T08:00:00+07:00', { handling: 'in_progress' }), NOON)).toBe(false)
  })
})

it('what the feed tells takes the place of what was read before', () => {
  const [old, other, now] = [incident('a', 2), incident('b', 1), incident('a', 3)]
  expect(together([now], [old, other])).toEqual([now, other])
})

it('a distance is told as exactly as a phone knows it', () => {
  expect([4, 346, 994, 996, 1_240, 12_000].map((metres) => distanceText(metres, 'vi'))).toEqual(['0 m', '350 m', '990 m', '1 km', '1,2 km', '12 km'])
  expect(distanceText(1_240, 'en')).toBe('1.2 km')
})
