/** What `/api/v1/workbench` answers; the meaning of the fields: `ioc/api/workbench_ports.py`. */
import type { RuleInfo } from '../lib/api/types'
import type { Scalar, Severity, Text } from '../lib/feed/types'

export interface BenchRule {
  info: RuleInfo
  slow: boolean
  raised_day: number
  raised_hour: number
  per_operator_hour: number
}

export interface BenchRules {
  items: BenchRule[]
  set_version: number
  budget: number
  operators: number
}

export interface RuleSource {
  rule: string
  file: string
  text: string
  version: number
  set_version: number
  hash: string
  enabled: boolean
  author: string
  at: string
  reason: string | null
  shadow_text: string | null
  shadow_version: number | null
  tests: string | null
}

export interface Finding {
  line: number
  column: number
  message: string
  suggestion: string | null
}

export interface Checked {
  findings: Finding[]
  rules: string[]
  diff: string[]
}

export interface EffectMark {
  what: 'raised' | 'updated' | 'cleared'
  rule: string
  key: string | null
  at_s: number
  severity: Severity | null
}

export interface CaseOutcome {
  name: string
  line: number
  passed: boolean
  until_s: number
  events: { at_s: number; arrives_s: number; source: string; words: string }[]
  events_total: number
  expected: EffectMark[]
  seen: EffectMark[]
  comparison: { line: number | null; expected: string | null; seen: string | null; note: string }[]
}

export interface TestsPlayed {
  findings: Finding[]
  in_rule: boolean
  cases: CaseOutcome[]
}

export type Change = 'gained' | 'lost' | 'earlier' | 'later'
export const CHANGES: readonly Change[] = ['gained', 'lost', 'earlier', 'later']

export interface Episode {
  opened: string
  detected: string
  cleared: string | null
  severity: Severity
  ward: string | null
  summary: Text
}

export interface Difference {
  change: Change
  rule: string
  key: string
  base: Episode | null
  candidate: Episode | null
  shift_s: number
  lon: number | null
  lat: number | null
}

export interface Load {
  rule: string
  alarms: number
  before: number | null
  per_operator_hour: number | null
  busiest_hour: number
  verdict: 'over' | 'within' | 'too short'
}

export interface BacktestResult {
  from: string
  to: string
  events: number
  operators: number
  budget: number
  over_budget: string[]
  loads: Load[]
  counts: Record<Change | 'same', number>
  items: Difference[]
  failures: Record<string, string>
}

export interface Job {
  id: string
  state: 'running' | 'done' | 'failed' | 'cancelled'
  trial: boolean
  share: number
  events: number
  started: string
  error: string | null
  no_history: boolean
  result: BacktestResult | null
}

export interface ChangeEntry {
  version: number
  at: string
  author: string
  op: 'import' | 'push' | 'shadow' | 'disable' | 'enable' | 'end_shadow'
  lane: 'active' | 'shadow'
  enabled: boolean
  reason: string | null
  accepted_flood: string | null
  text: string
  diff: string[]
}

export interface Explanation {
  rule: string
  key: string
  at: string
  fired: boolean
  condition: string
  disabled: string | null
  checks: {
    condition: string
    held: boolean
    value: Scalar
    op: string | null
    threshold: Scalar
    short_by: number | null
    detail: string
  }[]
  episode: Episode | null
  other_keys: string[]
}
