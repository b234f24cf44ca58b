/**
 * Wire types of the live feed `ioc.feed.v1` and of the incident they carry.
 *
 * Additive: unknown fields are ignored, unknown frame types are ignored. Times are RFC 3339 strings.
 */

export type Severity = 'critical' | 'high' | 'medium' | 'low'
export type Condition = 'active' | 'cleared'
export type Handling =
  'new' | 'acknowledged' | 'assigned' | 'in_progress' | 'resolved' | 'closed' | 'rejected' | 'merged'
export type PauseReason = 'waiting_for_citizen' | 'waiting_for_agency' | 'force_majeure' | 'waiting_for_parts'

export interface Text {
  vi: string
  en: string
}

export type Scalar = number | string | boolean | null

/** One compared value: `name` was `value`, the rule asks `op` `threshold`. */
export interface Evidence {
  name: string
  value: Scalar
  op?: string | null
  threshold?: Scalar
  unit?: string | null
}

export interface Why {
  rule_version: string
  summary: Text
  evidence?: Evidence[]
  event_ids?: string[]
}

export interface Checklist {
  ref: string
  done: number
  total: number
  open: { id: string; kind: string; answers: string[] }[]
}

export interface Incident {
  id: string
  rev: number
  rule: string
  key: string
  category: string
  severity: Severity
  condition: Condition
  handling: Handling
  title: Text
  ward: string | null
  source: string | null
  lon: number | null
  lat: number | null
  opened: string
  detected: string
  updated: string
  cleared: string | null
  acknowledged: string | null
  resolved: string | null
  closed: string | null
  assignee: string | null
  team: string | null
  note: string | null
  count: number
  ack_due: string | null
  resolve_due: string | null
  respond_due: string | null
  responded: string | null
  paused: string | null
  pause_reason: PauseReason | null
  /** How far it has been escalated; 0 not at all. */
  level: number
  shelved_until: string | null
  /** The ward that handed it over, while the present one has not accepted it. */
  handed_from: string | null
  agencies: string[]
  photo: string | null
  merged_into: string | null
  merged_by: string | null
  /** Incidents merged into this one, and how many of them go on. */
  members: number
  members_active: number
  /** How far its procedure has come; `open` are the required steps without which it cannot end. */
  checklist?: Checklist | null
  why: Why
}

/** Latest values of one device; which of them are present depends on `kind`. */
export interface DeviceState {
  id: string
  kind: 'camera' | 'detector'
  t: string
  lon: number | null
  lat: number | null
  ward: string | null
  speed_kmh?: number | null
  occupancy?: number | null
  volume_veh?: number | null
  online?: boolean | null
  objects?: number | null
  alarm?: string | null
}

export type Change = { o: number; op: 'add' | 'upd' | 'del'; rev: number; incident: Incident }
export type BBox = [west: number, south: number, east: number, north: number]

export type ServerFrame =
  | {
      type: 'welcome'
      session: string
      server_time: string
      hb_ms: number
      epoch: string
      limits?: Record<string, number>
      mode: 'resume' | 'snapshot'
    }
  | { type: 'snap'; epoch: string; offset: number; page: number; last: boolean; items: Incident[] }
  | { type: 'ev'; epoch: string; from: number; to: number; events: Change[] }
  | { type: 'state'; set: DeviceState[]; del: string[]; conflated: number }
  | { type: 'reset'; reason: string }
  | { type: 'notice'; level: string; code: string }
  | { type: 'ping'; t: number | string }
  | { type: 'pong'; t: number | string }
  | { type: 'bye'; code: number | string; reason: string; reconnect: boolean; after_ms: number | null }

export interface Position {
  epoch: string
  offset: number
}

export type ClientFrame =
  | { type: 'hello'; client: string; lang: string; resume?: Position }
  | { type: 'view'; bbox: BBox | null; zoom: number }
  | { type: 'ping'; t: number }
  | { type: 'pong'; t: number | string }
