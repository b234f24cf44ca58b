import { beforeEach, describe, expect, it, vi } from 'vitest'
import { HeldService, settled } from '../api/testing'
import { Draft } from './draft.svelte'

let service: HeldService

beforeEach(() => {
  service = new HeldService()
  vi.stubGlobal('fetch', service.fetch)
})

describe('a report sent while its picture is still made smaller', () => {
  it('goes with the picture', async () => {
    const draft = new Draft()
    void draft.addPhotos([new Blob(['picture'], { type: 'image/jpeg' })])
    const sent = draft.sendPhotos()
    await settled()
    await settled()
    await service.of('/photos').answer({ ref: 'pic-1' })
    expect(await sent).toEqual(['pic-1'])
  })
})
