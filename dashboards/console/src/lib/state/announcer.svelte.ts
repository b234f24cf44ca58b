/** What a screen reader hears of new incidents: critical and high only, and not more often than it can speak. */
import type { Incident } from '../feed/types'
import { i18n } from '../i18n/index.svelte'
import { cityData } from './city.svelte'

const SPEAK_EVERY_MS = 6_000

class Announcer {
  words = $state('')
  #waiting: Incident[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  #lastMs = 0

  arrived(added: Incident[]): void {
    this.#waiting.push(...added.filter(({ severity }) => severity === 'critical' || severity === 'high'))
    if (!this.#waiting.length || this.#timer) return
    const wait = Math.max(200, this.#lastMs + SPEAK_EVERY_MS - Date.now())
    this.#timer = setTimeout(() => this.#speak(), wait)
  }

  #speak(): void {
    this.#timer = undefined
    this.#lastMs = Date.now()
    const [first, ...more] = this.#waiting
    this.#waiting = []
    if (!first) return
    const { announce, severity } = i18n.t
    this.words = more.length
      ? announce.many(more.length + 1)
      : announce.one(severity[first.severity], cityData.shortTitle(first), cityData.wardName(first.ward))
  }
}

export const announcer = new Announcer()
