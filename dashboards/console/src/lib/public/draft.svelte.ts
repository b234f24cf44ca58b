/**
 * A report that is being written. It survives a reload: words and place in local storage, photos on the shelf.
 * Who writes it is kept only as long as the tab, because others may use the same phone.
 */
import { uuid } from '../state/uuid'
import type { Lang } from '../api/types'
import { PublicError, publicApi } from './api'
import type { Question, Receipt, ReportBody } from './types'
import { shelf, type KeptPhoto } from './shelf'
import { shrink } from './shrink'

export const MAX_PHOTOS = 5
export const MAX_TEXT = 4000
export const MIN_TEXT = 10
const WORDS_KEY = 'ioc.report'
const CONTACT_KEY = 'ioc.report-contact'

export interface Place {
  lon: number
  lat: number
  /** Metres of the device's own estimate; null: chosen on the map. */
  accuracy_m: number | null
  /** The ward that the map showed there, by code. */
  ward: string | null
}

export interface DraftPhoto extends KeptPhoto {
  url: string
}

interface Words {
  idem: string
  service: string
  text: string
  address: string
  place: Place | null
  joins: string | null
}

const blank = (): Words => ({ idem: uuid(), service: '', text: '', address: '', place: null, joins: null })

function stored<T>(storage: () => Storage, key: string, fallback: T): T {
  try {
    return { ...fallback, ...(JSON.parse(storage().getItem(key) ?? '{}') as Partial<T>) }
  } catch {
    return fallback
  }
}

function store(storage: () => Storage, key: string, value: unknown): void {
  try {
    storage().setItem(key, JSON.stringify(value))
  } catch {
    // Not allowed or full: the draft lasts as long as the page.
  }
}

export class Draft {
  words = $state<Words>(stored(() => localStorage, WORDS_KEY, blank()))
  contact = $state(stored(() => sessionStorage, CONTACT_KEY, { how: '' }))
  photos = $state.raw<DraftPhoto[]>([])
  /** Whether what is shown was written in an earlier visit. */
  readonly restored = Boolean(this.words.text || this.words.service)
  #adding: Promise<unknown> = Promise.resolve()

  async restorePhotos(): Promise<void> {
    const kept = await shelf.all()
    this.photos = kept.slice(0, MAX_PHOTOS).map((photo) => ({ ...photo, url: URL.createObjectURL(photo.blob) }))
  }

  /** Call from an effect: it reads everything that is kept. */
  keep(): void {
    store(() => localStorage, WORDS_KEY, this.words)
    store(() => sessionStorage, CONTACT_KEY, this.contact)
  }

  /** Take pictures one after the other; false: some file is none. */
  async addPhotos(files: readonly Blob[]): Promise<boolean> {
    const before = this.#adding
    const added = (async () => {
      await before
      let readable = true
      for (const file of files) readable = (await this.#add(file)) && readable
      return readable
    })()
    this.#adding = added
    return added
  }

  async #add(file: Blob): Promise<boolean> {
    const blob = await shrink(file)
    if (blob === null) return false
    const photo = { id: uuid(), blob, ref: null }
    this.photos = [...this.photos, { ...photo, url: URL.createObjectURL(blob) }]
    await shelf.put(photo)
    return true
  }

  async dropPhoto(id: string): Promise<void> {
    for (const photo of this.photos) if (photo.id === id) URL.revokeObjectURL(photo.url)
    this.photos = this.photos.filter((photo) => photo.id !== id)
    await shelf.drop(id)
  }

  /** Send what is not there yet. A failure keeps those that arrived, so that a repeat is of the same report. */
  async sendPhotos(): Promise<string[]> {
    // A picture that is still being made smaller was chosen before the report was sent: it goes with it.
    await this.#adding
    for (const { id, blob, ref: sent } of this.photos) {
      if (sent !== null) continue
      const ref = await publicApi.photo(blob)
      this.photos = this.photos.map((each) => (each.id === id ? { ...each, ref } : each))
      await shelf.put({ id, blob, ref })
    }
    return this.photos.flatMap(({ ref }) => (ref === null ? [] : [ref]))
  }

  /** The service no longer knows the photos that were sent: they go again. */
  forgetSent(): void {
    this.photos = this.photos.map((photo) => ({ ...photo, ref: null }))
  }

  /** What and where, as far as it is written. */
  question(): Question {
    const { service, text, address, place } = this.words
    return { service, text: text.trim(), lon: place?.lon ?? null, lat: place?.lat ?? null, address: address.trim() || null }
  }

  body(photos: string[], language: Lang): ReportBody {
    const contact = this.contact.how.trim() || null
    return { ...this.question(), contact, language, photos, joins: this.words.joins, idem: this.words.idem }
  }

  /** Send everything. Raises `PublicError`. */
  async send(photos: string[], language: Lang): Promise<Receipt> {
    try {
      return await publicApi.report(this.body(photos, language))
    } catch (error) {
      if (!(error instanceof PublicError) || !error.ruleOf('idem')) throw error
      // An earlier try arrived, though its answer did not, and the words have changed since: this is another one.
      this.words.idem = uuid()
      return await publicApi.report(this.body(photos, language))
    }
  }

  async clear(): Promise<void> {
    for (const photo of this.photos) URL.revokeObjectURL(photo.url)
    this.photos = []
    this.words = blank()
    await shelf.clear()
  }
}
