/** A registered device as a form of texts, and back. Pure. */
import type { Registered } from './types'

export interface Form {
  id: string
  kind: string
  name: string
  ward: string
  lon: string
  lat: string
  expected_interval_s: string
  decoder: string
  options: string
  covers: string
  trusts_position: boolean
  time_zone: string
  picture_url: string
  stream_url: string
}

export const EMPTY: Form = {
  id: '', kind: 'camera', name: '', ward: '', lon: '', lat: '', expected_interval_s: '', decoder: 'cloudevents', options: '',
  covers: '', trusts_position: false, time_zone: '', picture_url: '', stream_url: '',
}

const FIELDS = Object.keys(EMPTY) as (keyof Form)[]

export function formOf(device: Registered): Form {
  const text = (value: number | string | null): string => (value === null ? '' : String(value))
  return {
    id: device.id,
    kind: device.kind,
    name: device.name,
    ward: text(device.ward),
    lon: text(device.lon),
    lat: text(device.lat),
    expected_interval_s: text(device.expected_interval_s),
    decoder: device.decoder,
    options: Object.entries(device.options).map(([name, value]) => `${name}=${value}`).join('\n'),
    covers: device.covers.join('\n'),
    trusts_position: device.trusts_position,
    time_zone: text(device.time_zone),
    picture_url: text(device.picture_url),
    stream_url: text(device.stream_url),
  }
}

export interface FormFault {
  field: keyof Form
  rule: 'number' | 'option'
}

/** The body of the request, or what cannot be sent. Numbers may have a decimal comma; what was not touched of `base` goes back as it came. */
export function bodyOf(form: Form, base: Registered | null): { body: Record<string, unknown>; faults: FormFault[] } {
  const faults: FormFault[] = []
  const number = (field: 'lon' | 'lat' | 'expected_interval_s'): number | null => {
    const text = form[field].trim().replace(',', '.')
    if (text === '') return null
    const value = Number(text)
    if (!Number.isFinite(value)) faults.push({ field, rule: 'number' })
    return value
  }
  const lines = (text: string): string[] => text.split('\n').map((line) => line.trim()).filter(Boolean)
  const text = (value: string): string | null => value.trim() || null
  const options = lines(form.options).map((line) => line.split(/=(.*)/s))
  if (options.some(([name, value]) => !name?.trim() || value === undefined)) faults.push({ field: 'options', rule: 'option' })
  const body: Record<Exclude<keyof Form, 'id'>, unknown> = {
    kind: form.kind,
    name: form.name.trim(),
    ward: text(form.ward),
    lon: number('lon'),
    lat: number('lat'),
    expected_interval_s: number('expected_interval_s'),
    decoder: form.decoder.trim(),
    options: Object.fromEntries(options.map(([name = '', value = '']) => [name.trim(), value.trim()])),
    covers: lines(form.covers),
    trusts_position: form.trusts_position,
    time_zone: text(form.time_zone),
    picture_url: text(form.picture_url),
    stream_url: text(form.stream_url),
  }
  if (!base) return { body, faults }
  const { id: _, ...registered } = base
  const untouched = formOf(base)
  for (const field of FIELDS) if (field !== 'id' && form[field] === untouched[field]) body[field] = base[field]
  // What the form does not show (how its stream is held) stays: the request replaces everything.
  return { body: { ...registered, ...body }, faults: faults.filter(({ field }) => form[field] !== untouched[field]) }
}

export function changedFields(base: Form, form: Form): (keyof Form)[] {
  return FIELDS.filter((field) => base[field] !== form[field])
}

/** What somebody was changing of `base`, on top of what somebody else has made of it. */
export function rebased(base: Form, form: Form, fresh: Form): Form {
  const mine = Object.fromEntries(changedFields(base, form).map((field) => [field, form[field]]))
  return { ...fresh, ...mine }
}
