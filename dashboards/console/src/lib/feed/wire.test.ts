/** The wire in both languages: types from the document, and frames that the service really sends. */
import { describe, expect, it } from 'vitest'
import { wireTypes } from '../../../scripts/wire.mjs'
import { closeVerdict } from './codes'
import { IncidentCollection, StateCollection } from './collections'
import { decodeFrame } from './decode'
import golden from './golden.json'
import { FeedProtocol } from './protocol'
import type { ServerFrame } from './types'
import written from './wire.ts?raw'

/** What a client knows that was given `frames`. */
function after(frames: unknown): { book: IncidentCollection; states: StateCollection } {
  const protocol = new FeedProtocol('test', () => 'vi')
  const book = new IncidentCollection()
  const states = new StateCollection()
  protocol.opened()
  for (const frame of frames as ServerFrame[]) {
    for (const effect of protocol.receive(frame)) {
      if (effect.kind === 'replace') book.replace(effect.incidents, effect.newEpoch)
      if (effect.kind === 'changes') expect(book.apply(effect.changes).baseless).toBe(false)
      if (effect.kind === 'states') states.apply(effect.set, effect.del, effect.conflated)
    }
  }
  return { book, states }
}

describe('the wire', () => {
  it('has the types of the AsyncAPI document (renew them with `npm run wire`)', async () => {
    expect(written).toBe(await wireTypes())
  })

  it.each([...golden.frames, ...golden.patched].map((frame) => [frame.type, frame] as const))('understands a %s of the service', (_, frame) => {
    expect(decodeFrame(JSON.stringify(frame))).toEqual(frame)
  })

  it('comes from the frames of the service to what the service knows', () => {
    const { book, states } = after(golden.frames)
    const known = Object.fromEntries(book.values().map(({ id, rev }) => [id, rev]))
    expect(known).toEqual(golden.known.incidents)
    expect(golden.known.states.map((id) => states.get(id)?.id)).toEqual(golden.known.states)
  })

  it('comes to the same by patches', () => {
    expect(after(golden.patched).book.values()).toEqual(after(golden.frames).book.values())
  })

  it.each(golden.closes)('judges close code $code as the service does', ({ code, reconnect }) => {
    expect(closeVerdict(code).reconnect).toBe(reconnect)
  })
})
