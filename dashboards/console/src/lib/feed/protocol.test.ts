import { beforeEach, describe, expect, it } from 'vitest'
import { FeedProtocol } from './protocol'
import { change, ev, incident, snap, welcome } from './testing'

let feed: FeedProtocol

beforeEach(() => {
  feed = new FeedProtocol('test', () => 'vi')
  feed.opened()
})

function goLive(offset = 10): void {
  feed.receive(welcome('snapshot'))
  feed.receive(snap(offset, []))
}

describe('start', () => {
  it('says hello without a position the first time', () => {
    expect(feed.opened()).toEqual([{ type: 'hello', client: 'test', lang: 'vi', caps: ['patch', 'devices'] }])
  })

  it('says once, and until it is answered, that a patch had no base', () => {
    goLive()
    feed.lostBase()
    expect(feed.opened()[0]).toMatchObject({ lost: 'base' })
    expect(feed.opened()[0]).toMatchObject({ lost: 'base' })
    expect(feed.opened()[0]).not.toHaveProperty('resume')
    goLive()
    expect(feed.opened()[0]).not.toHaveProperty('lost')
    expect(feed.opened()[0]).toHaveProperty('resume')
  })

  it('shows nothing of a snapshot before its last page, then everything at once', () => {
    feed.receive(welcome('snapshot'))
    expect(feed.receive(snap(7, [incident('a')], 0, false))).toEqual([])
    const effects = feed.receive(snap(7, [incident('b')], 1, true))
    expect(effects.map(({ kind }) => kind)).toEqual(['replace', 'live'])
    expect(effects[0]).toMatchObject({ incidents: [{ id: 'a' }, { id: 'b' }] })
    expect(feed.position).toEqual({ epoch: 'e1', offset: 7 })
  })

  it.each([[[0, 2]], [[1]]])('starts over when a page is missing (%j)', (pages) => {
    feed.receive(welcome('snapshot'))
    const effects = pages.map((page, at) => feed.receive(snap(7, [], page, at === pages.length - 1)))
    expect(effects.at(-1)?.[0]).toMatchObject({ kind: 'reconnect' })
    expect(feed.position).toBeNull()
  })

  it('applies events that overtook the last page after it, each once', () => {
    feed.receive(welcome('snapshot'))
    feed.receive(snap(10, [], 0, false))
    expect(feed.receive(ev(11, 11, [change(11, 'add', 'a', 1)]))).toEqual([])
    const effects = feed.receive(snap(10, [], 1, true))
    expect(effects.map(({ kind }) => kind)).toEqual(['replace', 'live', 'changes'])
    expect(feed.position?.offset).toBe(11)
  })
})

describe('order', () => {
  it('follows `to` through events it never sees', () => {
    goLive(10)
    expect(feed.receive(ev(11, 40))).toEqual([])
    expect(feed.receive(ev(41, 41, [change(41, 'add', 'a', 1)]))[0]).toMatchObject({ kind: 'changes' })
  })

  it('resumes from its own position when a hole opens, and shows nothing from behind the hole', () => {
    goLive(10)
    const effects = feed.receive(ev(12, 12, [change(12, 'add', 'a', 1)]))
    expect(effects).toMatchObject([{ kind: 'reconnect', afterMs: 0 }])
    expect(feed.opened()[0]).toMatchObject({ resume: { epoch: 'e1', offset: 10 } })
  })

  it('ignores a whole repeat', () => {
    goLive(10)
    expect(feed.receive(ev(9, 10, [change(10, 'upd', 'a', 1)]))).toEqual([])
    expect(feed.position?.offset).toBe(10)
  })

  it('does not trust events of another epoch', () => {
    goLive(10)
    expect(feed.receive(ev(11, 11, [], 'e2'))[0]).toMatchObject({ kind: 'reconnect' })
    expect(feed.opened()[0]).not.toHaveProperty('resume')
  })

  it('does not trust events before any position', () => {
    expect(feed.receive(ev(1, 1))[0]).toMatchObject({ kind: 'reconnect' })
  })
})

describe('resume', () => {
  it('is live at once and goes on where it stopped', () => {
    goLive(10)
    feed.opened()
    expect(feed.receive(welcome('resume')).at(-1)).toEqual({ kind: 'live' })
    expect(feed.receive(ev(11, 12, [change(12, 'add', 'a', 1)]))[0]).toMatchObject({ kind: 'changes' })
  })

  it('does not take a resume of what it never had', () => {
    expect(feed.receive(welcome('resume'))[0]).toMatchObject({ kind: 'reconnect' })
    goLive(10)
    feed.opened()
    expect(feed.receive(welcome('resume', 'e2'))[0]).toMatchObject({ kind: 'reconnect' })
    expect(feed.opened()[0]).not.toHaveProperty('resume')
  })

  it('waits for a snapshot when the server cannot resume', () => {
    goLive(10)
    feed.opened()
    expect(feed.receive(welcome('snapshot', 'e2')).map(({ kind }) => kind)).toEqual(['welcome'])
    expect(feed.receive(snap(3, [], 0, true, 'e2'))[0]).toMatchObject({ kind: 'replace', newEpoch: true })
  })

  it('takes a reset as the end of what it knew', () => {
    goLive(10)
    feed.receive({ type: 'reset', reason: 'log_trimmed' })
    expect(feed.position).toBeNull()
    expect(feed.receive(snap(99, [])).map(({ kind }) => kind)).toEqual(['replace', 'live'])
    expect(feed.position?.offset).toBe(99)
  })
})

describe('control', () => {
  it('answers a ping with its token', () => {
    expect(feed.receive({ type: 'ping', t: 42 })).toEqual([{ kind: 'send', frame: { type: 'pong', t: 42 } }])
  })

  it('stops on a bye that forbids coming back', () => {
    const bye = { type: 'bye', code: 4403, reason: 'scope', reconnect: false, after_ms: 0 } as const
    expect(feed.receive(bye)).toEqual([{ kind: 'stop', reason: 'scope' }])
  })

  it('waits as long as a bye asks', () => {
    const bye = { type: 'bye', code: 4503, reason: 'deploy', reconnect: true, after_ms: 3000 } as const
    expect(feed.receive(bye)).toEqual([{ kind: 'reconnect', reason: 'deploy', afterMs: 3000 }])
  })
})
