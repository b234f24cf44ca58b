/** Figures of devices in words of the chosen language. Read inside of a component, so that they follow clock and language. */
import { ApiError } from '../lib/api/client'
import { number } from '../lib/format/number'
import { ago, stamp } from '../lib/format/time'
import { i18n } from '../lib/i18n/index.svelte'
import { clock } from '../lib/state/clock.svelte'
import { session } from '../lib/state/session.svelte'
import { fleet } from './fleet.svelte'
import { TEXTS } from './texts'

/** Clocks of machines differ by less without being wrong. */
const EXACT_S = 0.5

const texts = () => TEXTS[i18n.lang]

export function agoText(time: string | null): string {
  return time === null ? texts().neverSeen : ago(clock.now - Date.parse(time), i18n.t.unit)
}

export function stampText(time: string | null): string {
  return time === null ? texts().neverSeen : stamp(Date.parse(time), clock.now)
}

export function clockText(skew: number | null): string {
  if (skew === null) return '–'
  const far = Math.abs(skew)
  if (far < EXACT_S) return texts().exact
  const span = far < 60 ? `${number(far, i18n.lang)} ${i18n.t.unit.s}` : ago(far * 1000, i18n.t.unit)
  return skew < 0 ? texts().ahead(span) : texts().behind(span)
}

export function wardText(code: string | null): string {
  if (code === null) return texts().noWard
  return fleet.wards.get(code)?.[i18n.lang] ?? code
}

/** What to tell of a request that came to nothing. A session that is over ends here. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error)
  if (error.status === 0) return texts().unreachable
  if (error.status === 401) void session.verify()
  if (error.status === 403) return texts().forbidden
  const [first] = error.problem.errors ?? []
  if (!first?.field) return error.problem.detail ?? error.message
  return `${texts().fields[first.field] ?? first.field}: ${first.detail ?? ''}`
}
