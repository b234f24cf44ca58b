/** A city that keeps happening: device states, incidents that rise and clear, and the commands on them. */
import { randomUUID } from 'node:crypto'

export const KINDS = [
  ['wrong-way', 'critical', 'traffic', 'camera', ['Xe đi ngược chiều', 'Vehicle driving the wrong way'], (r) => [
    { name: 'confidence', value: 0.8 + 0.19 * r(), op: '>=', threshold: 0.8 }]],
  ['fire-smoke', 'critical', 'fire', 'camera', ['Phát hiện khói, lửa', 'Fire or smoke detected'], (r) => [
    { name: 'confidence', value: 0.85 + 0.14 * r(), op: '>=', threshold: 0.85 }, { name: 'count', value: 3 + Math.floor(4 * r()), op: '>=', threshold: 3 }]],
  ['underpass-jam', 'high', 'traffic', 'detector', ['Ùn tắc hầm chui', 'Underpass congestion'], (r) => [
    { name: 'speed_kmh', value: 6 + 12 * r(), op: '<', threshold: 20, unit: 'km/h' }, { name: 'occupancy', value: 0.36 + 0.4 * r(), op: '>', threshold: 0.35 }, { name: 'count', value: 5 + Math.floor(9 * r()), op: '>=', threshold: 5 }]],
  ['crowd', 'high', 'security', 'camera', ['Tụ tập đông người bất thường', 'Unusual crowd'], (r) => [
    { name: 'people', value: 61 + Math.floor(80 * r()), op: '>', threshold: 60 }]],
  ['flood-water', 'high', 'flood', 'camera', ['Ngập nước mặt đường', 'Flooded roadway'], (r) => [
    { name: 'confidence', value: 0.75 + 0.2 * r(), op: '>=', threshold: 0.7 }]],
  ['road-jam', 'medium', 'traffic', 'detector', ['Tốc độ giảm sâu so với thường ngày', 'Speed far below the usual'], (r) => [
    { name: 'speed_kmh', value: 10 + 14 * r(), op: '<', threshold: 25, unit: 'km/h' }]],
  ['illegal-stop', 'medium', 'order', 'camera', ['Dừng đỗ xe sai quy định kéo dài', 'Long illegal stop'], (r) => [
    { name: 'duration_s', value: 190 + Math.floor(400 * r()), op: '>', threshold: 180, unit: 's' }]],
  ['camera-silent', 'low', 'device', 'camera', ['Camera mất tín hiệu', 'Camera signal lost'], (r) => [
    { name: 'silence_s', value: 305 + Math.floor(600 * r()), op: '>', threshold: 300, unit: 's' }]],
  ['waste', 'low', 'environment', 'camera', ['Người dân phản ánh rác thải tồn đọng', 'Citizens report uncollected waste'], (r) => [
    { name: 'reports', value: 3 + Math.floor(5 * r()), op: '>=', threshold: 3 }]],
]
const CLOCKS = { critical: [60, 1800], high: [300, 7200], medium: [900, 28800], low: [3600, 172800] }
const OPEN = ['new', 'acknowledged', 'assigned', 'in_progress']
const LEGAL = {
  acknowledge: [['new'], 'acknowledged'], assign: [OPEN, 'assigned'], start: [['new', 'acknowledged', 'assigned'], 'in_progress'],
  resolve: [OPEN, 'resolved'], close: [['resolved'], 'closed'], reject: [['new', 'acknowledged', 'assigned'], 'rejected'],
  reopen: [['resolved', 'closed', 'rejected'], 'new'], comment: [[...OPEN, 'resolved', 'closed', 'rejected'], null],
}
const iso = (ms) => new Date(ms).toISOString()
const pick = (list) => list[Math.floor(Math.random() * list.length)]

export class World {
  incidents = new Map()
  history = new Map()
  states = new Map()
  /** Every change since the start, so that a resume can be answered; `o` counts from 1. */
  log = []
  listeners = new Set()

  constructor(devices, open) {
    this.devices = devices.filter((d) => d.lon !== null)
    for (const device of this.devices) this.#measure(device, Date.now() - Math.random() * 20_000)
    for (let i = 0; i < open; i++) this.raise(Date.now() - Math.random() ** 2 * 5_400_000)
    for (const incident of this.incidents.values()) this.#handleSome(incident)
  }

  raise(at = Date.now(), kind = pick([...KINDS.slice(2), ...KINDS.slice(3), ...KINDS.slice(5), ...KINDS.slice(5), pick(KINDS)])) {
    const [rule, severity, category, wants, [vi, en], evidence] = kind
    const device = pick(this.devices.filter((d) => d.kind === wants))
    const [ack, resolve] = CLOCKS[severity]
    const anonymous = rule === 'waste' && Math.random() < 0.5
    const lines = evidence(Math.random)
    const incident = {
      id: randomUUID().replaceAll('-', '').slice(0, 20), rev: 1, rule, key: device.id, category, severity,
      condition: 'active', handling: 'new', title: { vi, en },
      ward: device.ward, source: anonymous ? null : device.id, lon: anonymous ? null : device.lon, lat: anonymous ? null : device.lat,
      opened: iso(at - 30_000), detected: iso(at), updated: iso(at), cleared: null, acknowledged: null, resolved: null, closed: null,
      assignee: null, team: null, note: null, count: 1 + Math.floor(Math.random() * 12),
      ack_due: iso(at + ack * 1000), resolve_due: iso(at + resolve * 1000),
      respond_due: null, responded: null, paused: null, pause_reason: null, level: 0, shelved_until: null, handed_from: null,
      agencies: [], photo: null, merged_into: null, merged_by: null, members: 0, members_active: 0,
      why: {
        rule_version: '3', evidence: lines,
        summary: { vi: `${vi} được ghi nhận liên tục trong cửa sổ theo dõi, vượt ngưỡng của quy tắc.`, en: `${en}: seen throughout the window, beyond the rule's threshold.` },
        event_ids: Array.from({ length: 5 }, () => `${device.id}/${Math.floor(Math.random() * 1e6)}`),
      },
    }
    this.incidents.set(incident.id, incident)
    this.history.set(incident.id, [{ rev: 1, at: iso(at), actor: `rule:${rule}`, op: 'raised', from: null, to: 'new', note: null, details: { severity } }])
    this.#publish('add', incident)
    return incident
  }

