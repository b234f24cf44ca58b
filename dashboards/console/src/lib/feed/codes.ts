/** What each close code asks of the client: one table, the same as the server's. */

export interface CloseVerdict {
  reconnect: boolean
  /** The session is gone: only a new login helps. */
  login?: boolean
  /** What we know is worthless: ask for a snapshot instead of a resume. */
  forget?: boolean
}

const VERDICTS: Record<number, CloseVerdict> = {
  // The server closes frames beyond its size with the protocol's own code.
  1009: { reconnect: false },
  4400: { reconnect: false },
  4401: { reconnect: false, login: true },
  4403: { reconnect: false },
  4408: { reconnect: true },
  4409: { reconnect: true, forget: true },
  4413: { reconnect: false },
  4429: { reconnect: true },
  4503: { reconnect: true },
  4508: { reconnect: true },
}

/** Verdict of a close code; anything we do not know is a broken network, so we try again. */
export function closeVerdict(code: number): CloseVerdict {
  return VERDICTS[code] ?? { reconnect: true }
}
