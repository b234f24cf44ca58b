/** The map's style: no tile server, no glyphs, no sprite; everything comes from our own areas and tokens. */
import type { FeatureCollection } from 'geojson'
import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from 'maplibre-gl'
import type { Areas } from '../api/types'
import { shortName } from '../format/place'
import { SEVERITIES } from '../queue/order'
import { BASEMAP_SOURCE, type Ground } from './basemap'
import { fanOut, SLOTS, symbolIcon, symbolOrder } from './features'
import { centreOf } from './geometry'
import type { Palette } from './palette'

export const FONT_STACK = ['Be Vietnam Pro Medium', 'Be Vietnam Pro']
const FONT_BOLD = ['Be Vietnam Pro Semibold', 'Be Vietnam Pro']
export const CLUSTER_MAX_ZOOM = 12
/** Up to here incidents that would lie upon each other are one symbol with a number; closer, each has its own. */
export const GROUP_MAX_ZOOM = 13
const GROUP_RADIUS_PX = 26

export const EMPTY: FeatureCollection = { type: 'FeatureCollection', features: [] }

/** Names that a map of Vietnam carries wherever the East Sea is in view. Labels only, never polygons. */
export const ARCHIPELAGOS: FeatureCollection = {
  type: 'FeatureCollection',
  features: [
    { type: 'Feature', properties: { name: 'Quần đảo Hoàng Sa (Việt Nam)' }, geometry: { type: 'Point', coordinates: [112, 16.5] } },
    { type: 'Feature', properties: { name: 'Quần đảo Trường Sa (Việt Nam)' }, geometry: { type: 'Point', coordinates: [114, 10] } },
  ],
}

function labelPoints(areas: Areas): FeatureCollection {
  const features: FeatureCollection['features'] = []
  for (const { geometry, properties } of areas.features) {
    if (properties.kind === 'road' || properties.kind === 'water') continue
    const centre = geometry.type === 'Point' ? geometry.coordinates : centreOf(geometry)
    if (!centre) continue
    features.push({
      type: 'Feature',
      properties: { kind: properties.kind, name: shortName(properties.name) },
      geometry: { type: 'Point', coordinates: centre },
    })
  }
  return { type: 'FeatureCollection', features }
}

const kindIs = (kind: string): ExpressionSpecification => ['==', ['get', 'kind'], kind]
const isSpecial: ExpressionSpecification = ['!', ['in', ['get', 'kind'], ['literal', ['ward', 'road', 'water']]]]
const classIn = (...names: string[]): ExpressionSpecification => ['in', ['get', 'class'], ['literal', names]]
const widths = (...stops: number[]): ExpressionSpecification =>
  ['interpolate', ['exponential', 1.4], ['zoom'], ...stops] as ExpressionSpecification

/** The darker edge that lifts main roads off the ground. */
function casing(id: string, classes: string[], colour: string, minzoom: number, ...stops: number[]): LayerSpecification {
  return road(id, classes, colour, minzoom, ...stops.map((stop, i) => (i % 2 ? stop + 1.6 : stop)))
}

function road(id: string, classes: string[], colour: string, minzoom: number, ...stops: number[]): LayerSpecification {
  return {
    id, type: 'line', source: 'areas', minzoom,
    filter: ['all', kindIs('road'), classIn(...classes)],
    layout: { 'line-cap': 'round', 'line-join': 'round' },
    paint: { 'line-color': colour, 'line-width': widths(...stops) },
  }
}

const background = (p: Palette): LayerSpecification => ({ id: 'background', type: 'background', paint: { 'background-color': p.bg } })

