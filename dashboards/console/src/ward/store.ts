/** What the phone keeps while there is no network: the list as it was, checklists, and the outbox. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Device, Me, Op, Procedure } from '../lib/api/types'
import type { Incident } from '../lib/feed/types'
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

interface DraftSchema extends DBSchema {
  drafts: { key: string; value: Draft }
}

interface Schema extends DBSchema {
  kept: { key: 'list'; value: Kept }
  procedures: { key: string; value: Procedure }
  outbox: { key: number; value: Entry }
}

const MOST_PROCEDURES = 200
let opened: Promise<IDBPDatabase<Schema>> | null = null

function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>('ioc-ward', 1, {
    upgrade(db) {
      db.createObjectStore('kept')
      db.createObjectStore('procedures', { keyPath: 'incident' })
      db.createObjectStore('outbox', { keyPath: 'seq' })
    },
  })
  return opened
}

/** Apart from the rest: a new version of one database waits for older tabs, and nothing may keep the page from opening. */
let begun: Promise<IDBPDatabase<DraftSchema>> | null = null

function draftBase(): Promise<IDBPDatabase<DraftSchema>> {
  begun ??= openDB<DraftSchema>('ioc-ward-drafts', 1, { upgrade: (db) => void db.createObjectStore('drafts', { keyPath: 'key' }) })
  return begun
}

export const store = {
  drafts: async (): Promise<Draft[]> => (await draftBase()).getAll('drafts'),
  keepDraft: async (draft: Draft): Promise<void> => void (await (await draftBase()).put('drafts', draft)),
  dropDraft: async (key: string): Promise<void> => (await draftBase()).delete('drafts', key),
  list: async (): Promise<Kept | undefined> => (await database()).get('kept', 'list'),
  keepList: async (kept: Kept): Promise<void> => void (await (await database()).put('kept', kept, 'list')),
  procedure: async (incident: string): Promise<Procedure | undefined> => (await database()).get('procedures', incident),
  async keepProcedure(procedure: Procedure): Promise<void> {
    const db = await database()
    if ((await db.count('procedures')) >= MOST_PROCEDURES) await db.clear('procedures')
    await db.put('procedures', procedure)
  },
  entries: async (): Promise<Entry[]> => (await database()).getAll('outbox'),
  /** Put and take away single entries: another tab's are its own. */
  async change(put: readonly Entry[], gone: readonly number[]): Promise<void> {
    const step = (await database()).transaction('outbox', 'readwrite', { durability: 'strict' })
    for (const entry of put) await step.store.put(entry)
    for (const seq of gone) await step.store.delete(seq)
    await step.done
  },
  /** Forget what was shown, and what was not sent. */
  async wipe(): Promise<void> {
    const [db, drafts] = await Promise.all([database(), draftBase()])
    await Promise.all([db.clear('kept'), db.clear('procedures'), db.clear('outbox'), drafts.clear('drafts')])
  },
}
