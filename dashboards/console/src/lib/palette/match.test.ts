import { describe, expect, it } from 'vitest'
import { find, MOST_FOUND } from './match'

const items = [
  { id: '1', label: 'Camera ngã tư Đại lộ Bình Dương', words: 'cam-25747-01' },
  { id: '2', label: 'Ùn tắc hầm chui', words: 'congestion' },
  { id: '3', label: 'Đổi ngôn ngữ', words: 'language' },
]
const ids = (query: string): string[] => find(items, query).map(({ id }) => id)

describe('what the palette finds', () => {
  it('does not ask for diacritics, nor for the order of words', () => {
    expect(ids('dai lo')).toEqual(['1'])
    expect(ids('hầm TẮC')).toEqual(['2'])
    expect(ids('doi')).toEqual(['3'])
  })

  it('finds by words that are not shown', () => expect(ids('25747')).toEqual(['1']))

  it('wants every word', () => expect(ids('đại tắc')).toEqual([]))

  it('puts a label that begins so before one that holds it', () => {
    expect(find([{ id: 'a', label: 'Mở sự cố' }, { id: 'b', label: 'Sự cố mở' }], 'su co').map(({ id }) => id)).toEqual(['b', 'a'])
  })

  it('keeps the order given where two are as near, and never shows more than its most', () => {
    const many = Array.from({ length: 100 }, (_, i) => ({ id: String(i), label: `Phường ${i}` }))
    expect(find(many, 'phuong').map(({ id }) => id)).toEqual(many.slice(0, MOST_FOUND).map(({ id }) => id))
    expect(find(many, '')).toHaveLength(MOST_FOUND)
  })
})
