/**
 * What a person did and the service does not know yet. Pure: entries in, entries out.
 *
 *   waiting ──sent──► gone            the service took it, once, whatever was sent twice (`idem`)
 *      │ ▲
 *      │ └── again ── conflict        somebody else did something meanwhile: both are shown
 *      └────────────► refused         the service will not take it: it says why
 *
 * Of one incident entries go in the order they were made, and none passes one that stands.
 */
import { sameToAPerson } from '../lib/api/lifecycle'
import type { CommandArgs, Op } from '../lib/api/types'
import type { Incident } from '../lib/feed/types'

export interface Entry {
  seq: number
  user: string
  op: Op
  args: CommandArgs
  /** Not uploaded yet; its reference takes its place in `args`. */
  photo: Blob | null
  /** The incident as the person saw it. */
  seen: Incident
  idem: string
  madeMs: number
  state: 'waiting' | 'conflict' | 'refused'
  /** Why the service refuses. */
  detail: string
  /** The incident as it is, where that is a conflict. */
  current: Incident | null
}

export const MOST_ENTRIES = 100
export const MOST_PHOTO_BYTES = 60 * 1024 * 1024
/** Other people's entries at this phone are nobody else's to send, and are not kept for ever. */
export const KEPT_MS = 7 * 24 * 3_600_000

export type Answer =
  | { kind: 'done'; now: Incident }
  | { kind: 'conflict'; current: Incident }
  | { kind: 'refused'; detail: string }

/** Whether there is room for one more, with a picture of `bytes`. */
export function hasRoom(entries: readonly Entry[], bytes: number): boolean {
  const held = entries.reduce((sum, { photo }) => sum + (photo?.size ?? 0), 0)
  return entries.length < MOST_ENTRIES && held + bytes <= MOST_PHOTO_BYTES
}

/** What may be sent now for `user`: the first of each incident, if it waits. */
export function sendable(entries: readonly Entry[], user: string): Entry[] {
  const met = new Set<string>()
  const found: Entry[] = []
  for (const entry of entries) {
    if (entry.user !== user || met.has(entry.seen.id)) continue
    met.add(entry.seen.id)
    if (entry.state === 'waiting') found.push(entry)
  }
  return found
}

/** The entries after the service answered `seq`; `idem` is a new key, should it have to be sent anew. */
export function settle(entries: readonly Entry[], seq: number, answer: Answer, idem: string): Entry[] {
  const sent = entries.find((entry) => entry.seq === seq)
  if (!sent) return [...entries]
  if (answer.kind === 'done') {
    const rest = entries.filter((entry) => entry !== sent)
    // What was made after it was made knowing it.
    return rest.map((entry) => (entry.seen.id === sent.seen.id && entry.user === sent.user ? { ...entry, seen: answer.now } : entry))
  }
  const changed: Entry =
    answer.kind === 'refused'
      ? { ...sent, state: 'refused', detail: answer.detail }
      : sameToAPerson(sent.seen, answer.current)
        ? { ...sent, seen: answer.current, idem }
        : { ...sent, state: 'conflict', current: answer.current }
  return entries.map((entry) => (entry === sent ? changed : entry))
}

/** The entries after the person decided to do `seq` all the same, on the incident as it is now. */
export function again(entries: readonly Entry[], seq: number, idem: string): Entry[] {
  return entries.map((entry) =>
    entry.seq === seq ? { ...entry, seen: entry.current ?? entry.seen, state: 'waiting', detail: '', current: null, idem } : entry,
  )
}

export function drop(entries: readonly Entry[], seq: number): Entry[] {
  return entries.filter((entry) => entry.seq !== seq)
}

/** The entries without other people's old ones. */
export function kept(entries: readonly Entry[], user: string, nowMs: number): Entry[] {
  return entries.filter((entry) => entry.user === user || nowMs - entry.madeMs < KEPT_MS)
}
