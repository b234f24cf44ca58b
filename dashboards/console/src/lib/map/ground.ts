/** Finding out what is in a ground before a map is drawn on it. */
import { addProtocol } from 'maplibre-gl'
import type { Basemap } from '../api/types'
import { rasterLayers, schemaOf, vectorLayers, type Ground } from './basemap'

const PMTILES_TIMEOUT_MS = 5_000

/** Words without the tags that files carry them in: attributions are shown as text. */
export function plainText(html: string): string {
  return new DOMParser().parseFromString(html, 'text/html').body.textContent.trim()
}

/**
 * Return the ground that `basemap` names.
 *
 * Throws where a PMTiles file cannot be read, or has vector tiles of neither schema. Tiles are not tried here.
 */
export async function loadGround(basemap: Basemap): Promise<Ground> {
  const { kind, url, attribution, max_zoom: maxzoom, schema } = basemap
  if (kind === 'pmtiles') return pmtilesGround(new URL(url, location.href).href, attribution)
  if (kind === 'vector') {
    return { source: { type: 'vector', tiles: [url], maxzoom }, layers: (p) => vectorLayers(schema, p), attribution }
  }
  return { source: { type: 'raster', tiles: [url], tileSize: 256, maxzoom }, layers: rasterLayers, attribution }
}

let protocol: import('pmtiles').Protocol | null = null

async function pmtilesGround(url: string, attribution: string): Promise<Ground> {
  const { PMTiles, Protocol, TileType } = await import('pmtiles')
  if (!protocol) {
    protocol = new Protocol()
    addProtocol('pmtiles', protocol.tile)
  }
  const file = protocol.get(url) ?? new PMTiles(url)
  protocol.add(file)
  const [header, about] = await Promise.race([
    Promise.all([file.getHeader(), file.getMetadata() as Promise<{ attribution?: string; vector_layers?: { id: string }[] }>]),
    new Promise<never>((_, reject) => setTimeout(() => reject(new Error(`no answer within ${PMTILES_TIMEOUT_MS} ms`)), PMTILES_TIMEOUT_MS)),
  ])
  const credit = attribution || plainText(about.attribution ?? '')
  const address = `pmtiles://${url}`
  if (header.tileType !== TileType.Mvt) {
    return { source: { type: 'raster', url: address, tileSize: 256 }, layers: rasterLayers, attribution: credit }
  }
  const schema = schemaOf((about.vector_layers ?? []).map(({ id }) => id))
  if (!schema) throw new Error(`${url} has neither the layers of Protomaps nor of OpenMapTiles`)
  return { source: { type: 'vector', url: address }, layers: (p) => vectorLayers(schema, p), attribution: credit }
}
