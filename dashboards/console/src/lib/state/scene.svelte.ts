/** What the screen shows: the live city, or the past while a replay runs. One time for all layers. */
import type { DeviceState, Incident } from '../feed/types'
import { clock } from './clock.svelte'
import { live } from './live.svelte'
import { replay } from './replay.svelte'

class Scene {
  get incidents(): Incident[] {
    return replay.active ? replay.incidents : live.incidents
  }

  /** Follows `incidents`: what was read here is read again when they change. */
  incident(id: string): Incident | undefined {
    if (replay.active) return replay.scene.incidents.get(id)
    void live.incidents
    return live.book.get(id)
  }

  /** Follows the states' version. */
  state(id: string): DeviceState | undefined {
    if (replay.active) return replay.scene.states.get(id)
    void live.statesVersion
    return live.states.get(id)
  }

  get loaded(): boolean {
    return replay.active ? !replay.buffering : live.loaded
  }

  /** The time of everything shown, ms. */
  get now(): number {
    return replay.clock?.atMs ?? clock.now
  }

  /** The same off the tick. */
  exact(): number {
    return replay.clock?.atMs ?? clock.exact()
  }
}

export const scene = new Scene()
