import { describe, expect, it } from 'vitest'
import { isKnown, term } from './terms'

const RULES = import.meta.glob<string>('../../../../../rules/*.yaml', { query: '?raw', import: 'default', eager: true })

describe('terms', () => {
  it('has words for every category of the shipped rules', () => {
    const categories = Object.values(RULES).flatMap((text) => /category: "?([a-z]+)/.exec(text)?.[1] ?? [])
    expect(categories.length).toBeGreaterThan(5)
    expect(categories.filter((category) => !isKnown(category))).toEqual([])
  })

  it('calls a part after its whole and shows what it does not know as it was sent', () => {
    expect(term('citizen.light', 'vi')).toBe('Phản ánh người dân')
    expect(term('some_thing', 'vi')).toBe('Some thing')
  })
})
