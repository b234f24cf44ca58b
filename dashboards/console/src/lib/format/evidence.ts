/** One line of evidence in plain language: what was measured, and what the rule allows. */
import type { Lang } from '../api/types'
import type { Evidence, Scalar } from '../feed/types'
import { term, unitName } from '../i18n/terms'
import type { Catalogue } from '../i18n/vi'
import { number, percent } from './number'

const SIGNS: Record<string, string> = {
  '<': '<', '<=': '≤', '>': '>', '>=': '≥', '==': '=', '=': '=', '!=': '≠',
}

export interface EvidenceLine {
  name: string
  value: string
  threshold: string
  /** How far the bar and the threshold mark reach, 0–1; null when the pair is not two numbers. */
  bar: { value: number; threshold: number } | null
}

function scalar(value: Scalar | undefined, line: Evidence, lang: Lang, why: Catalogue['why']): string {
  if (value === null || value === undefined) return '–'
  if (typeof value === 'boolean') return value ? why.yes : why.no
  if (typeof value === 'string') return term(value, lang)
  const unit = unitName(line.unit, lang)
  if (isFraction(line)) return percent(value, lang)
  return unit ? `${number(value, lang)} ${unit}` : number(value, lang)
}

function isFraction(line: Evidence): boolean {
  return ['occupancy', 'confidence'].includes(line.name) && !['%', 'percent'].includes(line.unit ?? '')
}

export function evidenceLine(line: Evidence, lang: Lang, why: Catalogue['why']): EvidenceLine {
  const { value, threshold } = line
  const sign = line.op ? (SIGNS[line.op] ?? line.op) : ''
  const numeric = typeof value === 'number' && typeof threshold === 'number' && value >= 0 && threshold > 0
  const top = numeric ? Math.max(value, threshold) * 1.15 : 1
  return {
    name: term(line.name, lang),
    value: scalar(value, line, lang, why),
    threshold: threshold === undefined || threshold === null ? '' : `${sign} ${scalar(threshold, line, lang, why)}`.trim(),
    bar: numeric ? { value: value / top, threshold: threshold / top } : null,
  }
}
