/** The city's name, kept from the last visit so that the header never waits for it. */
import { i18n } from '../i18n/public/index.svelte'
import { publicApi, type PublicCity } from './api'

const KEY = 'ioc.city'

function kept(): PublicCity | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? 'null') as PublicCity | null
  } catch {
    return null
  }
}

class KnownCity {
  value = $state.raw<PublicCity | null>(kept())

  get name(): string {
    return this.value ? i18n.text(this.value.name) : ''
  }

  get demo(): boolean {
    return this.value?.demo ?? false
  }

  get former(): Record<string, string> {
    return this.value?.former ?? {}
  }

  ward(code: string): string {
    const name = this.value?.wards?.[code]
    return name ? i18n.text(name) : code
  }

  async load(): Promise<void> {
    try {
      this.value = await publicApi.city()
      localStorage.setItem(KEY, JSON.stringify(this.value))
    } catch {
      // The page is of use without it; what does not answer will say so where it matters.
    }
  }
}

export const city = new KnownCity()
void city.load()
