/** What may be reported: asked once per page, and again when somebody asks after a failure. */
import { i18n } from '../i18n/public/index.svelte'
import { publicApi } from './api'
import type { Service } from './types'

class Services {
  items = $state.raw<Service[] | null>(null)
  failed = $state(false)

  async load(): Promise<void> {
    this.failed = false
    try {
      this.items = await publicApi.services()
    } catch {
      this.failed = true
    }
  }

  /** A code that is no longer in the list is shown as it is. */
  name(code: string): string {
    const found = this.items?.find((service) => service.code === code)
    return found ? i18n.text(found.name) : code
  }
}

export const services = new Services()
