import { beforeEach, describe, expect, it, vi } from 'vitest'
import { HeldService } from '../lib/api/testing'
import { incident } from '../lib/feed/testing'
import { board } from './board.svelte'

let service: HeldService

beforeEach(() => {
  service = new HeldService()
  vi.stubGlobal('fetch', service.fetch)
  board.incidents = [incident('inc-1')]
  board.next = 'page-2'
  board.paging = 'no'
})

describe('more incidents behind a figure', () => {
  it('come, although the figures are read anew meanwhile', async () => {
    const seen: (() => void)[] = []
    vi.stubGlobal('location', { search: '', pathname: '/leader' })
    vi.stubGlobal('addEventListener', () => undefined)
    vi.stubGlobal('removeEventListener', () => undefined)
    const addEventListener = (_name: string, listener: () => void): number => seen.push(listener)
    vi.stubGlobal('document', { addEventListener, removeEventListener: () => undefined, visibilityState: 'visible' })
    const stop = board.start()
    board.incidents = [incident('inc-1')]
    board.next = 'page-2'
    void board.more()
    seen.forEach((listener) => listener())
    await service.of('cursor=page-2').answer({ items: [incident('inc-2')], next: null })
    stop()
    expect(board.incidents.map(({ id }) => id)).toEqual(['inc-1', 'inc-2'])
    expect(board.paging).toBe('no')
  })

  it('that could not be read are asked for again, and it is said', async () => {
    await Promise.all([board.more(), service.of('cursor=page-2').fail()])
    expect(board.paging).toBe('failed')
    void board.more()
    await service.of('cursor=page-2').answer({ items: [incident('inc-2')], next: null })
    expect(board.incidents).toHaveLength(2)
  })

  it('are not asked for twice by an impatient finger', async () => {
    void board.more()
    void board.more()
    expect(service.asked.filter(({ path }) => path.includes('cursor'))).toHaveLength(1)
  })
})
