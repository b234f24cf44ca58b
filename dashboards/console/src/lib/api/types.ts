/** Types of the REST contract the console uses; the incident itself is the feed's. */
import type { FeatureCollection, Geometry } from 'geojson'
import type { BBox, Handling, Incident, PauseReason, Scalar, Severity, Text } from '../feed/types'
import type { DeviceJson } from '../feed/wire'

export type Role = 'operator' | 'supervisor' | 'ward' | 'leader' | 'engineer' | 'admin'
export type Lang = 'vi' | 'en'

export interface Me {
  user: string
  name: string
  role: Role
  wards: string[] | null
  lang: Lang
}

/** What an app needs to make codes: the secret to type, the same as an address, and that as a picture. */
export interface Enrolment {
  secret: string
  uri: string
  picture: string
}

/** A ground under the map; the meaning of its fields: `ioc/api/basemap.py`. */
export interface Basemap {
  kind: 'pmtiles' | 'raster' | 'vector'
  url: string
  attribution: string
  schema: 'protomaps' | 'openmaptiles'
  max_zoom: number
}

export interface City {
  name: Text
  center: [number, number]
  bounds: BBox
  illustrative: boolean
  version: string
  state_ttl_s: number
  demo: boolean
  basemap: Basemap | null
}

export interface AreaProperties {
  code: string
  kind: string
  name: string
  name_en?: string | null
  /** Wards it took over, parted by semicolons. */
  former?: string
  illustrative?: boolean
  class?: string | null
  [more: string]: unknown
}

export type Areas = FeatureCollection<Geometry, AreaProperties>

export type Device = DeviceJson

export interface DeviceList {
  items: Device[]
  /** Of the register: what the feed's changes of devices go on from. */
  version: number
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
  | 'merge' | 'unmerge' | 'shelve' | 'unshelve' | 'pause' | 'resume' | 'involve' | 'comment' | 'step' | 'skip'

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
  unwatched: number
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
  step?: string
  answer?: string
  photo?: string
  override?: string
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
  enrolment?: Enrolment
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

/** A picture of an incident; its bytes are at `/photos/{ref}`. */
export interface Photo {
  ref: string
  width: number
  height: number
  origin: 'staff' | 'citizen'
  uploaded: string
  released: boolean
}

/** What a citizen told, masked (`ReportInfo`); `root` is the report that it tells the same as, or itself. */
export interface CitizenReport {
  id: string
  root: string
  service: string
  text: string
  channel: string
  received: string
  address: string | null
  lon: number | null
  lat: number | null
  /** How its address gave its place; null where its author did, or nobody could. */
  placed_by: 'code' | 'address' | 'fuzzy' | 'ward' | null
  /** How sure that is, 0 to 1. */
  place_confidence: number | null
  /** A mask where there is one. */
  contact: string | null
  photos: string[]
  /** A partner's own copy of a picture, an address of http(s). */
  media_url: string | null
  answers: { at: string; text: string }[]
  satisfied: boolean | null
}

export type StepKind = 'confirm' | 'choice' | 'note' | 'photo'

export interface ProcedureStep {
  id: string
  text: Text
  kind: StepKind
  required: boolean
  state: 'open' | 'done' | 'skipped'
  choices: { id: string; text: Text }[]
  link: string | null
  by: string | null
  at: string | null
  answer: string | null
  note: string | null
  photo: string | null
}

/** An incident's checklist: the steps that are due, branches not entered left out. */
export interface Procedure {
  incident: string
  rev: number
  ref: string
  title: Text
  done: number
  total: number
  steps: ProcedureStep[]
}

export interface Shift {
  id: number
  rev: number
  lead: string
  state: 'running' | 'handing_over' | 'passed'
  began: string
  started: string | null
  started_by: string | null
  absent: string | null
  incoming: string | null
  is_opened: boolean
  left_out: number
  passed: string | null
}

export type ShiftItemKind = 'incident' | 'shelved' | 'handed_over' | 'outage' | 'rule'

export interface ShiftItem {
  ref: string
  kind: ShiftItemKind
  title: Text
  severity: Severity | null
  ward: string | null
  source: string | null
  handling: Handling | null
  since: string
  due: string | null
  rev: number
  verdict: 'open' | 'accepted' | 'questioned'
  by: string | null
  reason: string | null
  note: string | null
  gone: boolean
}

/** `shift` null: none has ever begun. */
export interface CurrentShift {
  shift: Shift | null
  items: ShiftItem[]
}

export type ShiftOp = 'start' | 'open' | 'note' | 'accept' | 'accept_rest' | 'question' | 'cancel' | 'pass'

export interface ShiftCommand {
  op: ShiftOp
  expect_rev: number
  idem: string
  args: { items?: string[]; note?: string }
}
