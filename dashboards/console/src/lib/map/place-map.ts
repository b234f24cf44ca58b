/** A map to choose one place on: whatever lies under its centre. Loaded when somebody asks for it. */
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import { LngLatBounds, Map as MapLibreMap, Marker, setWorkerUrl } from 'maplibre-gl'
import 'maplibre-gl/dist/maplibre-gl.css'
import type { Areas, Basemap } from '../api/types'
import type { Ground } from './basemap'
import { loadFonts } from './fonts'
import { loadGround } from './ground'
import { readPalette } from './palette'
import { groundStyle } from './style'

setWorkerUrl(workerUrl)

const CLOSE_ZOOM = 16
const FIT_PADDING_PX = 48
const DEGREES_DIGITS = 6

export interface PlaceMapContent {
  areas: Areas
  basemap: Basemap | null
  /** West, south, east, north. */
  bounds: [number, number, number, number]
  from: { lon: number; lat: number } | null
  title: string
}

export class PlaceMap {
  readonly map: MapLibreMap
  /** The words that the ground's owner asks for. */
  readonly credit: string

  static async create(container: HTMLElement, content: PlaceMapContent): Promise<PlaceMap> {
    const ground = content.basemap && loadGround(content.basemap).catch(() => null)
    await loadFonts()
    return new PlaceMap(container, content, await ground)
  }

  private constructor(
    container: HTMLElement,
    { areas, bounds, from, title }: PlaceMapContent,
    ground: Ground | null,
  ) {
    this.credit = ground?.attribution ?? ''
    this.map = new MapLibreMap({
      container,
      style: groundStyle(areas, readPalette(), ground),
      ...(from ? { center: [from.lon, from.lat], zoom: CLOSE_ZOOM } : { bounds }),
      minZoom: 4,
      maxZoom: 19,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: 0,
      locale: { 'Map.Title': title },
    })
    this.map.touchZoomRotate.disableRotation()
    this.map.keyboard.disableRotation()
    // Nobody has to drag: a tap brings its place under the pin.
    this.map.on('click', ({ lngLat }) => this.map.easeTo({ center: lngLat }))
  }

  /** Call back with the ward under the pin now and after every move; null outside all of them. */
  onWard(told: (code: string | null) => void): void {
    const tell = (): void => {
      const [ward] = this.map.queryRenderedFeatures(this.map.project(this.map.getCenter()), { layers: ['wards'] })
      told(ward ? String(ward.properties.code) : null)
    }
    this.map.on('idle', tell)
  }

  zoomBy(steps: number): void {
    this.map.easeTo({ zoom: this.map.getZoom() + steps })
  }

  /** Draw a point of class `look` at a place. Returns the undo. */
  mark(place: [lon: number, lat: number], look: string): () => void {
    const element = document.createElement('div')
    element.className = look
    const marker = new Marker({ element }).setLngLat(place).addTo(this.map)
    return () => marker.remove()
  }

  /** Show all of `places`, no closer than needed. */
  fit(places: [lon: number, lat: number][]): void {
    const bounds = places.reduce((box, place) => box.extend(place), new LngLatBounds())
    this.map.fitBounds(bounds, { padding: FIT_PADDING_PX, maxZoom: CLOSE_ZOOM, animate: false })
  }

  centre(): [lon: number, lat: number] {
    const { lng, lat } = this.map.getCenter()
    return [Number(lng.toFixed(DEGREES_DIGITS)), Number(lat.toFixed(DEGREES_DIGITS))]
  }

  destroy(): void {
    this.map.remove()
  }
}
