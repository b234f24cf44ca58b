/**
 * The register of devices as a page holds it: read once, then kept true by what the feed tells.
 *
 * A change goes on from one version. Where another is held, or too much has changed, the list is read again.
 */
import type { Device, DeviceList } from '../api/types'
import type { DeviceChanges } from '../feed/types'

export interface RegisterPorts {
  read(): Promise<DeviceList>
  /** Run something in a moment, not in the same one as every other console. */
  later(run: () => void): void
  show(devices: ReadonlyMap<string, Device>): void
}

export class Register {
  #devices: ReadonlyMap<string, Device> = new Map()
  #version: number | null = null
  /** The newest version that the feed has spoken of. */
  #told = -1
  /** The reading under way; once the page is left, or entered again, it counts no more. */
  #reading: object | null = null

  constructor(private readonly ports: RegisterPorts) {}

  /** Take over a list that was read. */
  begin(list: DeviceList): void {
    this.#version = list.version
    this.#show(new Map(list.items.map((device) => [device.id, device])))
    // What was told while the list was under way may not be in it.
    if (this.#told > list.version) this.#readAgain()
  }

  end(): void {
    this.#version = this.#reading = null
    this.#told = -1
  }

  follow({ version, before, set, del }: DeviceChanges): void {
    this.#told = version
    if (this.#version === null || version === this.#version) return
    if (before !== this.#version) return this.#readAgain()
    this.#version = version
    if (!set.length && !del.length) return
    const devices = new Map(this.#devices)
    for (const id of del) devices.delete(id)
    for (const device of set) devices.set(device.id, device)
    this.#show(devices)
  }

  #readAgain(): void {
    if (this.#reading) return
    const reading = (this.#reading = {})
    this.ports.later(async () => {
      const list = await this.ports.read().catch(() => null)
      if (reading !== this.#reading) return
      this.#reading = null
      if (list) this.begin(list)
      else this.#readAgain()
    })
  }

  #show(devices: ReadonlyMap<string, Device>): void {
    this.#devices = devices
    this.ports.show(devices)
  }
}
