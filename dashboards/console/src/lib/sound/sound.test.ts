import { describe, expect, it } from 'vitest'
import { SEVERITIES } from '../queue/order'
import { CALLS, SOURCE_COOLDOWN_MS, SourceCooldown } from './calls'

describe('what is called out', () => {
  it('hears a chattering source once in its cooldown, to the millisecond, and others meanwhile', () => {
    const sources = new SourceCooldown()
    const camera = { source: 'cam-1', severity: 'high' } as const
    expect(sources.due([camera], 0)).toBe('high')
    expect(sources.due([camera], SOURCE_COOLDOWN_MS - 1)).toBeNull()
    expect(sources.due([{ ...camera, source: 'cam-2' }], SOURCE_COOLDOWN_MS - 1)).toBe('high')
    expect(sources.due([camera], SOURCE_COOLDOWN_MS)).toBe('high')
  })

  it('lets what is worse through the cooldown, and what is less not', () => {
    const sources = new SourceCooldown()
    sources.due([{ source: 'cam-1', severity: 'medium' }], 0)
    expect(sources.due([{ source: 'cam-1', severity: 'low' }], 1)).toBeNull()
    expect(sources.due([{ source: 'cam-1', severity: 'critical' }], 2)).toBe('critical')
    expect(sources.due([{ source: 'cam-1', severity: 'high' }], 3)).toBeNull()
  })

  it('calls the worst of what came together, and people, who have no source, each time', () => {
    const sources = new SourceCooldown()
    expect(sources.due([{ source: null, severity: 'low' }, { source: 'cam-1', severity: 'high' }], 0)).toBe('high')
    expect(sources.due([{ source: null, severity: 'low' }], 1)).toBe('low')
    expect(sources.due([], 2)).toBeNull()
  })

  it('sounds different for each severity, and the graver the sooner again', () => {
    expect(new Set(SEVERITIES.map((severity) => CALLS[severity].notes.join())).size).toBe(SEVERITIES.length)
    const pauses = SEVERITIES.map((severity) => CALLS[severity].everyMs)
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b))
  })
})
