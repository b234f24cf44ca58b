/** The live map: owns the MapLibre object, feeds its sources at a bounded rate, reports what is clicked. */
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import { Map as MapLibreMap, ScaleControl, setWorkerUrl, type GeoJSONSource, type MapGeoJSONFeature } from 'maplibre-gl'
import type { Areas } from '../api/types'
import type { BBox, Severity } from '../feed/types'
import { BASEMAP_SOURCE, type Ground } from './basemap'
import { diffFeatures, type PointFeature } from './features'
import { loadFonts } from './fonts'
import { widened } from './geometry'
import { mapImages, PIXEL_RATIO } from './icons'
import { Pace } from './pace'
import { readPalette, textScale } from './palette'
import { buildStyle, EMPTY } from './style'

setWorkerUrl(workerUrl)

/** A source is changed at most this often, however fast the feed is. */
const UPDATE_EVERY_MS = 250
const PULSE_MS = 1000
const VIEW_DEBOUNCE_MS = 300
/**
 * Until all of it is there the map is drawn this coarsely, behind a curtain: without a GPU it is the pixels that take the
 * time, and a map that comes piece by piece is drawn nearly ten times. A slow ground is not waited for.
 */
const ROUGH = 0.1
const ROUGH_MS = 3_000
const CLICK_SLACK_PX = 4
/** A revealed place is at least this far from the edge. */
const EDGE_PX = 48
const SETTLE_MS = 60
/** Room around what "home" shows: symbols at the edge must not be cut. */
const HOME_PADDING_PX = 24

export interface Camera {
  center: [number, number]
  zoom: number
}

export interface MapEvents {
  select(kind: 'incident' | 'device', id: string): void
  view(bbox: BBox | null, zoom: number): void
  /** Null: at home, wherever the size of the view puts that. */
  moved(camera: Camera | null): void
  /** Nothing of the ground could be loaded. */
  groundLost(): void
}

export interface MapContent {
  areas: Areas
  /** Null: our own areas and streets. */
  ground: Ground | null
  letters: Record<Severity, string>
  title: string
  camera: Camera | null
  /** All wards together. */
  extent: BBox
  /** What "home" shows: the extent, or the wards of a ward user. */
  home: BBox
}

export class ConsoleMap {
  readonly map: MapLibreMap
  #known: Record<'incidents' | 'devices', Map<string, string>> = { incidents: new Map(), devices: new Map() }
  #pending: Partial<Record<'incidents' | 'devices', PointFeature[]>> = {}
  /** Of the devices: incidents never wait for a slow machine. */
  #pace = new Pace()
  #timers: ReturnType<typeof setInterval>[] = []
  #viewTimer: ReturnType<typeof setTimeout> | undefined
  #ready = false
  /** The map has been drawn with all that was known when its style was there. */
  readonly whenReady: Promise<void>
  /** From here on there is something to look at. */
  readonly whenSharp: Promise<void>
  #gone = false
  #pulseOn = false
  /** Nobody has moved the map yet, or somebody asked for home: it stays whole when its pane changes size. */
  #atHome: boolean
  #incidents: PointFeature[] = []
  #framed = ''
  #selected: { incident: string; device: string } = { incident: '', device: '' }

  static async create(container: HTMLElement, content: MapContent, events: MapEvents): Promise<ConsoleMap> {
    await loadFonts()
    return new ConsoleMap(container, content, events)
  }

