/** Answers of `/api/v1/public`; docs/citizens.md describes them. */
import type { Group } from '../api/readings'
import type { Basemap } from '../api/types'
import type { Text } from '../feed/types'

export interface PublicCity {
  name: Text
  center: [number, number]
  /** West, south, east, north. */
  bounds: [number, number, number, number]
  illustrative: boolean
  demo: boolean
  /** By code. */
  wards: Record<string, Text>
  /** By code, what those wards took over; absent in what an older page kept. */
  former?: Record<string, string>
  basemap: Basemap | null
}

export interface Service {
  code: string
  name: Text
  /** What belongs here, in a sentence. */
  description: Text
  group: string
}

export type Status = 'received' | 'accepted' | 'forwarded' | 'in_progress' | 'done' | 'rejected' | 'reopened'

/** An earlier report that may tell of the same thing. */
export interface Candidate {
  id: string
  text: string
  received: string
  status: Status
  likeness: number
  metres: number | null
}

export interface Question {
  service: string
  text: string
  lon: number | null
  lat: number | null
  address: string | null
}

export interface ReportBody extends Question {
  contact: string | null
  language: 'vi' | 'en'
  photos: string[]
  joins: string | null
  idem: string
}

/** Asked of an address that sends much: find `nonce` so that SHA-256 of `seed:nonce` begins with `bits` zero bits. */
export interface Challenge {
  seed: string
  bits: number
}

export interface Receipt {
  id: string
  code: string
  /** Put to an earlier report of the same thing. */
  joined: boolean
}

export interface Followed {
  id: string
  service: string
  text: string
  received: string
  joined: boolean
  status: Status
  steps: { status: Status; at: string }[]
  answers: { at: string; text: string }[]
  may_vote: boolean
  photos: string[]
  address: string | null
  ward: string | null
  /** What is answered to everybody whose report came to this end. */
  standard: Text | null
  due: string | null
  /** How this reporter voted on the present result. */
  satisfied: boolean | null
}

export interface Figures {
  received: number
  open: number
  done: number
  rejected: number
  overdue: number
  /** Of those done, how many within the legal time. */
  within_due: number
  median_done_s: number | null
}

export interface PublicPlace {
  id: string
  service: string
  ward: string | null
  lon: number | null
  lat: number | null
  received: string
  status: Status
  reports: number
}

export interface Board {
  at: string
  days: number
  all: Figures
  wards: Record<string, Figures>
  services: Record<string, Figures>
  votes: number
  satisfied: number
  latest: PublicPlace[]
}

export interface WallReport {
  at: string
  /** The whole first. */
  wards: Group[]
  categories: Group[]
}
