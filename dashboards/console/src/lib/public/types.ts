/** Answers of `/api/v1/public`, as docs/citizens.md describes them. */
import type { Text } from '../feed/types'

export interface PublicCity {
  name: Text
  center: [number, number]
  bounds: [number, number, number, number]
  illustrative: boolean
  demo: boolean
}

export interface Service {
  code: string
  name: Text
  /** What belongs here, in a sentence. */
  description: Text | null
  group: string | null
}

/** Somebody's report that may be about the same thing. */
export interface Candidate {
  id: string
  text: string
  address: string | null
  reported: string
  distance_m: number
  reports: number
}

export interface Contact {
  name?: string
  phone?: string
  email?: string
}

export interface ReportBody {
  idem: string
  service: string
  text: string
  lon: number | null
  lat: number | null
  address: string | null
  photos: string[]
  contact: Contact | null
  join: string | null
  consent: true
}

export interface Accepted {
  code: string
  due: string | null
}

export type Stage = 'received' | 'in_progress' | 'answered' | 'rejected'

export interface HistoryEntry {
  at: string
  stage: Stage
  text: string | null
}

export interface Followed {
  code: string
  service: Text
  text: string
  address: string | null
  reported: string
  stage: Stage
  due: string | null
  /** How many people have reported the same. */
  reports: number
  answer: string | null
  history: HistoryEntry[]
  photos: string[]
  /** Whether the present answer can be voted on. */
  votable: boolean
  vote: { satisfied: boolean; text: string | null; at: string } | null
}

export interface BoardRow {
  code: string
  name: Text
  open: number
  closed: number
  /** Share answered within the legal time, 0–1; null where nothing was due. */
  in_time: number | null
  /** Median days to the result. */
  median_days: number | null
}

export interface BoardReport {
  service: Text
  text: string
  place: string | null
  reported: string
  stage: Stage
}

export interface Board {
  at: string
  days: number
  open: number
  closed: number
  in_time: number | null
  median_days: number | null
  satisfied: number | null
  wards: BoardRow[]
  services: BoardRow[]
  recent: BoardReport[]
}
