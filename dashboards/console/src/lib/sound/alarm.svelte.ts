/** Alarm sound: off until the person enables it, a pattern of its own per severity, repeating until acknowledged. */
import type { Severity } from '../feed/types'

/** Notes in Hz of one call, and the pause until the next; null: heard once. */
const CALLS: Record<Severity, { notes: number[]; everyMs: number | null }> = {
  critical: { notes: [988, 740, 988, 740], everyMs: 3_000 },
  high: { notes: [784, 587], everyMs: 8_000 },
  medium: { notes: [587], everyMs: null },
  low: { notes: [440], everyMs: null },
}
const NOTE_S = 0.16
const VOLUME = 0.14
/** New incidents in quick succession make one sound, not many. */
const COOLDOWN_MS = 1_500

export type SoundMode = 'off' | 'on' | 'muted'

class AlarmSound {
  mode = $state<SoundMode>('off')
  #context: AudioContext | null = null
  #worst: Severity | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #lastMs = 0

  /** Enable, mute, unmute: one button; the browser wants the first press anyway. */
  step(): void {
    if (this.mode === 'off') this.#context ??= new AudioContext()
    void this.#context?.resume()
    this.mode = this.mode === 'on' ? 'muted' : 'on'
    this.#repeat()
  }

  /** The worst severity among unacknowledged incidents, or null. */
  waiting(worst: Severity | null): void {
    if (worst === this.#worst) return
    this.#worst = worst
    this.#repeat()
  }

  /** One call for something that has just arrived. */
  arrived(severity: Severity): void {
    this.#call(severity)
  }

  #repeat(): void {
    clearTimeout(this.#timer)
    const every = this.#worst && CALLS[this.#worst].everyMs
    if (this.mode !== 'on' || !this.#worst || !every) return
    this.#call(this.#worst)
    this.#timer = setTimeout(() => this.#repeat(), every)
  }

  #call(severity: Severity): void {
    const context = this.#context
    const now = Date.now()
    if (this.mode !== 'on' || !context || now - this.#lastMs < COOLDOWN_MS) return
    this.#lastMs = now
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
