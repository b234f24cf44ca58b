import { describe, expect, it } from 'vitest'
import type { Device } from '../api/types'
import { incident } from '../feed/testing'
import type { DeviceState } from '../feed/types'
import { congestion, deviceLook } from './congestion'
import { deviceFeatures, diffFeatures, fanOut, incidentFeatures, SLOTS, symbolOrder } from './features'
import { boundsOf, centreOf, distanceM, widened } from './geometry'
import { shortName } from '../format/place'
import { ARCHIPELAGOS, buildStyle } from './style'

const NOW = Date.parse('2026-11-22T10:00:00Z')
const TTL = 90_000

function detector(speed_kmh: number, occupancy: number, ageMs = 0): DeviceState {
  return { id: 'd', kind: 'detector', t: new Date(NOW - ageMs).toISOString(), lon: 1, lat: 1, ward: null, speed_kmh, occupancy }
}

describe('device looks', () => {
  it.each([
    [60, 0.05, 'free'], [30, 0.1, 'slow'], [18, 0.2, 'heavy'], [8, 0.5, 'jam'], [50, 0.5, 'jam'], [5, 0.01, 'free'],
  ] as const)('calls %d km/h at occupancy %d %s', (speed, occupancy, level) => {
    expect(congestion({ speed_kmh: speed, occupancy })).toBe(level)
  })

  it('goes stale by the data’s own time, one millisecond after the limit', () => {
    expect(deviceLook('detector', detector(60, 0, TTL), NOW, TTL)).toBe('det-free')
    expect(deviceLook('detector', detector(60, 0, TTL + 1), NOW, TTL)).toBe('det-stale')
    expect(deviceLook('camera', undefined, NOW, TTL)).toBe('cam-stale')
  })

  it('tells a dead camera from one in alarm', () => {
    const camera: DeviceState = { ...detector(0, 0), kind: 'camera', online: true, alarm: 'crowd' }
    expect(deviceLook('camera', camera, NOW, TTL)).toBe('cam-alarm')
    expect(deviceLook('camera', { ...camera, online: false }, NOW, TTL)).toBe('cam-off')
  })
})

describe('features', () => {
  it('puts an incident without a place at its ward’s, and leaves out one without either', () => {
    const list = [incident('a', 1, { lon: null, lat: null }), incident('b', 1, { lon: null, lat: null, ward: null })]
    const features = incidentFeatures(list, (i) => (i.ward ? [106, 11] : null))
    expect(features.map((f) => [f.properties.id, f.geometry.coordinates])).toEqual([['a', [106, 11]]])
  })

  it('draws open incidents only, filled until acknowledged, pulsing only when new, critical and active', () => {
    const place = (): [number, number] => [1, 1]
    const [first, second] = incidentFeatures(
      [incident('a', 1, { severity: 'critical' }), incident('b', 1, { severity: 'critical', handling: 'acknowledged' }), incident('c', 1, { handling: 'closed' })],
      place,
    )
    expect(first?.properties).toMatchObject({ icon: 'inc-critical-new', pulse: 1 })
    expect(second?.properties).toMatchObject({ icon: 'inc-critical-held', pulse: 0 })
  })

  it('keeps symbols at one place apart', () => {
    const spots = Array.from({ length: SLOTS }, (_, n) => fanOut(n))
    for (const [i, a] of spots.entries()) {
      for (const b of spots.slice(i + 1)) expect(Math.hypot(a[0] - b[0], a[1] - b[1])).toBeGreaterThan(27)
    }
  })

  it('changes the map only when a device’s look changes', () => {
    const devices: Device[] = [{ id: 'd', kind: 'detector', name: 'd', ward: null, lon: 1, lat: 1, has_picture: false, disabled: false }]
    const known = new Map<string, string>()
    const draw = (state: DeviceState) => diffFeatures(known, deviceFeatures(devices, () => state, NOW, TTL))
    expect(draw(detector(60, 0.1))?.add).toHaveLength(1)
    expect(draw(detector(55, 0.11))).toBeNull()
    expect(draw(detector(5, 0.6))).toMatchObject({ remove: ['d'], add: [{ properties: { look: 'det-jam' } }] })
  })

  it('draws a device where it last said it is, and one that said nothing where it is registered', () => {
    const devices: Device[] = [{ id: 'd', kind: 'detector', name: 'd', ward: null, lon: 5, lat: 6, has_picture: false, disabled: false }]
    const place = (state?: DeviceState) => deviceFeatures(devices, () => state, NOW, TTL)[0]?.geometry.coordinates
    expect(place()).toEqual([5, 6])
    expect(place(detector(60, 0.1))).toEqual([1, 1])
  })

  it('lets a device that is no longer reported go stale, at the limit and not before', () => {
    const devices: Device[] = [{ id: 'd', kind: 'detector', name: 'd', ward: null, lon: 1, lat: 1, has_picture: false, disabled: false }]
    const last = detector(60, 0.1)
    const look = (now: number) => deviceFeatures(devices, () => last, now, TTL)[0]?.properties.look
    expect([look(NOW + TTL), look(NOW + TTL + 1)]).toEqual(['det-free', 'det-stale'])
  })

  it('lets the worst and unattended stand for a group', () => {
    const orders = (['critical', 'high', 'medium', 'low'] as const).flatMap((s) => [symbolOrder(s, true), symbolOrder(s, false)])
    expect(orders).toEqual([...orders].sort((a, b) => b - a))
    expect(new Set(orders).size).toBe(8)
  })

  it('removes what is gone', () => {
    const known = new Map([['x', 'before']])
    expect(diffFeatures(known, [])).toEqual({ remove: ['x'], add: [] })
    expect(known.size).toBe(0)
  })
})

