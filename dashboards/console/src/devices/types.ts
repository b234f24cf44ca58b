/** What the routes of devices answer; the meaning of the fields: `ioc/api/devices.py`, `ioc/api/device_files.py`. */
export type Kind = 'camera' | 'detector' | 'gateway' | 'portal'
export type Condition = 'ok' | 'throttled' | 'stale' | 'never' | 'maintenance' | 'disabled' | 'unknown'

export interface Health {
  id: string
  kind: Kind
  name: string
  ward: string | null
  condition: Condition
  seen: string | null
  event: string | null
  expected_interval_s: number | null
  events_per_min: number
  refused_per_min: number
  error_rate: number | null
  clock_skew_s: number | null
  wrong_positions: number
  backward_times: number
  repeated_times: number
  last_refusal: string | null
  decoder: string
  throttled: string | null
  lon: number | null
  lat: number | null
  has_picture: boolean
  /** Since when it is out of service; null for one in service. */
  disabled: Outage | null
  /** Its event stream where the service holds it; null for everybody else's eyes. */
  stream: Stream | null
}

export interface Outage {
  since: string
  reason: string
  author: string
}

export interface Service {
  device: string
  state: 'in_service' | 'disabled' | 'removed'
  outage: Outage | null
}

export interface Stream {
  attach: string
  state: 'waiting' | 'connecting' | 'connected' | 'refused'
  changed: string | null
  seen: string | null
  connects: number
  due: string | null
  error: string | null
}

export interface HealthList {
  items: Health[]
  at: string
}

/** A device as it is registered. */
export interface Registered {
  id: string
  kind: Kind
  name: string
  ward: string | null
  lon: number | null
  lat: number | null
  expected_interval_s: number | null
  picture_url: string | null
  decoder: string
  covers: string[]
  trusts_position: boolean
  time_zone: string | null
  options: Record<string, string>
  stream_url: string | null
}

export interface Refused {
  id: number
  received: string
  source: string | null
  reason: string
  field: string | null
  detail: string
  raw: string
  raw_encoding: 'utf-8' | 'base64'
  size: number
  masked: boolean
}

export interface KeyInfo {
  hash: string
  label: string
  created: string
  expires: string | null
  revoked: string | null
}

export interface NewKey {
  device: string
  key: string
  old_key_ends: string | null
}

export interface Window {
  id: number
  device: string
  from: string
  to: string
  reason: string
  author: string
  created: string
}

export interface FieldChange {
  field: string
  before: string
  after: string
}

export interface ImportReport {
  written: boolean
  version: number
  new: number
  changed: number
  same: number
  changes: { id: string; kind: 'new' | 'changed'; fields: FieldChange[] }[]
  refused: number
  findings: string[]
  warnings: string[]
}
