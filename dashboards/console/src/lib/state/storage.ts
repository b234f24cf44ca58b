/** Remembered choices (language, theme, keys). Storage may be forbidden; then they last for the page. */

const PREFIX = 'ioc.'

export function recall<T extends string>(key: string, allowed: readonly T[], fallback: T): T {
  try {
    const value = localStorage.getItem(PREFIX + key)
    return allowed.find((choice) => choice === value) ?? fallback
  } catch {
    return fallback
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + key, value)
  } catch {
    // Private mode: the choice still holds until the page closes.
  }
}
