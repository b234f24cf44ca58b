import { describe, expect, it } from 'vitest'
import { NO_FILTER } from './filter'
import { filterOf, MOST_SAVED, readSaved, rename, save, type SavedFilter } from './saved'

const FLOODS = { ...NO_FILTER, ward: '25747', category: 'flood', query: 'ngập' }
const two = [{ name: 'Ngập', query: 'cat=flood' }, { name: 'Ùn tắc', query: 'cat=traffic' }]

describe('saved filters', () => {
  it('give back the filter that was saved, through storage', () => {
    const list = save([], '  Ngập Dĩ An ', FLOODS) as SavedFilter[]
    const [kept] = readSaved(JSON.stringify(list))
    expect(kept?.name).toBe('Ngập Dĩ An')
    expect(filterOf(kept as SavedFilter)).toEqual(FLOODS)
  })

  it('refuse by name: no name, one too long, one taken but for diacritics, no filter, a full list', () => {
    expect(save(two, '  ', FLOODS)).toBe('empty')
    expect(save(two, 'x'.repeat(41), FLOODS)).toBe('long')
    expect(save(two, 'UN TAC', FLOODS)).toBe('taken')
    expect(save(two, 'Tất cả', NO_FILTER)).toBe('unfiltered')
    const full = Array.from({ length: MOST_SAVED }, (_, i) => ({ name: `n${i}`, query: 'q=a' }))
    expect(save(full, 'one more', FLOODS)).toBe('full')
  })

  it('are renamed in place, to another spelling of their own name too, but not to the name of another', () => {
    expect(rename(two, 'Ngập', 'NGẬP')).toEqual([{ name: 'NGẬP', query: 'cat=flood' }, two[1]])
    expect(rename(two, 'Ngập', 'un tac')).toBe('taken')
  })

  it('ignore what storage holds that is no list of filters', () => {
    expect(readSaved(null)).toEqual([])
    expect(readSaved('{"name":')).toEqual([])
    expect(readSaved('{"name":"a"}')).toEqual([])
    expect(readSaved(JSON.stringify([null, { name: 'a' }, two[0], two[0], { name: 1, query: 2 }]))).toEqual([two[0]])
    const many = Array.from({ length: MOST_SAVED + 5 }, (_, i) => ({ name: `n${i}`, query: '' }))
    expect(readSaved(JSON.stringify(many))).toHaveLength(MOST_SAVED)
  })
})