/** Our own areas and streets on plain ground. */
function ownGround(p: Palette): LayerSpecification[] {
  return [
    background(p),
    { id: 'city-edge', type: 'line', source: 'areas', filter: kindIs('ward'), paint: { 'line-color': p.cityLine, 'line-width': widths(8, 2.5, 14, 5) } },
    { id: 'wards', type: 'fill', source: 'areas', filter: kindIs('ward'), paint: { 'fill-color': p.ward } },
    { id: 'special', type: 'fill', source: 'areas', minzoom: 10, filter: isSpecial, paint: { 'fill-color': p.special, 'fill-opacity': 0.35 } },
    { id: 'ward-lines', type: 'line', source: 'areas', filter: kindIs('ward'), paint: { 'line-color': p.wardLine, 'line-width': widths(8, 0.9, 14, 2), 'line-dasharray': [3, 1.6] } },
    { id: 'water', type: 'fill', source: 'areas', filter: kindIs('water'), paint: { 'fill-color': p.water } },
    { id: 'water-edge', type: 'line', source: 'areas', filter: kindIs('water'), paint: { 'line-color': p.waterLine, 'line-width': widths(8, 0.8, 14, 1.6) } },
    road('road-local', ['local', 'residential'], p.road, 12.5, 12, 0.5, 16, 3),
    road('road-tertiary', ['tertiary'], p.road, 11, 11, 0.7, 16, 4),
    road('road-secondary', ['secondary'], p.roadMid, 9, 9, 0.7, 13, 1.8, 16, 6),
    casing('road-primary-edge', ['primary'], p.roadEdge, 10, 8, 1.2, 13, 2.8, 16, 8),
    road('road-primary', ['primary'], p.roadMid, 7, 8, 1.2, 13, 2.8, 16, 8),
    casing('road-trunk-edge', ['trunk', 'motorway'], p.roadEdge, 8, 8, 1.8, 13, 4, 16, 11),
    road('road-trunk', ['trunk', 'motorway'], p.roadMain, 7, 8, 1.8, 13, 4, 16, 11),
    { id: 'special-lines', type: 'line', source: 'areas', minzoom: 12, filter: isSpecial, paint: { 'line-color': p.special, 'line-width': 1.2 } },
  ]
}

/** An operator's ground, with the wards' borders on it; their insides can be asked for but are not seen. */
function givenGround(given: Ground, p: Palette): LayerSpecification[] {
  return [
    background(p),
    ...given.layers(p),
    { id: 'wards', type: 'fill', source: 'areas', filter: kindIs('ward'), paint: { 'fill-color': 'rgba(0, 0, 0, 0)' } },
    { id: 'ward-lines', type: 'line', source: 'areas', filter: kindIs('ward'), paint: { 'line-color': p.cityLine, 'line-width': widths(8, 0.9, 14, 2), 'line-dasharray': [3, 1.6] } },
    { id: 'special-lines', type: 'line', source: 'areas', minzoom: 12, filter: isSpecial, paint: { 'line-color': p.special, 'line-width': 1.2 } },
  ]
}

function label(size: ExpressionSpecification | number, colour: string, p: Palette) {
  return {
    layout: { 'text-field': ['get', 'name'] as ExpressionSpecification, 'text-font': FONT_STACK, 'text-size': size },
    paint: { 'text-color': colour, 'text-halo-color': p.halo, 'text-halo-width': 1.6 },
  }
}

/** `own`: our streets and waters are drawn, so they are named too. */
function labels(p: Palette, own: boolean, scale: number): LayerSpecification[] {
  const named = label(11.5 * scale, p.labelRoad, p)
  const ward = label(widths(9, 12 * scale, 13, 16 * scale), p.label, p)
  const sea = label(13 * scale, p.label, p)
  const drawn: LayerSpecification[] = [
    { id: 'road-labels', type: 'symbol', source: 'areas', minzoom: 12, filter: ['all', kindIs('road'), classIn('motorway', 'trunk', 'primary')], layout: { ...named.layout, 'symbol-placement': 'line', 'symbol-spacing': 420, 'text-letter-spacing': 0.06 }, paint: named.paint },
    { id: 'water-labels', type: 'symbol', source: 'areas', minzoom: 11, filter: kindIs('water'), ...named },
  ]
  return [
    ...(own ? drawn : []),
    { id: 'special-labels', type: 'symbol', source: 'labels', minzoom: 14, filter: ['!', kindIs('ward')], layout: { ...named.layout, 'text-max-width': 9 }, paint: named.paint },
    { id: 'ward-labels', type: 'symbol', source: 'labels', minzoom: 8.5, maxzoom: 15.5, filter: kindIs('ward'), layout: { ...ward.layout, 'text-max-width': 8, 'text-padding': 2, 'text-variable-anchor': ['center', 'top', 'bottom', 'left', 'right'], 'text-radial-offset': 1.1, 'text-justify': 'auto' }, paint: ward.paint },
    { id: 'archipelagos', type: 'symbol', source: 'archipelagos', layout: { ...sea.layout, 'text-allow-overlap': true, 'text-max-width': 30 }, paint: sea.paint },
  ]
}

