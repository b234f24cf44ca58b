import { describe, expect, it } from 'vitest'
import { vietnamInput, vietnamTime } from '../lib/format/time'
import { fold } from '../lib/queue/text'
import { bodyOf, changedFields, EMPTY, formOf, rebased } from './form'
import {
  byPhase, countStates, isFiltered, matching, NO_FILTER, phaseOf, ratio, readFilter, sorted, statesOf, STATES, writeFilter,
  type Filter, type Judged,
} from './model'
import { TEXTS } from './texts'
import type { Health, Registered, Window } from './types'

const NOW = Date.parse('2026-11-29T03:00:00Z')
const ago = (s: number): string => new Date(NOW - s * 1000).toISOString()

const health = (id: string, more: Partial<Health> = {}): Health => ({
  id, kind: 'camera', name: id, ward: '25747', condition: 'ok', seen: ago(5), event: ago(5), expected_interval_s: 10, events_per_min: 6,
  refused_per_min: 0, error_rate: 0, clock_skew_s: 0.1, wrong_positions: 0, backward_times: 0, repeated_times: 0, last_refusal: null,
  decoder: 'onvif', throttled: null, lon: null, lat: null, has_picture: false, disabled: null, stream: null, ...more,
})
const judged = (id: string, more: Partial<Health> = {}): Judged => {
  const found = health(id, more)
  return { health: found, states: statesOf(found, NOW), words: fold(`${found.name} ${id}`) }
}
const filter = (more: Partial<Filter>): Filter => ({ ...NO_FILTER, ...more })
const ids = (found: Judged[]): string => found.map((each) => each.health.id).join('')

describe('states', () => {
  const states = (more: Partial<Health>) => statesOf(health('a', more), NOW).join(' ')

  it('tell a device of which nothing comes from one that sends nothing of use', () => {
    expect(states({ condition: 'stale', seen: ago(31), event: ago(400) })).toBe('silent')
    expect(states({ condition: 'stale', seen: ago(29), event: ago(400) })).toBe('stale')
    expect(states({ condition: 'stale', seen: ago(299), event: ago(400), expected_interval_s: 100 })).toBe('stale')
    expect(states({ condition: 'stale', seen: null })).toBe('silent')
  })

  it('are all that is so, the gravest first', () => {
    expect(states({ condition: 'throttled', error_rate: 0.9, clock_skew_s: -400 })).toBe('throttled erroring skewed')
    expect(states({})).toBe('ok')
    expect(states({ condition: 'unknown', seen: null, error_rate: null, clock_skew_s: null })).toBe('unknown')
    expect(states({ condition: 'never', error_rate: 1 })).toBe('never erroring')
  })

  it('say nothing else of a device on which somebody works, or that is out of service', () => {
    expect(states({ condition: 'maintenance', error_rate: 1, clock_skew_s: 900 })).toBe('maintenance')
    expect(states({ condition: 'disabled', error_rate: 1, clock_skew_s: 900 })).toBe('disabled')
  })

  it('begin at a twentieth refused', () => {
    expect([states({ error_rate: 0.049 }), states({ error_rate: 0.05 })]).toEqual(['ok', 'erroring'])
  })

  it('call a clock wrong that is ahead, and one behind only beyond what its interval explains', () => {
    expect([states({ clock_skew_s: -5 }), states({ clock_skew_s: -5.1 })]).toEqual(['ok', 'skewed'])
    expect([states({ clock_skew_s: 60 }), states({ clock_skew_s: 61 })]).toEqual(['ok', 'skewed'])
    expect([states({ clock_skew_s: 600, expected_interval_s: 300 }), states({ clock_skew_s: 601, expected_interval_s: 300 })]).toEqual(['ok', 'skewed'])
  })

  it('are counted for every state that a device is in', () => {
    const counts = countStates([judged('a'), judged('b', { error_rate: 1, clock_skew_s: -60 })])
    expect([counts.ok, counts.erroring, counts.skewed, counts.silent]).toEqual([1, 1, 1, 0])
  })
})

describe('the filter', () => {
  const fleet = [judged('a', { name: 'Cầu Phú Cường' }), judged('b', { ward: null, kind: 'detector' }), judged('c', { decoder: 'axis', ward: '25750' })]

  it('finds without diacritics, by ward, none, kind and decoder', () => {
    const found = (more: Partial<Filter>) => ids(matching(fleet, filter(more)))
    expect([found({}), found({ query: 'cuong cau' }), found({ query: ' ' }), found({ ward: '25747' }), found({ ward: '' })]).toEqual(['abc', 'a', 'abc', 'a', 'b'])
    expect([found({ kind: 'detector' }), found({ decoder: 'axis' }), found({ kind: 'detector', decoder: 'axis' })]).toEqual(['b', 'c', ''])
  })

  it('is the same from the address as before', () => {
    for (const each of [
      NO_FILTER, filter({ query: 'cầu', state: 'silent', ward: '25747', kind: 'camera', decoder: 'onvif', sort: 'errors', turned: true }),
      filter({ ward: '' }), filter({ turned: true }),
    ]) {
      expect(readFilter(new URLSearchParams(writeFilter(each, 'cam-1')))).toEqual(each)
    }
    expect(writeFilter(NO_FILTER, null)).toBe('')
    expect(readFilter(new URLSearchParams('state=broken&kind=x&sort=y'))).toEqual(NO_FILTER)
  })

  it('is none where only the order was chosen', () => {
    expect([isFiltered(filter({ sort: 'seen', turned: true })), isFiltered(filter({ ward: '' }))]).toEqual([false, true])
  })
})

