/** IndexedDB as promises: as much of it as pages keep things in. */

export const answered = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

/** Resolves once everything of a transaction stands; rejects where nothing of it does. */
export const finished = (step: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    step.oncomplete = () => resolve()
    step.onerror = step.onabort = () => reject(step.error)
  })

/** Open the first version of a database; `make` makes its stores where there is none yet. */
export function openBase(name: string, make: (base: IDBDatabase) => void): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => make(request.result)
  return answered(request)
}
