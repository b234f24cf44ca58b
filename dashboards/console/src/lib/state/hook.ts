/** `window.__ioc`: what browser tests and an engineer may read. It shows nothing the screen does not. */
import type { Map as MapLibreMap } from 'maplibre-gl'
import { live } from './live.svelte'

interface Hook {
  /** Null until the map has its style, images and first data. */
  map: MapLibreMap | null
  feed: {
    readonly state: string
    readonly connected: boolean
    readonly stale: boolean
    readonly epoch: string | null
    readonly offset: number | null
    readonly incidents: number
    readonly states: number
    incident(id: string): unknown
    /** Break the link as a bad network would. */
    breakLink(): void
  }
}

declare global {
  interface Window {
    __ioc?: Hook
  }
}

export function installHook(): () => void {
  window.__ioc = {
    map: null,
    feed: {
      get state() {
        return live.link.state
      },
      get connected() {
        return live.link.state === 'live'
      },
      get stale() {
        return live.stale
      },
      get epoch() {
        return live.connection?.protocol.position?.epoch ?? null
      },
      get offset() {
        return live.connection?.protocol.position?.offset ?? null
      },
      get incidents() {
        return live.book.size
      },
      get states() {
        return live.states.size
      },
      incident: (id) => live.book.get(id) ?? null,
      breakLink: () => live.connection?.breakLink(),
    },
  }
  return () => delete window.__ioc
}

export function hookMap(map: MapLibreMap | null): void {
  if (window.__ioc) window.__ioc.map = map
}