function devices(p: Palette, scale: number): LayerSpecification[] {
  const cluster: ExpressionSpecification = ['has', 'point_count']
  return [
    {
      id: 'clusters', type: 'circle', source: 'devices', filter: cluster,
      paint: {
        'circle-color': p.deviceFill,
        'circle-radius': ['interpolate', ['linear'], ['get', 'point_count'], 2, 9 * scale, 60, 17 * scale],
        'circle-stroke-width': ['case', ['>', ['/', ['get', 'bad'], ['get', 'point_count']], 0.2], 2, 1.2],
        'circle-stroke-color': ['case', ['>', ['/', ['get', 'bad'], ['get', 'point_count']], 0.5], p.jam, ['>', ['/', ['get', 'bad'], ['get', 'point_count']], 0.2], p.heavy, p.cluster],
      },
    },
    { id: 'cluster-counts', type: 'symbol', source: 'devices', filter: cluster, layout: { 'text-field': ['get', 'point_count_abbreviated'], 'text-font': FONT_BOLD, 'text-size': 11 * scale, 'text-allow-overlap': true }, paint: { 'text-color': p.labelRoad } },
    { id: 'devices', type: 'symbol', source: 'devices', filter: ['!', cluster], layout: { 'icon-image': ['get', 'look'], 'icon-allow-overlap': true, 'icon-size': ['interpolate', ['linear'], ['zoom'], 9, 0.9 * scale, 14, 1.1 * scale], 'symbol-sort-key': ['get', 'bad'] } },
    { id: 'device-selected', type: 'circle', source: 'devices', filter: ['==', ['get', 'id'], ''], paint: { 'circle-radius': 17, 'circle-opacity': 0, 'circle-stroke-width': 2.5, 'circle-stroke-color': p.select } },
  ]
}

/** Symbols are smaller while the whole city is in view, and what has passed is smaller than what goes on. */
function incidentSize(scale: number): ExpressionSpecification {
  const size = (full: number): ExpressionSpecification => ['case', isCalm, full * 0.78 * scale, full * scale]
  return ['interpolate', ['linear'], ['zoom'], 9, size(0.84), 13, size(1)]
}

const isCalm: ExpressionSpecification = ['==', ['get', 'cleared'], 1]
const isGroup: ExpressionSpecification = ['has', 'point_count']

/** A group looks like the worst in it. */
function incidentIcon(): ExpressionSpecification {
  const cases = (cleared: boolean): (number | string)[] =>
    SEVERITIES.flatMap((severity) =>
      [true, false].flatMap((unacked) => [symbolOrder(severity, unacked), symbolIcon(severity, unacked, cleared)]),
    )
  const ofGroup = (cleared: boolean): unknown[] => ['match', ['get', 'order'], ...cases(cleared), '']
  return ['case', ['!', isGroup], ['get', 'icon'], isCalm, ofGroup(true), ofGroup(false)] as unknown as ExpressionSpecification
}

/** Tiles carry no arrays, so a symbol names its slot and the style knows where that is. */
function slotOffset(): ExpressionSpecification {
  const cases = Array.from({ length: SLOTS }, (_, slot) => [slot, ['literal', fanOut(slot)]]).flat()
  return ['match', ['get', 'slot'], ...cases, ['literal', [0, 0]]] as unknown as ExpressionSpecification
}

