import { beforeEach, describe, expect, it } from 'vitest'
import type { Device, DeviceList } from '../api/types'
import { Register } from './register'

const camera = (id: string, disabled = false): Device => ({ id, kind: 'camera', name: id, ward: 'w', lon: 1, lat: 2, has_picture: false, disabled })

let served: DeviceList | Error
let shown: string[]
let reads: number
let waiting: (() => void)[]
let register: Register

beforeEach(() => {
  served = { items: [camera('a'), camera('b')], version: 1 }
  shown = []
  reads = 0
  waiting = []
  register = new Register({
    read: () => {
      reads += 1
      return served instanceof Error ? Promise.reject(served) : Promise.resolve(served)
    },
    later: (run) => waiting.push(run),
    show: (devices) => {
      shown = [...devices.values()].map(({ id, disabled }) => (disabled ? `${id}-` : id))
    },
  })
  register.begin(served)
})

async function settle(): Promise<void> {
  for (const run of waiting.splice(0)) run()
  await new Promise((done) => setTimeout(done))
}

describe('the register of devices', () => {
  it('follows what is disabled, enabled, new and removed', () => {
    register.follow({ version: 2, before: 1, set: [camera('a', true), camera('c')], del: ['b'] })
    expect(shown).toEqual(['a-', 'c'])
    register.follow({ version: 3, before: 2, set: [camera('a')], del: [] })
    expect(shown).toEqual(['a', 'c'])
    expect(waiting).toEqual([])
  })

  it('takes nothing twice and asks nothing where it has what is in force', () => {
    register.follow({ version: 1, before: 1, set: [], del: [] })
    register.follow({ version: 2, before: 1, set: [], del: ['b'] })
    register.follow({ version: 2, before: 1, set: [camera('b')], del: [] })
    expect(shown).toEqual(['a'])
    expect(waiting).toEqual([])
  })

  it.each([
    ['after a gap', { version: 5, before: 4, set: [], del: ['a'] }],
    ['after the greeting', { version: 5, before: 5, set: [], del: [] }],
    ['where too much has changed', { version: 5, before: null, set: [], del: [] }],
  ])('reads the list again %s, once', async (_, changes) => {
    register.follow(changes)
    register.follow(changes)
    served = { items: [camera('z')], version: 5 }
    await settle()
    expect([shown, reads, waiting.length]).toEqual([['z'], 1, 0])
  })

  it('reads again until the list has what the feed has told', async () => {
    register.follow({ version: 3, before: 2, set: [], del: [] })
    register.follow({ version: 4, before: 3, set: [], del: ['a'] })
    served = new Error('away')
    await settle()
    expect(shown).toEqual(['a', 'b'])
    served = { items: [camera('a')], version: 3 }
    await settle()
    served = { items: [], version: 4 }
    await settle()
    expect([shown, reads, waiting.length]).toEqual([[], 3, 0])
  })

  it('goes on from a list that came after the feed had spoken', async () => {
    register.end()
    register.follow({ version: 2, before: 1, set: [], del: ['a'] })
    register.begin({ items: [camera('a'), camera('b')], version: 1 })
    served = { items: [camera('b')], version: 2 }
    await settle()
    expect(shown).toEqual(['b'])
  })

  it('asks nothing any more once the page is left', async () => {
    register.follow({ version: 5, before: 4, set: [], del: [] })
    register.end()
    served = { items: [], version: 5 }
    await settle()
    expect(shown).toEqual(['a', 'b'])
  })
})
