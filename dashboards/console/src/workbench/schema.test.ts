import { describe, expect, it } from 'vitest'
import text from '../../../../docs/rule.schema.json?raw'
import { inFlow, parents, RuleSchema, type SchemaNode } from './schema'

const schema = new RuleSchema(JSON.parse(text) as SchemaNode)

describe('the schema of rules', () => {
  it('names every key of a rule with its meaning', () => {
    const keys = schema.keys([])
    expect(keys.map((key) => key.name)).toEqual(expect.arrayContaining(['rule', 'where', 'having', 'clear_when', 'fence']))
    expect(keys.find((key) => key.name === 'stream')?.help).toContain('events')
  })

  it('lists the values of a key, also behind alternatives', () => {
    expect(schema.values(['stream'])).toEqual(['camera', 'traffic', 'feedback'])
    expect(schema.values(['type'])).toContain('traffic.flow')
    expect(schema.values(['severity'])).toContain('critical')
    expect(schema.values(['enabled'])).toEqual(['true', 'false'])
  })

  it('knows the keys inside a key', () => {
    expect(schema.keys(['clocks']).map((key) => key.name)).toEqual(['acknowledge', 'resolve'])
    expect(schema.help(['clocks'])).not.toBe('')
    expect(schema.keys(['nothing'])).toEqual([])
  })
})

describe('where the cursor is', () => {
  it('follows the indentation', () => {
    const lines = ['rule: a', 'clocks:', '  acknowledge: 5m', '  ']
    expect(parents(lines, 3, 2)).toEqual(['clocks'])
    expect(parents(lines, 3, 0)).toEqual([])
  })

  it('sees into braces that are still open', () => {
    expect(inFlow('clocks: {acknowledge: 5m, re')).toEqual({ key: 'clocks', inner: null })
    expect(inFlow('near: {stream: cam')).toEqual({ key: 'near', inner: 'stream' })
    expect(inFlow('clocks: {resolve: 2h}')).toBeNull()
  })
})
