import { beforeEach, describe, expect, it, vi } from 'vitest'
import { HeldService, settled } from '../lib/api/testing'
import { bench } from './bench.svelte'
import type { RuleSource } from './types'

const source = (rule: string): RuleSource => ({
  rule, file: `${rule}.yaml`, text: `rule: ${rule}`, version: 1, set_version: 1, hash: '', enabled: true, author: 'engineer', at: '',
  reason: null, shadow_text: null, shadow_version: null, tests: 'tests: []',
})
let service: HeldService

async function open(rule: string): Promise<void> {
  const opened = bench.open(rule, false)
  await service.of(`/rules/${rule}`).answer(source(rule))
  await opened
}

beforeEach(() => {
  service = new HeldService()
  vi.stubGlobal('fetch', service.fetch)
})

describe('a rule opened while the one before is worked on', () => {
  it('is not shown the other rule’s tests', async () => {
    await open('first')
    void bench.play()
    await open('second')
    await service.of('/workbench/test').answer({ findings: [], in_rule: false, cases: [] })
    expect(bench.played).toBeNull()
  })

  it('is not shown the other rule’s backtest, and nobody follows that one', async () => {
    await open('first')
    void bench.run({ trial: true })
    await open('second')
    await service.of('/workbench/backtests').answer({ id: 'job-1', state: 'running', trial: true, share: 0, events: 0 })
    expect(bench.job).toBeNull()
  })

  it('is not put into conflict by the other rule’s new version, which would take its text', async () => {
    await open('first')
    void bench.push('why', false, '').catch(() => undefined)
    await open('second')
    await service.of('/workbench/push').answer({ present: source('first') }, 409)
    expect(bench.conflict).toBeNull()
  })
})

describe('a rule whose text could not be read', () => {
  it('is read again with the list', async () => {
    void bench.open('first', false)
    await service.of('/rules/first').answer({}, 503)
    expect(bench.source).toBeNull()
    void bench.refresh()
    await service.of('/workbench/rules').answer({ items: [], set_version: 1, budget: 1, operators: 1 })
    await service.of('/rules/first').answer(source('first'))
    await settled()
    expect(bench.source?.rule).toBe('first')
  })
})