function incidents(p: Palette, scale: number): LayerSpecification[] {
  const stand = {
    'icon-allow-overlap': true,
    'icon-offset': slotOffset(),
    'icon-size': incidentSize(scale),
  }
  const selected = { ...stand, 'icon-image': 'selected' }
  return [
    // Short steps between long rests: a map that fades all the time is drawn all the time.
    { id: 'incident-pulse', type: 'symbol', source: 'incidents', filter: ['==', ['get', 'pulse'], 1], layout: { ...stand, 'icon-image': 'pulse' }, paint: { 'icon-opacity': 0.9, 'icon-opacity-transition': { duration: 240 } } },
    { id: 'incidents', type: 'symbol', source: 'incidents', layout: { ...stand, 'icon-image': incidentIcon(), 'symbol-sort-key': ['get', 'order'] } },
    { id: 'incident-selected', type: 'symbol', source: 'incidents', minzoom: GROUP_MAX_ZOOM + 1, filter: ['==', ['get', 'id'], ''], layout: selected },
    {
      id: 'incident-counts', type: 'symbol', source: 'incidents', filter: isGroup,
      layout: { 'icon-image': 'badge', 'icon-size': scale, 'icon-offset': [13, -12], 'icon-allow-overlap': true, 'text-field': ['get', 'point_count_abbreviated'], 'text-font': FONT_BOLD, 'text-size': 11 * scale, 'text-offset': [13 / 11, -12 / 11], 'text-allow-overlap': true },
      paint: { 'text-color': p.surface },
    },
    { id: 'selection', type: 'symbol', source: 'selection', maxzoom: GROUP_MAX_ZOOM + 1, layout: { ...stand, 'icon-offset': [0, 0], 'icon-image': ['get', 'icon'] } },
    { id: 'selection-frame', type: 'symbol', source: 'selection', maxzoom: GROUP_MAX_ZOOM + 1, layout: { ...selected, 'icon-offset': [0, 0] } },
  ]
}

/** The map without anything that happens on it, on the operator's ground or, without one, on our own. */
export function groundStyle(areas: Areas, palette: Palette, given: Ground | null = null, scale = 1): StyleSpecification {
  return {
    version: 8,
    sources: {
      ...(given && { [BASEMAP_SOURCE]: given.source }),
      areas: { type: 'geojson', data: areas, tolerance: 0.3 },
      labels: { type: 'geojson', data: labelPoints(areas) },
      archipelagos: { type: 'geojson', data: ARCHIPELAGOS },
    },
    layers: [...(given ? givenGround(given, palette) : ownGround(palette)), ...labels(palette, !given, scale)],
  }
}

/** `scale`: size of the page's text over the usual one; symbols and names grow with it. */
export function buildStyle(areas: Areas, palette: Palette, given: Ground | null = null, scale = 1): StyleSpecification {
  const { version, sources, layers } = groundStyle(areas, palette, given, scale)
  return {
    version,
    sources: {
      ...sources,
      devices: { type: 'geojson', data: EMPTY, promoteId: 'id', cluster: true, clusterMaxZoom: CLUSTER_MAX_ZOOM, clusterRadius: 46 * scale, clusterProperties: { bad: ['+', ['get', 'bad']] } },
      incidents: {
        type: 'geojson', data: EMPTY, promoteId: 'id', cluster: true, clusterMaxZoom: GROUP_MAX_ZOOM, clusterRadius: GROUP_RADIUS_PX * scale,
        clusterProperties: { order: ['max', ['get', 'order']], pulse: ['max', ['get', 'pulse']], cleared: ['min', ['get', 'cleared']] },
      },
      selection: { type: 'geojson', data: EMPTY },
    },
    layers: [...layers, ...devices(palette, scale), ...incidents(palette, scale)],
  }
}
