/** The keys of a replay. */
import { SPEEDS, type ReplayClock } from './clock'

interface Player {
  readonly clock: ReplayClock | null
  step(ms: number): void
  toggle(): void
  setSpeed(speed: number): void
}

/** Act on a key; whether it was one of ours. */
export function replayKey(event: Pick<KeyboardEvent, 'key' | 'shiftKey'>, player: Player): boolean {
  const speed = player.clock?.speed ?? 1
  const step = event.shiftKey ? 60_000 : 10_000
  const keys: Record<string, () => void> = {
    ' ': () => player.toggle(),
    ArrowLeft: () => player.step(-step),
    ArrowRight: () => player.step(step),
    '<': () => player.setSpeed(SPEEDS.findLast((known) => known < speed) ?? 1),
    '>': () => player.setSpeed(SPEEDS.find((known) => known > speed) ?? speed),
  }
  const act = keys[event.key]
  act?.()
  return act !== undefined
}
