/**
 * The ground that an operator gave us: PMTiles or tiles, drawn in our own colours under the areas.
 *
 * Only what helps to find a place is drawn: water, green, roads, houses, and names of streets and quarters. Borders and
 * names of countries and provinces never are, and no name that the tiles carry in the East Sea: those two archipelagos
 * are labelled by `ARCHIPELAGOS` alone.
 */
import type { ExpressionSpecification, LayerSpecification, SourceSpecification } from 'maplibre-gl'
import type { Basemap } from '../api/types'
import type { Palette } from './palette'

type Schema = Basemap['schema']
type Condition = ExpressionSpecification

/** A ground that was found to be readable. */
export interface Ground {
  source: SourceSpecification
  layers: (palette: Palette) => LayerSpecification[]
  attribution: string
}

interface Roads {
  main: Condition
  mid: Condition
  minor: Condition
}

interface Names {
  layer: string
  when: Condition
}

/** Where a schema keeps what we draw; `green` by its source layers. */
interface Roles {
  green: Record<string, Condition>
  water: string[]
  buildings: string
  roadLayer: string
  roads: Roads
  streetNames: string
  places: Names
}

const FONT = ['Be Vietnam Pro Medium', 'Be Vietnam Pro']
export const BASEMAP_SOURCE = 'basemap'

const oneOf = (field: string, ...values: string[]): Condition => ['in', ['get', field], ['literal', values]]

const ROLES: Record<Schema, Roles> = {
  protomaps: {
    green: { landuse: oneOf('kind', 'park', 'forest', 'wood', 'nature_reserve', 'grass', 'cemetery', 'golf_course', 'garden') },
    water: ['water'],
    buildings: 'buildings',
    roadLayer: 'roads',
    roads: { main: oneOf('kind', 'highway'), mid: oneOf('kind', 'major_road', 'medium_road'), minor: oneOf('kind', 'minor_road') },
    streetNames: 'roads',
    places: { layer: 'places', when: oneOf('kind', 'locality', 'macrohood', 'neighbourhood') },
  },
  openmaptiles: {
    green: { landcover: oneOf('class', 'wood', 'grass'), park: ['literal', true] as unknown as Condition },
    water: ['water', 'waterway'],
    buildings: 'building',
    roadLayer: 'transportation',
    roads: {
      main: oneOf('class', 'motorway', 'trunk'),
      mid: oneOf('class', 'primary', 'secondary', 'tertiary'),
      minor: oneOf('class', 'minor', 'service'),
    },
    streetNames: 'transportation_name',
    places: { layer: 'place', when: oneOf('class', 'town', 'village', 'suburb', 'quarter', 'neighbourhood') },
  },
}

/** West, south, east, north of the seas whose names are ours to write. */
const EAST_SEA: [number, number, number, number][] = [
  [110.5, 15, 113.5, 18],
  [111, 6, 118, 12.5],
]

function outsideEastSea(): Condition {
  const coordinates = EAST_SEA.map(([west, south, east, north]) => [
    [[west, south], [east, south], [east, north], [west, north], [west, south]],
  ])
  return ['!', ['within', { type: 'MultiPolygon', coordinates }]]
}

const named: ExpressionSpecification = ['coalesce', ['get', 'name:vi'], ['get', 'name']]
const polygon: Condition = ['==', ['geometry-type'], 'Polygon']
const line: Condition = ['==', ['geometry-type'], 'LineString']
const widths = (...stops: number[]): ExpressionSpecification =>
  ['interpolate', ['exponential', 1.4], ['zoom'], ...stops] as ExpressionSpecification

export function vectorLayers(schema: Schema, p: Palette): LayerSpecification[] {
  const roles = ROLES[schema]
  const source = BASEMAP_SOURCE
  const road = (id: string, when: Condition, colour: string, minzoom: number, ...stops: number[]): LayerSpecification => ({
    id: `basemap-${id}`, type: 'line', source, 'source-layer': roles.roadLayer, minzoom, filter: ['all', line, when],
    layout: { 'line-cap': 'round', 'line-join': 'round' },
    paint: { 'line-color': colour, 'line-width': widths(...stops) },
  })
  const words = (id: string, layer: string, minzoom: number, when: Condition, layout: object, colour: string): LayerSpecification => ({
    id: `basemap-${id}`, type: 'symbol', source, 'source-layer': layer, minzoom,
    filter: ['all', ['has', 'name'], when, outsideEastSea()],
    layout: { 'text-field': named, 'text-font': FONT, 'text-size': 11.5, ...layout },
    paint: { 'text-color': colour, 'text-halo-color': p.halo, 'text-halo-width': 1.6 },
  })
  return [
    ...Object.entries(roles.green).map(([layer, when]): LayerSpecification => ({
      id: `basemap-green-${layer}`, type: 'fill', source, 'source-layer': layer, filter: ['all', polygon, when],
      paint: { 'fill-color': p.special, 'fill-opacity': 0.18 },
    })),
    ...roles.water.flatMap((layer): LayerSpecification[] => [
      { id: `basemap-${layer}`, type: 'fill', source, 'source-layer': layer, filter: polygon, paint: { 'fill-color': p.water } },
      { id: `basemap-${layer}-line`, type: 'line', source, 'source-layer': layer, minzoom: 10, filter: line, paint: { 'line-color': p.water, 'line-width': widths(10, 0.6, 16, 4) } },
    ]),
    { id: 'basemap-buildings', type: 'fill', source, 'source-layer': roles.buildings, minzoom: 15, filter: polygon, paint: { 'fill-color': p.roadEdge, 'fill-opacity': 0.6 } },
    road('minor', roles.roads.minor, p.road, 12, 12, 0.5, 16, 4),
    road('mid-edge', roles.roads.mid, p.roadEdge, 9, 8, 1.4, 13, 3.2, 16, 8.6),
    road('mid', roles.roads.mid, p.roadMid, 8, 8, 0.8, 13, 2, 16, 7),
    road('main-edge', roles.roads.main, p.roadEdge, 7, 7, 1.8, 13, 5, 16, 12.6),
    road('main', roles.roads.main, p.roadMain, 6, 7, 1.2, 13, 3.6, 16, 11),
    words('streets', roles.streetNames, 13, ['literal', true] as unknown as Condition, { 'symbol-placement': 'line', 'symbol-spacing': 380 }, p.labelRoad),
    words('quarters', roles.places.layer, 12.5, roles.places.when, { 'text-max-width': 9 }, p.labelRoad),
  ]
}

/** Pictures of streets are loud: they are muted until they are a ground. */
export function rasterLayers(p: Palette): LayerSpecification[] {
  const dark = luminance(p.bg) < 0.3
  return [
    {
      id: 'basemap-raster', type: 'raster', source: BASEMAP_SOURCE,
      paint: { 'raster-saturation': -0.65, 'raster-brightness-max': dark ? 0.45 : 1, 'raster-contrast': dark ? 0.1 : -0.15, 'raster-fade-duration': 0 },
    },
  ]
}

/** 0 (black) … 1 (white) of a colour written `#rrggbb`. */
function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
  return 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0)
}

/** What tiles name their layers by, from the names themselves; null when it is neither. */
export function schemaOf(layers: readonly string[]): Schema | null {
  const found = Object.entries(ROLES).find(([, { roadLayer }]) => layers.includes(roadLayer))
  return found ? (found[0] as Schema) : null
}
