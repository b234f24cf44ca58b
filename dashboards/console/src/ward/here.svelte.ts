/**
 * Where the phone is, once somebody asked. It is held by this page alone: never stored, never sent, and forgotten
 * when the person leaves.
 */
import type { Lang } from '../lib/api/types'
import { distanceM } from '../lib/map/geometry'
import { distanceText } from './day'

const TIMEOUT_MS = 20_000
const MAX_AGE_MS = 30_000

interface Placed {
  lon: number | null
  lat: number | null
}

class Here {
  place = $state.raw<[lon: number, lat: number] | null>(null)
  state = $state<'idle' | 'asking' | 'failed'>('idle')
  /** Which question an answer belongs to: one that comes after the person left is nobody's. */
  #asked = 0

  ask(): void {
    const mine = ++this.#asked
    const answer = (place: [number, number] | null): void => {
      if (mine !== this.#asked) return
      this.place = place
      this.state = place ? 'idle' : 'failed'
    }
    this.state = 'asking'
    if (!('geolocation' in navigator)) return answer(null)
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => answer([coords.longitude, coords.latitude]),
      () => answer(null),
      { enableHighAccuracy: true, timeout: TIMEOUT_MS, maximumAge: MAX_AGE_MS },
    )
  }

  forget(): void {
    this.#asked += 1
    this.place = null
    this.state = 'idle'
  }

  /** How far away something is; empty where one of both places is unknown. */
  away({ lon, lat }: Placed, lang: Lang): string {
    return this.place && lon != null && lat != null ? distanceText(distanceM(this.place, [lon, lat]), lang) : ''
  }
}

export const here = new Here()
