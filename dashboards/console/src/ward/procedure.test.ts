import { expect, it, vi } from 'vitest'
import { HeldService, settled } from '../lib/api/testing'
import type { Procedure } from '../lib/api/types'
import { page } from './ward.svelte'

const procedure = (of: string): Procedure => ({ incident: of, rev: 1, ref: '', title: { vi: '', en: '' }, done: 0, total: 0, steps: [] })

it('shows the steps of the incident that is open when those of one opened before come later', async () => {
  const service = new HeldService()
  vi.stubGlobal('fetch', service.fetch)
  void page.openProcedure('inc-1')
  await settled()
  void page.openProcedure('inc-2')
  await settled()
  await service.of('inc-2/procedure').answer(procedure('inc-2'))
  await service.of('inc-1/procedure').answer(procedure('inc-1'))
  expect(page.procedure?.incident).toBe('inc-2')
})
