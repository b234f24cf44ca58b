import { afterEach, describe, expect, it, vi } from 'vitest'
import { settled } from '../api/testing'
import { Live, type Asked } from './live.svelte'

afterEach(() => vi.unstubAllGlobals())

const forbidden = { get: () => { throw new DOMException('storage is forbidden', 'SecurityError') } }

/** Answers that come when a test says so. */
function held(): { ask: () => Promise<Asked<string>>; asked: PromiseWithResolvers<Asked<string>>[] } {
  const asked: PromiseWithResolvers<Asked<string>>[] = []
  const ask = (): Promise<Asked<string>> => {
    const one = Promise.withResolvers<Asked<string>>()
    asked.push(one)
    return one.promise
  }
  return { ask, asked }
}

/** A page's `online`, which asks at once. */
function page(): { online: () => void } {
  const listeners: (() => void)[] = []
  vi.stubGlobal('addEventListener', (_name: string, listener: () => void) => listeners.push(listener))
  vi.stubGlobal('removeEventListener', () => undefined)
  return { online: () => listeners.forEach((listener) => listener()) }
}

describe('figures asked again and again', () => {
  it('are shown as answered where the browser may keep nothing', async () => {
    page()
    Object.defineProperty(globalThis, 'localStorage', { ...forbidden, configurable: true })
    const { ask, asked } = held()
    const live = new Live(ask, 'kept')
    const stop = live.start()
    asked[0]?.resolve({ value: 'figures', ageMs: 0 })
    await settled()
    stop()
    Reflect.deleteProperty(globalThis, 'localStorage')
    expect([live.value, live.lost]).toEqual(['figures', false])
  })

  /** Figures of which a second question was answered first; `late` is what becomes of the first one then. */
  async function overtaken(late: (first: PromiseWithResolvers<Asked<string>>) => void): Promise<[string | null, boolean]> {
    const { online } = page()
    const { ask, asked } = held()
    const live = new Live(ask, null)
    const stop = live.start()
    online()
    const [first, second] = asked as [PromiseWithResolvers<Asked<string>>, PromiseWithResolvers<Asked<string>>]
    second.resolve({ value: 'new', ageMs: 0 })
    await settled()
    late(first)
    await settled()
    stop()
    return [live.value, live.lost]
  }

  it('are not called lost by an old question that ends after a newer one was answered', async () => {
    expect(await overtaken((first) => first.reject(new Error('took too long')))).toEqual(['new', false])
  })

  it('are not replaced by an older answer', async () => {
    expect(await overtaken((first) => first.resolve({ value: 'old', ageMs: 0 }))).toEqual(['new', false])
  })
})
