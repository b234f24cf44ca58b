import { beforeEach, describe, expect, it, vi } from 'vitest'
import { HeldService, settled } from '../api/testing'
import type { Me, Procedure } from '../api/types'
import { incident } from '../feed/testing'
import { commands } from './commands.svelte'
import { live } from './live.svelte'
import { procedures } from './procedures.svelte'
import { session } from './session.svelte'

const OPERATOR: Me = { user: 'operator', name: 'Operator', role: 'operator', wards: null, lang: 'vi' }
const LEADER: Me = { ...OPERATOR, user: 'leader', role: 'leader' }
const reload = vi.fn()
let service: HeldService

async function enter(me: Me): Promise<void> {
  const entered = session.login(me.user, 'a password')
  await service.of('/session').answer(me)
  await entered
}

beforeEach(() => {
  service = new HeldService()
  reload.mockClear()
  vi.stubGlobal('fetch', service.fetch)
  vi.stubGlobal('location', { reload, search: '', pathname: '/' })
  vi.stubGlobal('document', { documentElement: {} })
})

const procedure = (of: string): Procedure => ({ incident: of, rev: 1, ref: '', title: { vi: '', en: '' }, done: 0, total: 0, steps: [] })

describe('the checklist of the incident that is open', () => {
  it('stays when that of one opened before comes later', async () => {
    const [first, second] = [incident('inc-1'), incident('inc-2')]
    void procedures.load(first.id)
    void procedures.load(second.id)
    await service.of('inc-2/procedure').answer(procedure('inc-2'))
    await service.of('inc-1/procedure').answer(procedure('inc-1'))
    expect(procedures.of(second)?.incident).toBe('inc-2')
  })

  it('is not called failed because that of one opened before could not be read', async () => {
    void procedures.load('inc-1')
    void procedures.load('inc-2')
    await service.of('inc-1/procedure').fail()
    expect(procedures.failed).toBe(false)
  })
})

describe('commands', () => {
  it('leave the form of another incident open, with what is written in it', async () => {
    await enter(OPERATOR)
    const [first, second] = [incident('inc-1'), incident('inc-2')]
    live.book.replace([first, second], true)
    void commands.send(first, 'acknowledge', {})
    commands.begin(second, 'comment')
    await service.of('inc-1/commands').answer({ ...first, rev: 2, handling: 'acknowledged' })
    expect(commands.form).toEqual({ incident: 'inc-2', op: 'comment' })
    expect(commands.of('inc-1')?.outcome.kind).toBe('done')
  })

  it('under way are not sent twice because another one was answered', async () => {
    const [first, second] = [incident('inc-1'), incident('inc-2')]
    void commands.send(first, 'acknowledge', {})
    const answered = service.of('inc-1/commands')
    void commands.send(second, 'acknowledge', {})
    await answered.answer({ ...first, rev: 2, handling: 'acknowledged' })
    void commands.send(second, 'acknowledge', {})
    await settled()
    expect(service.asked.filter(({ path }) => path.includes('inc-2/commands'))).toHaveLength(1)
  })
})

describe('a page that somebody else takes over', () => {
  it('begins anew for another person, and goes on for the same', async () => {
    await enter(OPERATOR)
    session.leave(true)
    await enter(OPERATOR)
    expect(reload).not.toHaveBeenCalled()
    session.leave(false)
    await enter(LEADER)
    expect(reload).toHaveBeenCalledOnce()
    expect(session.me).toBeNull()
  })

  it('asks for a login where another tab has logged in as somebody else', async () => {
    await enter(OPERATOR)
    const verified = session.verify()
    await service.of('/session').answer(LEADER)
    await verified
    expect(session.phase).toBe('out')
  })

  it('does nothing in the name of who has logged in since', async () => {
    await enter(OPERATOR)
    void commands.send(incident('inc-3'), 'acknowledge', {})
    await service.of('inc-3/commands').answer({ errors: [{ rule: 'other_user' }] }, 403)
    expect(session.phase).toBe('out')
  })
})
