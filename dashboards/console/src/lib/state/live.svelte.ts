/** The feed as the screen sees it: link, incidents, device states, and how old all of that is. */
import { browserSurroundings, followPage } from '../feed/browser'
import { IncidentCollection, StateCollection } from '../feed/collections'
import { FeedConnection, type Link } from '../feed/connection'
import { FeedProtocol, type Effect } from '../feed/protocol'
import type { BBox, Delays, Incident } from '../feed/types'
import { i18n } from '../i18n/index.svelte'
import { cityData } from './city.svelte'
import { clock } from './clock.svelte'
import { session } from './session.svelte'

/** Without a frame for this long, nothing on the screen may be taken for live. */
export const STALE_AFTER_MS = 5_000
const STATES_EVERY_MS = 500

class Live {
  link = $state.raw<Link>({ state: 'connecting', retryAtMs: null, reason: null, login: false })
  incidents = $state.raw<Incident[]>([])
  /** False until the first snapshot is complete. */
  loaded = $state(false)
  /** The service cannot read incidents at the moment: new ones come late. */
  delayed = $state(false)
  thinned = $state(false)
  /** There are more incidents than a console is given; the gravest are here. */
  cut = $state(false)
  /** Raised at most twice a second when device states have changed. */
  statesVersion = $state(0)
  conflated = $state(0)
  /** How old the changes of about the last ten seconds were when they were shown. */
  delays = $state.raw<Delays | null>(null)
  readonly book = new IncidentCollection()
  readonly states = new StateCollection()
  /** Local time of the newest frame; read it on the clock's tick. */
  lastFrameMs: number | null = null
  /** Server time of the newest event seen in any lane. */
  newestEventMs: number | null = null
  #connection: FeedConnection | null = null
  #onNew: ((added: Incident[]) => void) | null = null

  frameAgeMs = $derived.by(() => {
    void this.link
    return this.lastFrameMs === null ? null : Math.max(0, clock.localMs - this.lastFrameMs)
  })
  stale = $derived(this.link.state !== 'live' || this.frameAgeMs === null || this.frameAgeMs > STALE_AFTER_MS)

  get connection(): FeedConnection | null {
    return this.#connection
  }

  /** Connect; `onNew` hears of incidents the feed adds after the snapshot. Returns the undo. */
  start(onNew: (added: Incident[]) => void): () => void {
    this.#onNew = onNew
    const protocol = new FeedProtocol('console', () => i18n.lang)
    const connection = new FeedConnection(protocol, browserSurroundings, {
      effect: (effect, receivedMs) => this.#effect(effect, receivedMs),
      link: (link) => {
        this.link = link
        if (link.login) session.leave(true)
        // A refused upgrade looks like a broken network: ask whether we are still signed in.
        if (link.state === 'waiting') void session.verify()
      },
      frame: (receivedMs) => {
        this.lastFrameMs = receivedMs
      },
      delays: (measured) => {
        this.delays = measured
      },
    })
    this.#connection = connection
    const undo = [followPage(connection), this.#followIncidents(), this.#followStates()]
    connection.start()
    return () => {
      connection.stop()
      for (const step of undo) step()
      this.#connection = null
      this.book.clear()
      this.states.clear()
      this.incidents = []
      this.loaded = false
      this.lastFrameMs = this.newestEventMs = this.delays = null
    }
  }

  view(bbox: BBox | null, zoom: number): void {
    this.#connection?.view(bbox, zoom)
  }

  retryNow(): void {
    this.#connection?.wake()
  }

  #effect(effect: Effect, receivedMs: number): void {
    switch (effect.kind) {
      case 'welcome':
        this.delayed = this.thinned = false
        // A resumed feed says nothing of the snapshot that it goes on from: what was missing there still is.
        this.cut &&= effect.resumed
        return clock.sync(effect.serverTimeMs, receivedMs)
      case 'notice':
        if (effect.code === 'incidents_delayed') this.delayed = true
        else if (effect.code === 'incidents_current') this.delayed = false
        else if (effect.code === 'events_thinned') this.thinned = true
        else if (effect.code === 'events_whole') this.thinned = false
        else if (effect.code === 'incidents_cut') this.cut = true
        else if (effect.code.startsWith('reset:')) this.cut = false
        return
      case 'replace':
        this.book.replace(effect.incidents, effect.newEpoch)
        effect.incidents.forEach((incident) => this.#sawEvent(incident.updated))
        this.loaded = true
        return
      case 'changes': {
        const { added, baseless } = this.book.apply(effect.changes)
        for (const { incident } of effect.changes) if ('updated' in incident) this.#sawEvent(incident.updated ?? '')
        if (added.length) this.#onNew?.(added)
        if (baseless) this.#connection?.lostBase()
        return
      }
      case 'devices':
        return cityData.follow(effect)
      case 'states':
        this.states.apply(effect.set, effect.del, effect.conflated)
        effect.set.forEach((state) => this.#sawEvent(state.t))
    }
  }

  #sawEvent(time: string): void {
    const ms = Date.parse(time)
    if (ms > (this.newestEventMs ?? 0)) this.newestEventMs = ms
  }

  #followIncidents(): () => void {
    return this.book.subscribe(() => {
      this.incidents = this.book.values()
    })
  }

  #followStates(): () => void {
    let dirty = false
    const unsubscribe = this.states.subscribe(() => {
      dirty = true
    })
    const timer = setInterval(() => {
      if (!dirty) return
      dirty = false
      this.conflated = this.states.conflated
      this.statesVersion += 1
    }, STATES_EVERY_MS)
    return () => {
      unsubscribe()
      clearInterval(timer)
    }
  }
}

export const live = new Live()
