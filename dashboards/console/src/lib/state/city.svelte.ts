/** What changes rarely: the city and its areas, loaded once after login, and its devices, which the feed keeps true. */
import { api } from '../api/client'
import type { Areas, City, Device } from '../api/types'
import { centreOf } from '../map/geometry'
import type { DeviceChanges, Text } from '../feed/types'
import { withNames, withoutSource } from '../format/names'
import { i18n } from '../i18n/index.svelte'
import { term } from '../i18n/terms'
import { Register } from './register'

const RETRY_MS = 5_000
/** Source of the reports of the citizens' counter: no device, so it has no name of its own. */
const CITIZENS = 'citizens'

export interface Ward {
  code: string
  vi: string
  en: string
  /** Names that people still use: what it took over in 2025. */
  former: string
  centre: [number, number] | null
}

/** Consoles that must all read the list of devices again do not do so in the same instant. */
const SPREAD_MS = 2_000

class CityData {
  city = $state.raw<City | null>(null)
  areas = $state.raw<Areas | null>(null)
  devices = $state.raw<ReadonlyMap<string, Device>>(new Map())
  failed = $state(false)
  readonly #register = new Register({
    read: api.devices,
    later: (run) => void setTimeout(run, Math.random() * SPREAD_MS),
    show: (devices) => {
      this.devices = devices
    },
  })

  wards = $derived.by(() => {
    const wards = new Map<string, Ward>()
    for (const { properties, geometry } of this.areas?.features ?? []) {
      if (properties.kind !== 'ward') continue
      const { code, name, name_en, former = '' } = properties
      wards.set(code, { code, vi: name, en: name_en || name, former, centre: centreOf(geometry) })
    }
    return wards
  })

  /** Load everything; repeats by itself while the server does not answer. Returns the undo. */
  load(): () => void {
    let stopped = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const attempt = async (): Promise<void> => {
      try {
        const [city, areas, devices] = await Promise.all([api.city(), api.areas(), api.devices()])
        if (stopped) return
        this.city = city
        this.areas = areas
        this.#register.begin(devices)
        this.failed = false
      } catch {
        this.failed = true
        if (!stopped) timer = setTimeout(() => void attempt(), RETRY_MS)
      }
    }
    void attempt()
    return () => {
      stopped = true
      clearTimeout(timer)
      this.#register.end()
    }
  }

  /** The feed says what has changed of the devices. */
  follow(changes: DeviceChanges): void {
    this.#register.follow(changes)
  }

  /** Names for as long as the service has told none. */
  recall(devices: Device[]): void {
    if (!this.devices.size) this.devices = new Map(devices.map((device) => [device.id, device]))
  }

  wardName(code: string | null): string {
    if (!code) return i18n.t.noWard
    const ward = this.wards.get(code)
    return ward ? ward[i18n.lang] : code
  }

  /** What a ward's area was called before. */
  formerNames(code: string | null): string {
    return (code && this.wards.get(code)?.former) || ''
  }

  deviceName(id: string | null): string {
    if (!id) return ''
    return this.devices.get(id)?.name ?? (id === CITIZENS ? term(id, i18n.lang) : id)
  }

  /** A rule's words in the chosen language, with names for device ids and ward codes. */
  told(text: Text): string {
    return withNames(i18n.text(text), (id) => this.devices.get(id)?.name, (code) => this.wards.get(code)?.[i18n.lang])
  }

  /** What happened, without where: for lists that name the place beside it. */
  shortTitle(incident: { title: Text; source: string | null }): string {
    return withoutSource(i18n.text(incident.title), incident.source)
  }

  /** Where to draw an incident: its own place, else the middle of its ward. */
  placeOf(incident: { lon: number | null; lat: number | null; ward: string | null }): [number, number] | null {
    if (incident.lon != null && incident.lat != null) return [incident.lon, incident.lat]
    return (incident.ward && this.wards.get(incident.ward)?.centre) || null
  }
}

export const cityData = new CityData()
