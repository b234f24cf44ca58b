/** Bytes to frames: checks only what the protocol relies on, so that additive fields pass. */
import type { ServerFrame } from './types'

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isString = (value: unknown): value is string => typeof value === 'string'

type Fields = Record<string, unknown>

const CHECKS: Record<ServerFrame['type'], (f: Fields) => boolean> = {
  welcome: (f) => isString(f.epoch) && isString(f.server_time) && isNumber(f.hb_ms) && isString(f.mode),
  snap: (f) => isString(f.epoch) && isNumber(f.offset) && isNumber(f.page) && Array.isArray(f.items),
  ev: (f) => isString(f.epoch) && isNumber(f.from) && isNumber(f.to) && Array.isArray(f.events),
  state: (f) => Array.isArray(f.set) && Array.isArray(f.del),
  devices: (f) => isNumber(f.version) && Array.isArray(f.set) && Array.isArray(f.del),
  reset: () => true,
  notice: (f) => isString(f.code),
  ping: () => true,
  pong: () => true,
  bye: (f) => typeof f.reconnect === 'boolean',
}

/** The frame in `text`; null when its type is unknown; throws a `SyntaxError` when it breaks the contract. */
export function decodeFrame(text: string): ServerFrame | null {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new SyntaxError('frame is not an object')
  const fields = value as Fields
  if (!isString(fields.type)) throw new SyntaxError('frame has no type')
  if (!Object.hasOwn(CHECKS, fields.type)) return null
  if (!CHECKS[fields.type as ServerFrame['type']](fields)) {
    throw new SyntaxError(`frame ${fields.type} lacks a field`)
  }
  return value as ServerFrame
}