describe('geometry', () => {
  it('finds a middle that lies inside, also of a hook-shaped ward', () => {
    const hook = [[0, 0], [10, 0], [10, 1], [1, 1], [1, 9], [10, 9], [10, 10], [0, 10], [0, 0]]
    const [x, y] = centreOf({ type: 'Polygon', coordinates: [hook] }) ?? [NaN, NaN]
    expect(x <= 1 || y <= 1 || y >= 9).toBe(true)
  })

  it('takes the largest part of several', () => {
    const square = (at: number, size: number) => [[[at, 0], [at + size, 0], [at + size, size], [at, size], [at, 0]]]
    const centre = centreOf({ type: 'MultiPolygon', coordinates: [square(0, 1), square(50, 9)] })
    expect(centre?.[0]).toBeGreaterThan(50)
  })

  it('bounds large rings', () => {
    const ring = Array.from({ length: 200_000 }, (_, i) => [106 + (i % 100) / 100, 11 + (i % 7)])
    expect(boundsOf([{ type: 'Polygon', coordinates: [ring] }])).toEqual([106, 11, 106.99, 17])
    expect(boundsOf([])).toBeNull()
  })

  it('asks for the view and half a screen around it, and for everything when all is in view', () => {
    expect(widened([1, 1, 3, 2], [0, 0, 10, 10])).toEqual([0, 0.5, 4, 2.5])
    expect(widened([0, 0, 10, 10], [0, 0, 10, 10])).toBeNull()
  })

  it('measures a kilometre', () => {
    expect(distanceM([106.7, 11], [106.7, 11.009])).toBeCloseTo(1000, -1)
  })
})

describe('style', () => {
  const style = buildStyle({ type: 'FeatureCollection', features: [] }, {} as never)

  it('asks nothing of the network', () => {
    expect(style).not.toHaveProperty('glyphs')
    expect(style).not.toHaveProperty('sprite')
    expect(JSON.stringify(style)).not.toMatch(/https?:/)
  })

  it('names both archipelagos as Vietnam’s, as labels', () => {
    expect(ARCHIPELAGOS.features.map((f) => f.properties?.name)).toEqual([
      'Quần đảo Hoàng Sa (Việt Nam)', 'Quần đảo Trường Sa (Việt Nam)',
    ])
    expect(style.layers.find(({ id }) => id === 'archipelagos')?.type).toBe('symbol')
  })

  it('shortens ranks and nothing else', () => {
    expect([shortName('Phường Thủ Dầu Một'), shortName('Chợ Phường Đúc')]).toEqual(['Thủ Dầu Một', 'Chợ Phường Đúc'])
  })
})