  private constructor(
    container: HTMLElement,
    private readonly content: MapContent,
    private readonly events: MapEvents,
  ) {
    const palette = readPalette()
    const { camera } = content
    this.#atHome = camera === null
    this.map = new MapLibreMap({
      container,
      style: buildStyle(content.areas, palette, content.ground, textScale()),
      ...(camera ?? { bounds: content.home, fitBoundsOptions: { padding: HOME_PADDING_PX } }),
      minZoom: 4,
      maxZoom: 18,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: 0,
      pixelRatio: ROUGH,
      locale: { 'Map.Title': content.title },
    })
    this.map.touchZoomRotate.disableRotation()
    this.map.keyboard.disableRotation()
    this.map.addControl(new ScaleControl({ maxWidth: 110 }), 'bottom-right')
    const ready = Promise.withResolvers<void>()
    this.whenReady = ready.promise
    const late = new Promise<void>((resolve) => setTimeout(resolve, ROUGH_MS))
    this.whenSharp = Promise.race([ready.promise, late]).then(() => {
      // No ratio of ours means the screen's, also after the window has moved to another one.
      if (!this.#gone) this.map.setPixelRatio(undefined as unknown as number)
    })
    // Before the first tile is asked for, so that the first picture has everything in it: without a GPU each drawing
    // of the map takes a good part of a second.
    this.map.once('style.load', () => {
      for (const [name, image] of mapImages(content.letters, palette)) {
        this.map.addImage(name, image, { pixelRatio: PIXEL_RATIO })
      }
      this.#ready = true
      this.#showSelection()
      this.#flush()
      this.#reportView()
    })
    this.map.once('load', () => ready.resolve())
    this.#listen()
    this.#timers = [setInterval(() => this.#flush(), UPDATE_EVERY_MS), setInterval(() => this.#pulse(), PULSE_MS)]
  }

  setIncidents(features: PointFeature[]): void {
    this.#pending.incidents = this.#incidents = features
  }

  setDevices(features: PointFeature[]): void {
    this.#pending.devices = features
  }

  select(selection: { kind: 'incident' | 'device'; id: string } | null): void {
    this.#selected = { incident: '', device: '' }
    if (selection) this.#selected[selection.kind] = selection.id
    this.#showSelection()
  }

  goTo(place: [number, number]): void {
    this.#atHome = false
    this.map.easeTo({ center: place, zoom: Math.max(this.map.getZoom(), 14), duration: 600 })
  }

  /**
   * Move only when `place` is not well inside the view, keeping the zoom: a selection must not throw the
   * person about. Looks after the next frames, because the panel that opens with it takes room first.
   */
  reveal(place: [number, number]): void {
    setTimeout(() => {
      if (this.#gone) return
      this.map.resize()
      const { x, y } = this.map.project(place)
      const { clientWidth, clientHeight } = this.map.getContainer()
      const inside = (at: number, size: number): boolean => at > EDGE_PX && at < size - EDGE_PX
      if (inside(x, clientWidth) && inside(y, clientHeight)) return
      this.#atHome = false
      this.map.easeTo({ center: place, duration: 500 })
    }, SETTLE_MS)
  }

  home(duration = 600): void {
    this.#atHome = true
    this.map.fitBounds(this.content.home, { padding: HOME_PADDING_PX, duration })
  }

  zoomBy(step: number): void {
    this.#atHome = false
    this.map.easeTo({ zoom: this.map.getZoom() + step, duration: 250 })
  }

  destroy(): void {
    this.#gone = true
    this.#timers.forEach(clearInterval)
    clearTimeout(this.#viewTimer)
    this.map.remove()
  }

  #flush(): void {
    if (!this.#ready) return
    for (const name of ['incidents', 'devices'] as const) {
      const features = this.#pending[name]
      if (!features || (name === 'devices' && !this.#pace.mayChange(performance.now()))) continue
      delete this.#pending[name]
      if (name === 'incidents') this.#showGroupSelection()
      const diff = diffFeatures(this.#known[name], features)
      if (!diff) continue
      if (name === 'devices') this.#pace.changed(performance.now())
      const source = this.map.getSource<GeoJSONSource>(name)
      // A refused difference would leave the map wrong for good: rebuild it from the whole.
      source?.updateData(diff).catch(() => source.setData({ type: 'FeatureCollection', features }))
    }
  }

  #pulse(): void {
    if (!this.#ready || document.hidden || matchMedia('(prefers-reduced-motion: reduce)').matches) return
    // Nothing to draw, nothing to repaint: a calm map costs no frames.
    if (![...this.#known.incidents.values()].some((signature) => signature.includes('"pulse":1'))) return
    this.#pulseOn = !this.#pulseOn
    this.map.setPaintProperty('incident-pulse', 'icon-opacity', this.#pulseOn ? 0.15 : 0.9)
  }

  #showSelection(): void {
    if (!this.#ready) return
    this.map.setFilter('incident-selected', ['==', ['get', 'id'], this.#selected.incident])
    this.map.setFilter('device-selected', ['==', ['get', 'id'], this.#selected.device])
    this.#showGroupSelection()
  }

  /** Far out, the selected incident may be inside a group: it is drawn once more, where it happened. */
  #showGroupSelection(): void {
    const feature = this.#incidents.find(({ properties }) => properties.id === this.#selected.incident)
    const signature = feature ? JSON.stringify(feature) : ''
    if (signature === this.#framed) return
    this.#framed = signature
    void this.map.getSource<GeoJSONSource>('selection')?.setData(feature ?? EMPTY)
  }

  #hit(x: number, y: number): MapGeoJSONFeature | undefined {
    const box: [[number, number], [number, number]] = [
      [x - CLICK_SLACK_PX, y - CLICK_SLACK_PX],
      [x + CLICK_SLACK_PX, y + CLICK_SLACK_PX],
    ]
    for (const layer of ['incidents', 'devices', 'clusters']) {
      const feature = this.map.queryRenderedFeatures(box, { layers: [layer] })[0]
      if (feature) return feature
    }
    return undefined
  }

  #listen(): void {
    this.map.on('click', ({ point }) => {
      const feature = this.#ready ? this.#hit(point.x, point.y) : undefined
      if (!feature) return
      if (feature.properties.cluster) void this.#openCluster(feature)
      else this.events.select(feature.layer.id === 'incidents' ? 'incident' : 'device', String(feature.properties.id))
    })
    this.map.on('mousemove', ({ point }) => {
      if (!this.#ready) return
      this.map.getCanvas().style.cursor = this.#hit(point.x, point.y) ? 'pointer' : ''
    })
    this.map.on('idle', () => this.#pace.drawn(performance.now()))
    let grounded = false
    this.map.on('data', (event) => {
      if ('tile' in event && event.sourceId === BASEMAP_SOURCE) grounded = true
    })
    this.map.on('error', (event) => {
      if ('sourceId' in event && event.sourceId === BASEMAP_SOURCE && !grounded && !this.#gone) this.events.groundLost()
    })
    this.map.on('movestart', ({ originalEvent }) => {
      if (originalEvent) this.#atHome = false
    })
    this.map.on('resize', () => this.#atHome && this.home(0))
    this.map.on('moveend', () => {
      const { lng, lat } = this.map.getCenter()
      this.events.moved(this.#atHome ? null : { center: [lng, lat], zoom: this.map.getZoom() })
      clearTimeout(this.#viewTimer)
      this.#viewTimer = setTimeout(() => this.#reportView(), VIEW_DEBOUNCE_MS)
    })
  }

  async #openCluster(feature: MapGeoJSONFeature): Promise<void> {
    if (feature.geometry.type !== 'Point') return
    this.#atHome = false
    const source = this.map.getSource<GeoJSONSource>(feature.source)
    const zoom = await source?.getClusterExpansionZoom(Number(feature.properties.cluster_id))
    this.map.easeTo({ center: feature.geometry.coordinates as [number, number], zoom: (zoom ?? 12) + 0.3 })
  }

  #reportView(): void {
    const view = this.map.getBounds()
    const box: BBox = [view.getWest(), view.getSouth(), view.getEast(), view.getNorth()]
    this.events.view(widened(box, this.content.extent), Math.round(this.map.getZoom() * 100) / 100)
  }
}
