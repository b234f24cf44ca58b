/** Areas and devices for the mock: the project's demo data when present, else a small grid of its own. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const demo = (name) => fileURLToPath(new URL(`../../../demo/${name}`, import.meta.url))
const read = (path) => JSON.parse(readFileSync(path, 'utf8'))

function gridWards() {
  const features = []
  for (let row = 0; row < 3; row++) {
    for (let col = 0; col < 4; col++) {
      const [w, s] = [106.6 + col * 0.04, 10.9 + row * 0.04]
      const code = String(30000 + row * 4 + col)
      features.push({
        type: 'Feature',
        properties: { code, kind: 'ward', name: `Phường Mẫu ${row * 4 + col + 1}`, name_en: `Sample Ward ${row * 4 + col + 1}`, illustrative: true },
        geometry: { type: 'Polygon', coordinates: [[[w, s], [w + 0.04, s], [w + 0.04, s + 0.04], [w, s + 0.04], [w, s]]] },
      })
    }
  }
  return { type: 'FeatureCollection', features }
}

function gridDevices(areas) {
  return areas.features.flatMap(({ properties: { code }, geometry }) => {
    const [[[w, s]]] = geometry.coordinates
    return Array.from({ length: 8 }, (_, i) => ({
      id: `${i % 2 ? 'det' : 'cam'}-${code}-${i}`,
      kind: i % 2 ? 'detector' : 'camera',
      name: `Điểm ${code}-${i}`,
      ward: code,
      lon: w + 0.005 + Math.random() * 0.03,
      lat: s + 0.005 + Math.random() * 0.03,
      has_picture: i % 2 === 0, disabled: false,
    }))
  })
}

export function loadAreas() {
  return existsSync(demo('areas.geojson')) ? read(demo('areas.geojson')) : gridWards()
}

export function loadDevices(areas) {
  if (!existsSync(demo('devices.geojson'))) return gridDevices(areas)
  return read(demo('devices.geojson')).features.map(({ properties: p, geometry }) => ({
    id: p.id, kind: p.kind, name: p.name, ward: p.ward ?? null,
    lon: geometry?.coordinates[0] ?? null, lat: geometry?.coordinates[1] ?? null,
    has_picture: Boolean(p.picture_url), disabled: false,
  }))
}

export function boundsOf(areas) {
  const box = [180, 90, -180, -90]
  const visit = (c) => {
    if (typeof c[0] !== 'number') return c.forEach(visit)
    box[0] = Math.min(box[0], c[0]); box[1] = Math.min(box[1], c[1])
    box[2] = Math.max(box[2], c[0]); box[3] = Math.max(box[3], c[1])
  }
  areas.features.filter((f) => f.properties.kind === 'ward').forEach((f) => visit(f.geometry.coordinates))
  return box
}
