/** Photos of a draft, kept by the browser until they are sent: a reload or a dead network loses none. */

import { answered, openBase } from '../state/indexed'

export interface KeptPhoto {
  id: string
  blob: Blob
  /** Its name at the service, once it is there. */
  ref: string | null
}

const DATABASE = 'ioc-report'
const STORE = 'photos'

async function within<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await openBase(DATABASE, (base) => base.createObjectStore(STORE, { keyPath: 'id' }))
  try {
    return await answered(work(database.transaction(STORE, mode).objectStore(STORE)))
  } finally {
    database.close()
  }
}

/** Storage may be forbidden (private mode): then photos last as long as the page. */
async function ifAllowed<T>(work: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work
  } catch {
    return otherwise
  }
}

export const shelf = {
  all: () => ifAllowed<KeptPhoto[]>(within('readonly', (store) => store.getAll() as IDBRequest<KeptPhoto[]>), []),
  put: (photo: KeptPhoto) => ifAllowed<unknown>(within('readwrite', (store) => store.put(photo)), undefined),
  drop: (id: string) => ifAllowed<unknown>(within('readwrite', (store) => store.delete(id)), undefined),
  clear: () => ifAllowed<unknown>(within('readwrite', (store) => store.clear()), undefined),
}
