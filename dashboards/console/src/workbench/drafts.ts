/** Unfinished texts, one per rule, kept by the browser. Without storage they last as long as the page. */

export interface Draft {
  text: string
  tests: string
  /** The newest version its author had seen when it began. */
  seen: number
}

const PREFIX = 'ioc.bench.'

export function readDraft(rule: string): Draft | null {
  try {
    const found = JSON.parse(localStorage.getItem(PREFIX + rule) ?? 'null') as Partial<Draft> | null
    if (typeof found?.text !== 'string' || typeof found.tests !== 'string' || typeof found.seen !== 'number') return null
    return { text: found.text, tests: found.tests, seen: found.seen }
  } catch {
    return null
  }
}

export function keepDraft(rule: string, draft: Draft | null): void {
  try {
    if (draft) localStorage.setItem(PREFIX + rule, JSON.stringify(draft))
    else localStorage.removeItem(PREFIX + rule)
  } catch {
    // Private mode or full: the text is still on the page.
  }
}
