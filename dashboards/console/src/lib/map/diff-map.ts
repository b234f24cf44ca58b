/** A map of points that stand for differences. Loaded when somebody asks for it. */
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import { Map as MapLibreMap, setWorkerUrl, type GeoJSONSource } from 'maplibre-gl'
import 'maplibre-gl/dist/maplibre-gl.css'
import type { FeatureCollection } from 'geojson'
import type { Areas, Basemap } from '../api/types'
import { loadGround } from './ground'
import { loadFonts } from './fonts'
import { readPalette } from './palette'
import { groundStyle } from './style'

setWorkerUrl(workerUrl)

export interface DiffPoint {
  index: number
  lon: number
  lat: number
  /** A new one, an earlier one; false: one that is lost or later. */
  more: boolean
}

export interface DiffMapContent {
  areas: Areas
  basemap: Basemap | null
  bounds: [number, number, number, number]
  title: string
  onchoose: (index: number) => void
}

export class DiffMap {
  readonly #map: MapLibreMap
  readonly #loaded: Promise<void>

  static async create(container: HTMLElement, content: DiffMapContent): Promise<DiffMap> {
    const ground = content.basemap ? await loadGround(content.basemap).catch(() => null) : null
    await loadFonts()
    const style = groundStyle(content.areas, readPalette(), ground)
    const map = new MapLibreMap({
      container, style, bounds: content.bounds, minZoom: 4, maxZoom: 19, attributionControl: false, dragRotate: false,
      pitchWithRotate: false, fadeDuration: 0, locale: { 'Map.Title': content.title },
    })
    return new DiffMap(map, content.onchoose)
  }

  private constructor(map: MapLibreMap, onchoose: (index: number) => void) {
    this.#map = map
    map.keyboard.disableRotation()
    map.touchZoomRotate.disableRotation()
    this.#loaded = new Promise((done) => void map.once('load', () => done()))
    map.on('click', 'differences', ({ features }) => {
      const index: unknown = features?.[0]?.properties.index
      if (typeof index === 'number') onchoose(index)
    })
  }

  /** Show these points, one of them chosen; how many are drawn. */
  async show(points: readonly DiffPoint[], chosen: number | null): Promise<number> {
    await this.#loaded
    const data: FeatureCollection = {
      type: 'FeatureCollection',
      features: points.map(({ index, lon, lat, more }) => ({
        type: 'Feature',
        geometry: { type: 'Point', coordinates: [lon, lat] },
        properties: { index, more, chosen: index === chosen },
      })),
    }
    const source = this.#map.getSource<GeoJSONSource>('differences')
    if (source) source.setData(data)
    else this.#add(data)
    return points.length
  }

  #add(data: FeatureCollection): void {
    const token = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
    this.#map.addSource('differences', { type: 'geojson', data })
    this.#map.addLayer({
      id: 'differences',
      type: 'circle',
      source: 'differences',
      paint: {
        'circle-radius': ['case', ['get', 'chosen'], 11, 7],
        // More is filled, less is a ring: colour is not all that tells them apart.
        'circle-color': ['case', ['get', 'more'], token('--accent'), token('--map-device-fill')],
        'circle-stroke-color': ['case', ['get', 'chosen'], token('--map-select'), ['get', 'more'], token('--map-halo'), token('--warn')],
        'circle-stroke-width': 3,
      },
    })
  }

  destroy(): void {
    this.#map.remove()
  }
}
