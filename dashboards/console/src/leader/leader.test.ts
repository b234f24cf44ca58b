import { describe, expect, it } from 'vitest'
import { en as EN } from '../lib/i18n/en'
import { vi as VI } from '../lib/i18n/vi'
import { byBrake, isStale, shareText, sorted, sparkline, trendSign, valueText, warningFor } from './model'
import { TEXTS } from './texts'
import type { Group, Reading } from '../lib/api/readings'
import type { Definition, Series, Warning } from './types'

const reading = (figure: string, value: number | null, more: Partial<Reading> = {}): Reading => ({
  figure, value, n: 1, coverage: 1, age_s: 1, trend: null, ...more,
})
const group = (key: string, value: number | null): Group => ({ key, name: { vi: key, en: key }, figures: [reading('overdue', value)] })
const warning = (id: string, more: Partial<Warning> = {}): Warning => ({
  id, brake: 'overdue-ward', title: { vi: 'Quá hạn', en: 'Overdue' }, figure: 'overdue', ward: id, category: null, period: 'today',
  severity: 'high', stage: 'crossed', opened: '2026-11-25T05:00:00Z', crossed: null, forecast: null, value: 11, threshold: 10, n: 20,
  coverage: 1, blind: false, incidents: null, ...more,
})
const series = (values: (number | null)[]): Series => ({
  at: '', grain: 'hour', items: values.map((value, n) => ({ at: String(n), value, n: 1, complete: true })),
})

describe('values', () => {
  it('carry their unit in the reader’s language', () => {
    expect(valueText(0.8761, 'share', 'vi', VI.unit)).toBe('87,6 %')
    expect(valueText(4.25, 'per_hour', 'en', EN.unit)).toBe(`4.3/${EN.unit.h}`)
    expect(valueText(5400, 's', 'vi', VI.unit)).toBe('1 giờ 30 phút')
    expect(valueText(1536, 'count', 'vi', VI.unit)).toBe('1.536')
  })

  it('that do not exist are a dash and never a zero', () => {
    for (const unit of ['share', 'count', 's', 'per_hour'] as const) expect(valueText(null, unit, 'vi', VI.unit)).toBe('–')
  })

  it('are old beyond their time', () => {
    expect(isStale(reading('open', 1, { age_s: 299 }))).toBe(false)
    expect(isStale(reading('open', 1, { age_s: 301 }))).toBe(true)
    expect(isStale(reading('open', 1, { age_s: null }))).toBe(false)
  })

  it('cover all only when they do', () => {
    expect([shareText(1, 'en'), shareText(0.99996, 'en'), shareText(0, 'en')]).toEqual(['100 %', '99.9 %', '0 %'])
  })

  it('say by a sign which way they went', () => {
    expect(trendSign({ now: 2, before: 1, verdict: 'worse' })).toBe('▲')
    expect(trendSign({ now: 1, before: 2, verdict: 'worse' })).toBe('▼')
    expect(trendSign({ now: 1, before: 1, verdict: 'same' })).toBe('=')
  })
})

describe('wards', () => {
  const groups = [group('b', 5), group('a', 9), group('d', null), group('c', 5)]
  const keys = (found: Group[]) => found.map((each) => each.key).join('')

  it('without a value come last, whichever the direction', () => {
    expect(keys(sorted(groups, 'overdue', true, (each) => each.key ?? ''))).toBe('abcd')
    expect(keys(sorted(groups, 'overdue', false, (each) => each.key ?? ''))).toBe('bcad')
  })

  it('are sorted by their names in Vietnamese order', () => {
    const named = ['Đông Hoà', 'Dầu Tiếng', 'An Phú'].map((name) => group(name, 1))
    expect(sorted(named, 'name', false, (each) => each.key ?? '').map((each) => each.key)).toEqual(['An Phú', 'Dầu Tiếng', 'Đông Hoà'])
  })
})

describe('courses', () => {
  it('have gaps where there were no cases', () => {
    expect(sparkline(series([1, 2, null, 3, 4]), 100, 20).match(/M/g)).toHaveLength(2)
    expect(sparkline(series([1, null, 2, 3]), 100, 20)).toBe('')
    expect(sparkline(undefined, 100, 20)).toBe('')
  })

  it('that do not move run through the middle', () => {
    expect(sparkline(series([3, 3, 3, 3]), 100, 20)).toBe('M1.0 10.0L33.7 10.0L66.3 10.0L99.0 10.0')
  })
})

describe('warnings', () => {
  it('of one brake are one card, what has crossed and the worst first', () => {
    const cards = byBrake([warning('a'), warning('x', { brake: 'cameras' }), warning('b', { value: 30 }), warning('c', { stage: 'forecast', value: 1 })])
    expect(cards.map((card) => card.map((each) => each.id).join(''))).toEqual(['bac', 'x'])
  })

  it('belong to a tile of their figure and scope alone', () => {
    const all = [warning('a', { category: 'citizen' }), warning('b'), warning('c', { ward: null })]
    const of = (figure: string, ward: string | null, now = true) =>
      warningFor(all, { id: figure, now } as Definition, ward, '7d')?.id
    expect([of('overdue', 'b'), of('overdue', null)]).toEqual(['b', 'c'])
    expect([of('overdue', 'a'), of('open', 'b'), of('overdue', 'b', false)]).toEqual([undefined, undefined, undefined])
  })
})

it('every text exists in both languages, and they differ', () => {
  const flat = (value: unknown, path = ''): string[] =>
    value !== null && typeof value === 'object' ? Object.entries(value).flatMap(([key, each]) => flat(each, `${path}.${key}`)) : [path]
  expect(flat(TEXTS.en)).toEqual(flat(TEXTS.vi))
  expect(TEXTS.en.warnings).not.toBe(TEXTS.vi.warnings)
})
