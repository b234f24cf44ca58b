/** Photos of a draft, kept by the browser until they are sent: a reload or a dead network loses none. */

export interface KeptPhoto {
  id: string
  blob: Blob
  /** Its name at the service, once it is there. */
  ref: string | null
}

const DATABASE = 'ioc-report'
const STORE = 'photos'

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1)
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' })
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

async function within<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await opened()
  try {
    return await new Promise((resolve, reject) => {
      const request = work(database.transaction(STORE, mode).objectStore(STORE))
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
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
