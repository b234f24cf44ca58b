/** Tracking codes as people type them: small letters, spaces, and the look-alikes that the alphabet leaves out. */

export function tidyCode(typed: string): string {
  return typed
    .toUpperCase()
    .replace(/[\s–—_.-]+/g, '-')
    .replace(/^-+|-+$/g, '')
}
