import { describe, expect, it } from 'vitest'
import { LONGEST_MS, Pace } from './pace'

describe('Pace', () => {
  it('lets a map rest as long as the last change took to draw', () => {
    const pace = new Pace()
    expect(pace.mayChange(0)).toBe(true)
    pace.changed(0)
    expect(pace.mayChange(100), 'still drawing').toBe(false)
    pace.drawn(400)
    expect(pace.mayChange(799)).toBe(false)
    expect(pace.mayChange(800)).toBe(true)
  })

  it('does not wait for ever for a map that never comes to rest', () => {
    const pace = new Pace()
    pace.changed(0)
    expect(pace.mayChange(LONGEST_MS)).toBe(false)
    expect(pace.mayChange(LONGEST_MS + 1), 'rests as long as that').toBe(false)
    expect(pace.mayChange(2 * LONGEST_MS + 1)).toBe(true)
  })

  it('takes no rest for drawings that no change was behind', () => {
    const pace = new Pace()
    pace.changed(0)
    pace.drawn(10)
    pace.drawn(5_000)
    expect(pace.mayChange(5_000)).toBe(true)
  })
})
