import { describe, expect, it } from 'vitest'
import { incident } from '../lib/feed/testing'
import { again, drop, hasRoom, kept, KEPT_MS, MOST_ENTRIES, MOST_PHOTO_BYTES, sendable, settle, type Entry } from './outbox'

let seq = 0
const entry = (id: string, more: Partial<Entry> = {}): Entry => ({
  seq: ++seq, user: 'an', op: 'start', args: {}, photo: null, seen: incident(id, 3), idem: `k${seq}`, madeMs: 0,
  state: 'waiting', detail: '', current: null, ...more,
})
const seqs = (entries: Entry[]): number[] => entries.map((each) => each.seq)

describe('what may be sent', () => {
  it('is the first of each incident, so that order is kept', () => {
    const [a1, a2, b1] = [entry('a'), entry('a'), entry('b')]
    expect(sendable([a1, a2, b1], 'an')).toEqual([a1, b1])
  })

  it('is nothing of an incident whose first entry stands, and all of the others', () => {
    const [a1, a2, b1] = [entry('a', { state: 'conflict' }), entry('a'), entry('b')]
    expect(sendable([a1, a2, b1], 'an')).toEqual([b1])
  })

  it("is never somebody else's", () => expect(sendable([entry('a', { user: 'binh' })], 'an')).toEqual([]))
})

describe('an answer', () => {
  it('takes what was done away and lets what follows stand on it', () => {
    const [first, second] = [entry('a'), entry('a')]
    const [left] = settle([first, second], first.seq, { kind: 'done', now: incident('a', 4, { handling: 'in_progress' }) }, 'n')
    expect(left).toMatchObject({ seq: second.seq, seen: { rev: 4, handling: 'in_progress' }, idem: second.idem })
  })

  it('is no conflict when only figures changed: it is sent anew on the newer revision, under a new key', () => {
    const made = entry('a')
    const [left] = settle([made], made.seq, { kind: 'conflict', current: incident('a', 9, { count: 7 }) }, 'new')
    expect(left).toMatchObject({ state: 'waiting', seen: { rev: 9 }, idem: 'new' })
  })

  it('is a conflict when a person did something: both are kept to be looked at', () => {
    const made = entry('a')
    const [left] = settle([made], made.seq, { kind: 'conflict', current: incident('a', 4, { handling: 'resolved' }) }, 'new')
    expect(left).toMatchObject({ state: 'conflict', seen: { handling: 'new' }, current: { handling: 'resolved' }, idem: made.idem })
    expect(again([left as Entry], made.seq, 'later')[0]).toMatchObject({ state: 'waiting', seen: { rev: 4 }, current: null, idem: 'later' })
    expect(drop([left as Entry], made.seq)).toEqual([])
  })

  it('that refuses is kept with its reason', () => {
    const made = entry('a')
    expect(settle([made], made.seq, { kind: 'refused', detail: 'not open' }, 'n')[0]).toMatchObject({ state: 'refused', detail: 'not open' })
  })

  it('to something dropped meanwhile changes nothing', () => {
    const other = entry('b')
    expect(settle([other], 999, { kind: 'done', now: incident('a') }, 'n')).toEqual([other])
  })
})

describe('room', () => {
  it('is bounded in entries and in bytes of pictures', () => {
    expect(hasRoom(Array.from({ length: MOST_ENTRIES - 1 }, () => entry('a')), 0)).toBe(true)
    expect(hasRoom(Array.from({ length: MOST_ENTRIES }, () => entry('a')), 0)).toBe(false)
    expect(hasRoom([], MOST_PHOTO_BYTES + 1)).toBe(false)
    const photo = { size: MOST_PHOTO_BYTES } as Blob
    expect(hasRoom([entry('a', { photo })], 1)).toBe(false)
  })

  it("is given back by other people's entries in time, never by one's own", () => {
    const [own, old, fresh] = [entry('a'), entry('a', { user: 'binh' }), entry('a', { user: 'binh', madeMs: KEPT_MS })]
    expect(seqs(kept([own, old, fresh], 'an', KEPT_MS + 1))).toEqual([own.seq, fresh.seq])
  })
})