describe('the order', () => {
  const fleet = [
    judged('a', { seen: ago(60), error_rate: 0.2, clock_skew_s: 3 }),
    judged('b', { seen: null, condition: 'never', error_rate: null, clock_skew_s: null, events_per_min: 0 }),
    judged('c', { seen: ago(600), condition: 'stale', clock_skew_s: -90, events_per_min: 3 }),
    judged('d', { expected_interval_s: null }),
  ]
  const order = (more: Partial<Filter>) => ids(sorted(fleet, filter(more)))

  it('shows first what needs attention, and by name what is alike', () => {
    expect([order({}), order({ sort: 'name' }), order({ sort: 'seen' }), order({ sort: 'rate' })]).toEqual(['cbad', 'abcd', 'cadb', 'bcad'])
    expect([order({ sort: 'errors' }), order({ sort: 'skew' })]).toEqual(['acdb', 'cadb'])
  })

  it('can be turned, and what has no value stays last', () => {
    expect([order({ sort: 'seen', turned: true }), order({ sort: 'rate', turned: true })]).toEqual(['dacb', 'acbd'])
  })

  it('of rates is of what was promised', () => {
    expect([ratio(health('a', { events_per_min: 3 })), ratio(health('a', { expected_interval_s: null }))]).toEqual([0.5, null])
  })
})

describe('the form', () => {
  const device: Registered = {
    id: 'cam-1', kind: 'camera', name: ' Cầu ', ward: null, lon: 106.65, lat: 11, expected_interval_s: 10, picture_url: null, decoder: 'tabular',
    covers: ['a', 'b*'], trusts_position: false, time_zone: null, options: { prefix: 'a=b', map: 'x\ny' }, stream_url: null,
  }

  it('sends back as it came what nobody touched', () => {
    const { id: _, ...fields } = device
    expect(bodyOf(formOf(device), device)).toEqual({ body: fields, faults: [] })
  })

  it('takes numbers with a comma, lists by lines, and nothing for nothing', () => {
    const { body, faults } = bodyOf({ ...EMPTY, name: ' Chợ ', lat: '11,05', options: 'prefix=a=b\n\nside = north', covers: ' cam-1 \ndet-*\n' }, null)
    expect(faults).toEqual([])
    expect(body).toMatchObject({ name: 'Chợ', lat: 11.05, lon: null, ward: null, options: { prefix: 'a=b', side: 'north' }, covers: ['cam-1', 'det-*'] })
  })

  it('names what cannot be sent', () => {
    const { faults } = bodyOf({ ...EMPTY, lon: 'xa', expected_interval_s: '10 s', options: 'a=1\nnothing' }, null)
    expect(faults.map(({ field, rule }) => `${field} ${rule}`)).toEqual(['options option', 'lon number', 'expected_interval_s number'])
  })

  it('keeps one’s own changes on top of what somebody else has made of it', () => {
    const base = formOf(device)
    const mine = { ...base, name: 'Của tôi' }
    const fresh = { ...base, name: 'Của họ', decoder: 'onvif' }
    expect(rebased(base, mine, fresh)).toEqual({ ...fresh, name: 'Của tôi' })
    expect(changedFields(base, mine)).toEqual(['name'])
  })
})

describe('maintenance', () => {
  const window = (id: number, from: number, to: number): Window => ({
    id, device: 'a', from: new Date(NOW + from).toISOString(), to: new Date(NOW + to).toISOString(), reason: '', author: '', created: '',
  })

  it('goes on from its begin to just before its end', () => {
    expect([phaseOf(window(1, 0, 1), NOW), phaseOf(window(1, -1, 0), NOW), phaseOf(window(1, 1, 2), NOW), phaseOf(window(1, -5, -5), NOW)]).toEqual(['now', 'over', 'coming', 'never'])
  })

  it('is listed with what matters now first', () => {
    const list = [window(1, -90, -80), window(2, -50, -40), window(3, -10, 10), window(4, 20, 30)]
    expect(byPhase(list, NOW).map(({ id }) => id)).toEqual([3, 4, 2, 1])
  })

  it('is typed and shown in the time of Viet Nam', () => {
    expect(vietnamInput(NOW)).toBe('2026-11-29T10:00')
    expect(Date.parse(vietnamTime(vietnamInput(NOW)) ?? '')).toBe(NOW)
  })
})

it('every text exists in both languages, and they differ', () => {
  const flat = (value: unknown, path = ''): string[] =>
    value !== null && typeof value === 'object' ? Object.entries(value).flatMap(([key, each]) => flat(each, `${path}.${key}`)) : [path]
  expect(flat(TEXTS.en)).toEqual(flat(TEXTS.vi))
  for (const state of STATES) expect(TEXTS.en.states[state]).not.toBe(TEXTS.vi.states[state])
})
