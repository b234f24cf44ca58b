/** What `/api/v1/kpis` and `/api/v1/warnings` answer. */
import type { Group } from '../lib/api/readings'
import type { Severity, Text } from '../lib/feed/types'

export type PeriodName = 'today' | '7d' | '30d' | 'quarter'
export type Unit = 'share' | 'count' | 's' | 'per_hour'

export interface Definition {
  id: string
  title: Text
  words: Text
  covers: Text
  unit: Unit
  better: 'up' | 'down' | 'neither'
  now: boolean
  city_only: boolean
  has_incidents: boolean
}

export interface Report {
  at: string
  period: { name: PeriodName; from: string; to: string; compared_to: string; shift_s: number }
  items: Group[]
}

export interface SeriesPoint {
  at: string
  value: number | null
  n: number
  complete: boolean
}

export interface Series {
  at: string
  grain: 'hour' | 'day'
  items: SeriesPoint[]
}

export interface Warning {
  id: string
  brake: string
  title: Text
  figure: string
  ward: string | null
  category: string | null
  period: PeriodName
  severity: Severity
  stage: 'forecast' | 'crossed' | 'cleared'
  opened: string
  crossed: string | null
  forecast: string | null
  value: number
  threshold: number
  n: number
  coverage: number | null
  blind: boolean
  incidents: string | null
}

export interface Warnings {
  items: Warning[]
  brakes: { brake: string; title: Text; scopes: number; blind: number; checked: string }[]
}
