/** Whether single-letter keys act; people who dictate or mistype can switch them off (WCAG 2.1.4). */
import { recall, remember } from './storage'

class Keys {
  enabled = $state(recall('keys', ['on', 'off'], 'on') === 'on')

  set(enabled: boolean): void {
    this.enabled = enabled
    remember('keys', enabled ? 'on' : 'off')
  }
}

export const keys = new Keys()
