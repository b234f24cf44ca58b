/** Codes of the reports sent from this device, so that nobody has to write them down. */

const KEY = 'ioc.mine'
const MOST = 20

export interface Mine {
  code: string
  service: string
  at: string
}

function read(): Mine[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    return Array.isArray(found) ? (found as Mine[]) : []
  } catch {
    return []
  }
}

class MyReports {
  items = $state.raw<Mine[]>(read())

  add(report: Mine): void {
    this.#set([report, ...this.items.filter(({ code }) => code !== report.code)].slice(0, MOST))
  }

  forget(): void {
    this.#set([])
  }

  #set(items: Mine[]): void {
    this.items = items
    try {
      localStorage.setItem(KEY, JSON.stringify(items))
    } catch {
      // Not allowed: the result page shows the code.
    }
  }
}

export const mine = new MyReports()
