/**
 * A report that is being written. It survives a reload: words and place in local storage, photos on the shelf.
 * Who writes it is kept only as long as the tab, because others may use the same phone.
 */
import { uuid } from '../state/uuid'
import type { Lang } from '../api/types'
import { publicApi } from './api'
import type { Question, ReportBody } from './types'
import { shelf } from './shelf'
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

export interface DraftPhoto {
  id: string
  blob: Blob
  url: string
  /** Its name at the service, once it is there. */
  ref: string | null
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

  async restorePhotos(): Promise<void> {
    const kept = await shelf.all()
    this.photos = kept.slice(0, MAX_PHOTOS).map(({ id, blob }) => ({ id, blob, url: URL.createObjectURL(blob), ref: null }))
  }

  /** Call from an effect: it reads everything that is kept. */
  keep(): void {
    store(() => localStorage, WORDS_KEY, this.words)
    store(() => sessionStorage, CONTACT_KEY, this.contact)
  }

  /** False: this file is no picture. */
  async addPhoto(file: Blob): Promise<boolean> {
    const blob = await shrink(file)
    if (blob === null) return false
    const photo = { id: uuid(), blob, url: URL.createObjectURL(blob), ref: null }
    this.photos = [...this.photos, photo]
    await shelf.put({ id: photo.id, blob })
    return true
  }

  async dropPhoto(id: string): Promise<void> {
    for (const photo of this.photos) if (photo.id === id) URL.revokeObjectURL(photo.url)
    this.photos = this.photos.filter((photo) => photo.id !== id)
    await shelf.drop(id)
  }

  /** Send what is not there yet. A failure keeps those that arrived. */
  async sendPhotos(): Promise<string[]> {
    for (const photo of this.photos) {
      if (photo.ref !== null) continue
      const ref = await publicApi.photo(photo.blob)
      this.photos = this.photos.map((each) => (each.id === photo.id ? { ...each, ref } : each))
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

  /** The key of this draft was used for words that have changed since: what is sent now is another report. */
  renew(): void {
    this.words.idem = uuid()
  }

  async clear(): Promise<void> {
    for (const photo of this.photos) URL.revokeObjectURL(photo.url)
    this.photos = []
    this.words = blank()
    await shelf.clear()
  }
}