  command(id, { op, expect_rev, args = {} }, actor) {
    const incident = this.incidents.get(id)
    if (!incident) return { status: 404, body: { title: 'Not found', status: 404 } }
    if (expect_rev !== incident.rev) return { status: 409, body: { title: 'Conflict', status: 409, detail: `revision is ${incident.rev}`, current: incident } }
    const [from, to] = LEGAL[op] ?? [[], null]
    const needsNote = ['resolve', 'reject', 'reopen', 'comment'].includes(op)
    if (!from.includes(incident.handling)) return refused('op', 'transition', `${op} is not possible from ${incident.handling}`)
    if (needsNote && !args.note?.trim()) return refused('args.note', 'note_required', `${op} needs a note`)
    const now = iso(Date.now())
    const set = { handling: to ?? incident.handling, note: args.note || incident.note }
    if (op === 'assign') set.assignee = args.assignee
    if (op === 'reopen') Object.assign(set, { acknowledged: null, resolved: null, closed: null })
    else if (op !== 'comment') set.acknowledged = incident.acknowledged ?? now
    if (op === 'resolve') set.resolved = now
    if (op === 'close' || op === 'reject') set.closed = now
    return { status: 200, body: this.#change(incident, set, op, actor, args.note ?? null) }
  }

  tick() {
    for (const device of this.devices) if (Math.random() < 0.12 && !device.id.endsWith('7')) this.#measure(device, Date.now())
    const all = [...this.incidents.values()]
    const active = all.filter((i) => i.condition === 'active' && OPEN.includes(i.handling))
    if (active.length && Math.random() < 0.3) this.#change(pick(active), { count: pick(active).count + 1 }, 'updated', `rule:${pick(active).rule}`)
    if (active.length > 30 && Math.random() < 0.05) this.#change(pick(active), { condition: 'cleared', cleared: iso(Date.now()) }, 'cleared', 'rule')
  }

  #handleSome(incident) {
    const age = Date.now() - Date.parse(incident.detected)
    const act = (op, args = {}) => this.command(incident.id, { op, expect_rev: this.incidents.get(incident.id).rev, args }, pick(['Lê Minh', 'Phạm Hà', 'Đỗ Quân']))
    if (age < 240_000) return
    if (Math.random() < 0.75) act('acknowledge')
    if (Math.random() < 0.4) act('assign', { assignee: pick(['Đội CSGT số 2', 'Công an phường', 'Đội trật tự đô thị', 'Tổ kỹ thuật camera']) })
    if (Math.random() < 0.3) act('start')
    if (Math.random() < 0.3) this.#change(this.incidents.get(incident.id), { condition: 'cleared', cleared: iso(Date.now() - 60_000) }, 'cleared', 'rule')
  }

  #change(incident, set, op, actor, note = null) {
    const next = { ...this.incidents.get(incident.id), ...set, rev: this.incidents.get(incident.id).rev + 1, updated: iso(Date.now()) }
    this.incidents.set(next.id, next)
    this.history.get(next.id).push({ rev: next.rev, at: next.updated, actor, op, from: incident.handling, to: next.handling, note, details: set.assignee ? { assignee: set.assignee } : null })
    this.#publish('upd', next)
    return next
  }

  #publish(op, incident) {
    this.log.push({ o: this.log.length + 1, op, rev: incident.rev, incident })
    for (const listener of this.listeners) listener()
  }

  #measure(device, at) {
    const base = { id: device.id, kind: device.kind, t: iso(at), lon: device.lon, lat: device.lat, ward: device.ward }
    if (device.kind === 'detector') {
      const jam = (Math.sin(at / 240_000 + device.lon * 900) + 1) / 2
      this.states.set(device.id, { ...base, speed_kmh: 52 - 44 * jam ** 3 + Math.random() * 4, occupancy: 0.06 + 0.5 * jam ** 3, volume_veh: Math.round(10 + 30 * Math.random()) })
    } else if (device.kind === 'camera') {
      const known = this.states.get(device.id)
      const online = known ? known.online : Math.random() > 0.04
      this.states.set(device.id, { ...base, online, objects: Math.floor(Math.random() * 24), alarm: online && Math.random() < 0.01 ? 'illegal_stop' : null })
    }
  }
}

function refused(field, rule, detail) {
  return { status: 422, body: { type: 'about:blank', title: 'Refused', status: 422, detail, errors: [{ field, rule, detail }] } }
}
