import { describe, expect, it } from 'vitest'
import { IncidentCollection } from './collections'
import { FeedProtocol } from './protocol'
import { change, ev, incident, snap, welcome } from './testing'
import type { Change, Incident, Position, ServerFrame } from './types'

function patch(id: string, rev: number, more: Partial<Incident>): Change {
  return { o: rev, op: 'patch', rev, incident: { id, rev, ...more } }
}

describe('incident collection', () => {
  it('ignores a revision it already knows, whichever way it comes', () => {
    const book = new IncidentCollection()
    book.put(incident('a', 3, { note: 'new' }))
    book.apply([change(1, 'upd', 'a', 3), change(2, 'upd', 'a', 2)])
    expect(book.get('a')?.note).toBe('new')
  })

  it('keeps an answer that is newer than the snapshot, but not across epochs', () => {
    const book = new IncidentCollection()
    book.put(incident('a', 5))
    book.replace([incident('a', 4)], false)
    expect(book.get('a')?.rev).toBe(5)
    book.replace([incident('a', 1)], true)
    expect(book.get('a')?.rev).toBe(1)
  })

  it('drops what a snapshot no longer holds', () => {
    const book = new IncidentCollection()
    book.put(incident('a'))
    book.replace([incident('b')], false)
    expect(book.values().map(({ id }) => id)).toEqual(['b'])
  })

  it('deletes at the same revision (aged out) and not at an older one', () => {
    const book = new IncidentCollection()
    book.put(incident('a', 4))
    book.apply([change(1, 'del', 'a', 3)])
    expect(book.size).toBe(1)
    book.apply([change(2, 'del', 'a', 4)])
    expect(book.size).toBe(0)
  })

  it('reports only what was new to it', () => {
    const book = new IncidentCollection()
    book.put(incident('a'))
    expect(book.apply([change(1, 'add', 'a', 2), change(2, 'add', 'b', 1)]).added.map(({ id }) => id)).toEqual(['b'])
  })

  it('changes by a patch what the patch names, and empties what it names as null', () => {
    const book = new IncidentCollection()
    const before = incident('a', 4, { note: 'gọi lại', assignee: 'an' })
    book.put(before)
    expect(book.apply([patch('a', 5, { note: null, count: 7 })])).toEqual({ added: [], baseless: false })
    expect(book.get('a')).toEqual({ ...before, rev: 5, note: null, count: 7 })
    expect(before.note).toBe('gọi lại')
  })

  it('passes over a patch that it is ahead of', () => {
    const book = new IncidentCollection()
    book.put(incident('a', 6, { note: 'answer' }))
    expect(book.apply([patch('a', 5, { note: 'x' }), patch('a', 6, { note: 'y' })]).baseless).toBe(false)
    expect(book.get('a')?.note).toBe('answer')
    book.apply([patch('a', 7, { count: 2 })])
    expect(book.get('a')).toMatchObject({ rev: 7, note: 'answer', count: 2 })
  })

  it.each([undefined, 3])('does not guess what a patch makes of another revision than its base (%s)', (rev) => {
    const book = new IncidentCollection()
    if (rev) book.put(incident('a', rev))
    const { baseless } = book.apply([patch('a', 5, { note: 'x' }), change(2, 'add', 'b', 1)])
    expect(baseless).toBe(true)
    expect(book.get('a')?.rev).toBe(rev)
    expect(book.get('b')?.rev).toBe(1)
  })
})

/** A server with a log that may be cut short, and a line that loses and repeats frames. */
class Model {
  log: Change[] = []
  patches = 0
  trimmed = 0
  epoch = 'e1'
  state = new Map<string, Incident>()

  act(random: () => number): void {
    const id = `i${Math.floor(random() * 6)}`
    const known = this.state.get(id)
    const op = !known ? 'add' : random() < 0.2 ? 'del' : 'upd'
    const rev = op === 'del' ? (known?.rev ?? 1) : (known?.rev ?? this.log.length * 10) + 1
    const next = incident(id, rev, { note: String(random()) })
    if (op === 'del') this.state.delete(id)
    else this.state.set(id, next)
    const o = this.log.length + 1
    if (op === 'upd' && random() < 0.8) {
      this.patches += 1
      this.log.push({ o, op: 'patch', rev: next.rev, incident: { id, rev: next.rev, note: next.note } })
    } else this.log.push({ o, op, rev: next.rev, incident: next })
  }

  greet(resume: Position | null | undefined): ServerFrame[] {
    if (resume && resume.epoch === this.epoch && resume.offset >= this.trimmed) {
      return [welcome('resume', this.epoch), ...this.since(resume.offset)]
    }
    const items = [...this.state.values()]
    const half = items.length >> 1
    const at = this.log.length
    return [
      welcome('snapshot', this.epoch),
      snap(at, items.slice(0, half), 0, false, this.epoch),
      snap(at, items.slice(half), 1, true, this.epoch),
    ]
  }

  since(offset: number): ServerFrame[] {
    if (offset >= this.log.length) return []
    return [ev(offset + 1, this.log.length, this.log.slice(offset), this.epoch)]
  }
}

function lcg(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1664525 + 1013904223) % 2 ** 32) / 2 ** 32
}

describe('feed and collection together', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('equal the server after losses, repeats, trims and epochs (seed %i)', (seed) => {
    const random = lcg(seed)
    const model = new Model()
    const feed = new FeedProtocol('test', () => 'vi')
    const book = new IncidentCollection()
    let queue: ServerFrame[] = []
    const connect = (): void => {
      const hello = feed.opened()[0]
      queue = model.greet(hello?.type === 'hello' ? hello.resume : undefined)
    }
    const deliver = (frame: ServerFrame): void => {
      for (const effect of feed.receive(frame)) {
        if (effect.kind === 'replace') book.replace(effect.incidents, effect.newEpoch)
        if (effect.kind === 'changes') expect(book.apply(effect.changes).baseless).toBe(false)
        if (effect.kind === 'reconnect') return connect()
      }
    }
    const drain = (): void => {
      for (let frame = queue.shift(); frame; frame = queue.shift()) deliver(frame)
    }
    connect()
    drain()
    let sent = model.log.length
    for (let step = 0; step < 400; step++) {
      model.act(random)
      const dice = random()
      if (dice < 0.05) {
        connect()
        if (random() < 0.5) queue.splice(Math.floor(random() * queue.length), 1)
      } else if (dice < 0.1) model.trimmed = model.log.length
      else if (dice < 0.12) model.epoch += 'x'
      else if (dice > 0.2) queue.push(...model.since(sent))
      sent = model.log.length
      if (dice > 0.9 && queue[0]) queue.push(queue[0])
      drain()
    }
    connect()
    drain()
    expect(new Map(book.values().map((i) => [i.id, i]))).toEqual(model.state)
    expect(model.patches).toBeGreaterThan(50)
  })
})
