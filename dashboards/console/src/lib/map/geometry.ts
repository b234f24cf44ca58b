/** Small geometry for labels and distances; nothing here needs the map library. */
import type { Geometry, Position } from 'geojson'

type Point = [number, number]

function rings(geometry: Geometry): Position[][] {
  if (geometry.type === 'Polygon') return geometry.coordinates.slice(0, 1)
  if (geometry.type === 'MultiPolygon') return geometry.coordinates.map((polygon) => polygon[0] ?? [])
  return []
}

function signedArea(ring: Position[]): number {
  let sum = 0
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const a = ring[j] as Point
    const b = ring[i] as Point
    sum += a[0] * b[1] - b[0] * a[1]
  }
  return sum / 2
}

/** Where horizontal line `y` crosses `ring`, sorted; pairs of them are inside. */
function crossings(ring: Position[], y: number): number[] {
  const xs: number[] = []
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const a = ring[j] as Point
    const b = ring[i] as Point
    if (a[1] > y !== b[1] > y) xs.push(a[0] + ((y - a[1]) * (b[0] - a[0])) / (b[1] - a[1]))
  }
  return xs.sort((p, q) => p - q)
}

/**
 * A point inside the largest part of a polygon, where a label or a symbol can stand; null for other kinds.
 *
 * Of several horizontal cuts through the polygon, the middle of the one with the most room: unlike the
 * centroid it is always inside, whatever the shape.
 */
export function centreOf(geometry: Geometry): Point | null {
  const parts = rings(geometry)
  const ring = parts.sort((a, b) => Math.abs(signedArea(b)) - Math.abs(signedArea(a)))[0]
  if (!ring?.length) return null
  const ys = ring.map((p) => p[1] as number)
  const low = ys.reduce((a, b) => Math.min(a, b))
  const high = ys.reduce((a, b) => Math.max(a, b))
  let best: Point | null = null
  let bestRoom = -1
  for (let step = 1; step < 16; step++) {
    const share = step / 16
    const y = low + (high - low) * share
    const xs = crossings(ring, y)
    for (let i = 0; i + 1 < xs.length; i += 2) {
      const [left, right] = [xs[i] as number, xs[i + 1] as number]
      // Room to the sides, less for cuts near the top or bottom edge.
      const room = (right - left) * Math.sin(Math.PI * share)
      if (room > bestRoom) [best, bestRoom] = [[(left + right) / 2, y], room]
    }
  }
  return best
}

/** The box around the outer rings of polygons; null when there are none. */
export function boundsOf(geometries: Geometry[]): [number, number, number, number] | null {
  const points = geometries.flatMap(rings).flat()
  if (!points.length) return null
  const xs = points.map((p) => p[0] as number)
  const ys = points.map((p) => p[1] as number)
  // Rings may have more points than a call takes arguments.
  const least = (values: number[]): number => values.reduce((a, b) => Math.min(a, b))
  const most = (values: number[]): number => values.reduce((a, b) => Math.max(a, b))
  return [least(xs), least(ys), most(xs), most(ys)]
}

/** Metres between two lon/lat points; plane approximation, good to 0.1 % within a city. */
export function distanceM(a: Point, b: Point): number {
  const rad = Math.PI / 180
  const x = (b[0] - a[0]) * rad * Math.cos(((a[1] + b[1]) / 2) * rad)
  const y = (b[1] - a[1]) * rad
  return Math.hypot(x, y) * 6_371_000
}

type Box = [west: number, south: number, east: number, north: number]

/** What to ask the server for: the view and half a screen around it, or null (everything) when all is in view. */
export function widened(view: Box, extent: Box): Box | null {
  const [w, s, e, n] = view
  if (w <= extent[0] && s <= extent[1] && e >= extent[2] && n >= extent[3]) return null
  const dx = (e - w) / 2
  const dy = (n - s) / 2
  return [w - dx, s - dy, e + dx, n + dy]
}
