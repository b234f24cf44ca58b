/** Names of what citizens report. Asked for once; until there is an answer a code is shown as it is. */
import { api } from '../api/client'
import { i18n } from '../i18n/index.svelte'
import type { Service } from '../public/types'

class Services {
  #items = $state.raw<Service[] | null>(null)
  #asking = false

  async load(): Promise<void> {
    if (this.#items || this.#asking) return
    this.#asking = true
    try {
      this.#items = await api.services()
    } catch {
      // The next panel asks again.
    } finally {
      this.#asking = false
    }
  }

  name(code: string): string {
    const found = this.#items?.find((service) => service.code === code)
    return found ? i18n.text(found.name) : code
  }
}

export const services = new Services()
