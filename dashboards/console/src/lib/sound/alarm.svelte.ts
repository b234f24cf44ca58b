/** Alarm sound: off until the person enables it, a pattern of its own per severity, repeating until acknowledged. */
import type { Severity } from '../feed/types'
import { SEVERITIES } from '../queue/order'
import { CALLS, SourceCooldown, type Arrived } from './calls'

const NOTE_S = 0.16
const VOLUME = 0.14
/** New incidents in quick succession make one sound, not many; what is graver is heard at once. */
const COOLDOWN_MS = 1_500

export type SoundMode = 'off' | 'on' | 'muted'

class AlarmSound {
  mode = $state<SoundMode>('off')
  #context: AudioContext | null = null
  #worst: Severity | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #lastMs = 0
  #lastRank = 0
  readonly #sources = new SourceCooldown()

  /** Enable, mute, unmute: one button; the browser wants the first press anyway. */
  step(): void {
    if (this.mode === 'off') this.#context ??= new AudioContext()
    void this.#context?.resume()
    this.mode = this.mode === 'on' ? 'muted' : 'on'
    if (this.#worst) this.#call(this.#worst)
    this.#schedule()
  }

  /** The worst severity among unacknowledged incidents, or null: it is called again until somebody acknowledges. */
  waiting(worst: Severity | null): void {
    if (worst === this.#worst) return
    this.#worst = worst
    this.#schedule()
  }

  /** What has just arrived: one call, unless its sources were heard just now. */
  arrived(incidents: readonly Arrived[]): void {
    const worst = this.#sources.due(incidents, Date.now())
    if (worst) this.#call(worst)
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    const worst = this.#worst
    if (this.mode !== 'on' || !worst) return
    this.#timer = setTimeout(() => {
      this.#call(worst)
      this.#schedule()
    }, CALLS[worst].everyMs)
  }

  #call(severity: Severity): void {
    const context = this.#context
    const now = Date.now()
    const rank = SEVERITIES.indexOf(severity)
    if (this.mode !== 'on' || !context || (now - this.#lastMs < COOLDOWN_MS && rank >= this.#lastRank)) return
    this.#lastMs = now
    this.#lastRank = rank
    CALLS[severity].notes.forEach((frequency, i) => {
      const at = context.currentTime + i * NOTE_S * 1.25
      const gain = context.createGain()
      const tone = new OscillatorNode(context, { type: 'triangle', frequency })
      gain.gain.setValueAtTime(0, at)
      gain.gain.linearRampToValueAtTime(VOLUME, at + 0.015)
      gain.gain.exponentialRampToValueAtTime(0.001, at + NOTE_S)
      tone.connect(gain).connect(context.destination)
      tone.start(at)
      tone.stop(at + NOTE_S)
    })
  }
}

export const sound = new AlarmSound()
