/** Frames and incidents for tests; made by hand, so that a test shows only what it is about. */
import type { Change, Incident, ServerFrame } from './types'

export function incident(id: string, rev = 1, more: Partial<Incident> = {}): Incident {
  const time = '2026-11-22T10:00:00.000Z'
  return {
    id, rev, rule: 'road-jam', key: 'det-1', category: 'traffic', severity: 'medium', condition: 'active',
    handling: 'new', title: { vi: 'Ùn tắc', en: 'Congestion' }, ward: '25747', source: 'det-1', lon: 106.7, lat: 11,
    opened: time, detected: time, updated: time, cleared: null, acknowledged: null, resolved: null, closed: null,
    assignee: null, team: null, note: null, count: 1, ack_due: null, resolve_due: null,
    respond_due: null, responded: null, paused: null, pause_reason: null, level: 0, shelved_until: null,
    handed_from: null, agencies: [], photo: null, merged_into: null, merged_by: null, members: 0, members_active: 0,
    checklist: null, why: { rule_version: '1', summary: { vi: '', en: '' }, evidence: [], event_ids: [] },
    ...more,
  }
}

export function change(o: number, op: Change['op'], id: string, rev: number): Change {
  return { o, op, rev, incident: op === 'del' ? { id, rev } : incident(id, rev) }
}

const LIMITS = { outbox_bytes: 1, outbox_age_ms: 1, frame_bytes: 1, messages_per_s: 1 }

export function welcome(mode: 'resume' | 'snapshot', epoch = 'e1'): ServerFrame {
  return { type: 'welcome', session: 's', server_time: '2026-11-22T10:00:00.000Z', hb_ms: 15_000, epoch, limits: LIMITS, mode }
}

export function snap(offset: number, items: Incident[], page = 0, last = true, epoch = 'e1'): ServerFrame {
  return { type: 'snap', epoch, offset, page, last, items }
}

export function ev(from: number, to: number, events: Change[] = [], epoch = 'e1'): ServerFrame {
  return { type: 'ev', epoch, from, to, events }
}
