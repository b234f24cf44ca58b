/** What the phone keeps while there is no network: the list as it was, checklists, and the outbox. */
import type { Device, Me, Op, Procedure } from '../lib/api/types'
import type { Incident } from '../lib/feed/types'
import { answered, finished, openBase } from '../lib/state/indexed'
import type { Entry } from './outbox'

export interface Kept {
  me: Me
  incidents: Incident[]
  /** Server time of the list. */
  atMs: number
  /** Names of wards, by code. */
  wards: Record<string, { vi: string; en: string }>
  /** Those the list speaks of; absent in what an older page kept. */
  devices?: Device[]
}

/** What somebody has begun to say of an incident and has not sent. */
export interface Draft {
  /** Whose, of which incident, for what. */
  key: string
  user: string
  incident: string
  op: Op
  /** Of a step: which. */
  step: string
  note: string
  ward: string
  photo: Blob | null
  madeMs: number
}

type Store = 'kept' | 'procedures' | 'outbox'

const MOST_PROCEDURES = 200
let opened: Promise<IDBDatabase> | null = null
let begun: Promise<IDBDatabase> | null = null

function database(): Promise<IDBDatabase> {
  opened ??= openBase('ioc-ward', (base) => {
    base.createObjectStore('kept')
    base.createObjectStore('procedures', { keyPath: 'incident' })
    base.createObjectStore('outbox', { keyPath: 'seq' })
  })
  return opened
}

/** Apart from the rest: a new version of one database waits for older tabs, and nothing may keep the page from opening. */
function draftBase(): Promise<IDBDatabase> {
  begun ??= openBase('ioc-ward-drafts', (base) => base.createObjectStore('drafts', { keyPath: 'key' }))
  return begun
}

const within = async (name: Store, mode: IDBTransactionMode = 'readonly'): Promise<IDBObjectStore> =>
  (await database()).transaction(name, mode).objectStore(name)
const drafts = async (mode: IDBTransactionMode = 'readonly'): Promise<IDBObjectStore> => (await draftBase()).transaction('drafts', mode).objectStore('drafts')

export const store = {
  drafts: async (): Promise<Draft[]> => answered<Draft[]>((await drafts()).getAll()),
  keepDraft: async (draft: Draft): Promise<unknown> => answered((await drafts('readwrite')).put(draft)),
  dropDraft: async (key: string): Promise<void> => answered((await drafts('readwrite')).delete(key)),
  list: async (): Promise<Kept | undefined> => answered<Kept | undefined>((await within('kept')).get('list')),
  keepList: async (kept: Kept): Promise<unknown> => answered((await within('kept', 'readwrite')).put(kept, 'list')),
  procedure: async (incident: string): Promise<Procedure | undefined> => answered<Procedure | undefined>((await within('procedures')).get(incident)),
  async keepProcedure(procedure: Procedure): Promise<void> {
    const kept = await within('procedures', 'readwrite')
    if ((await answered(kept.count())) >= MOST_PROCEDURES) kept.clear()
    await answered(kept.put(procedure))
  },
  entries: async (): Promise<Entry[]> => answered<Entry[]>((await within('outbox')).getAll()),
  /** Put and take away single entries: another tab's are its own. */
  async change(put: readonly Entry[], gone: readonly number[]): Promise<void> {
    const step = (await database()).transaction('outbox', 'readwrite', { durability: 'strict' })
    const outbox = step.objectStore('outbox')
    for (const entry of put) outbox.put(entry)
    for (const seq of gone) outbox.delete(seq)
    await finished(step)
  },
  /** Forget what was shown, and what was not sent. */
  async wipe(): Promise<void> {
    const names: Store[] = ['kept', 'procedures', 'outbox']
    const step = (await database()).transaction(names, 'readwrite')
    for (const name of names) step.objectStore(name).clear()
    await Promise.all([finished(step), answered((await drafts('readwrite')).clear())])
  },
}
