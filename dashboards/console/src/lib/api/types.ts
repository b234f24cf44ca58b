/** Types of the REST contract the console uses; the incident itself is the feed's. */
import type { FeatureCollection, Geometry } from 'geojson'
import type { BBox, Handling, Incident, PauseReason, Scalar, Severity, Text } from '../feed/types'

export type Role = 'operator' | 'supervisor' | 'ward' | 'leader' | 'engineer' | 'admin'
export type Lang = 'vi' | 'en'

export interface Me {
  user: string
  name: string
  role: Role
  wards: string[] | null
  lang: Lang
}

export interface City {
  name: Text
  center: [number, number]
  bounds: BBox
  illustrative: boolean
  version: string
  state_ttl_s: number
  demo: boolean
}

export interface AreaProperties {
  code: string
  kind: string
  name: string
  name_en?: string | null
  illustrative?: boolean
  class?: string | null
  [more: string]: unknown
}

export type Areas = FeatureCollection<Geometry, AreaProperties>

export interface Device {
  id: string
  kind: 'camera' | 'detector' | 'gateway' | 'portal'
  name: string
  ward: string | null
  lon: number | null
  lat: number | null
  has_picture: boolean
}

export interface Audit {
  rev: number
  at: string
  actor: string
  op: string
  from: Handling | null
  to: Handling | null
  note: string | null
  details: Record<string, Scalar> | null
}

export type Op =
  | 'acknowledge' | 'assign' | 'start' | 'resolve' | 'close' | 'reject' | 'reopen' | 'reroute' | 'accept' | 'decline'
  | 'merge' | 'unmerge' | 'shelve' | 'unshelve' | 'pause' | 'resume' | 'involve' | 'comment'
/** One rule with what the workers report of it; counts are since they began. */
export interface RuleInfo {
  rule: string
  title: Text
  severity: Severity
  enabled: boolean
  error: string | null
  set_version: number
  running: number
  author: string | null
  failures: number
  seconds: number
  keys: number
  wide: boolean
  matched: number
  raised: number
  late: number
  amended: number
  cooled: number
  unkeyed: number
  overflowed: number
  evicted: number
  shadow: ShadowInfo | null
}

export interface ShadowInfo {
  version: string
  set_version: number
  author: string
  raised: number
  failures: number
  error: string | null
}

export type ShadowChange = 'gained' | 'lost' | 'earlier' | 'later' | 'same'

/** One incident of a rule, of its shadow, or of both. */
export interface ShadowDiff {
  change: ShadowChange
  key: string
  ward: string | null
  shadow: string | null
  active: string | null
  shift_s: number
  summary: Text
}


export interface Command {
  op: Op
  expect_rev: number
  idem: string
  args: CommandArgs
}

export interface CommandArgs {
  assignee?: string
  note?: string
  ward?: string
  into?: string
  until?: string
  reason?: PauseReason
}

/** One ward's outlook: what is late, and what will be at the present pace. */
export interface WardForecast {
  ward: string | null
  open: number
  overdue: number
  will_breach: number
  paused: number
  per_hour: number
  first_breach: string | null
  incidents: string[]
}

export interface Problem {
  title?: string
  status?: number
  detail?: string
  errors?: { field?: string; rule?: string; detail?: string }[]
  current?: Incident
}

/** What is masked elsewhere, as it was written (`POST /incidents/{id}/unmask`). */
export interface Unmasked {
  id: string
  key: string
  title: Text
  summary: Text
  evidence: string[]
  note: string | null
}
