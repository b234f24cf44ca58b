/** A service for tests, whose answers come when a test says so and in the order it says. */

export class HeldService {
  readonly asked: HeldRequest[] = []

  readonly fetch = (path: string, init?: { method?: string }): Promise<Response> =>
    new Promise((resolve, reject) => this.asked.push(new HeldRequest(init?.method ?? 'GET', path, resolve, reject)))

  /** The newest request whose path holds `part`. */
  of(part: string): HeldRequest {
    const found = this.asked.findLast(({ path }) => path.includes(part))
    if (!found) throw new Error(`nobody asked for ${part}, only for ${this.asked.map(({ path }) => path).join(', ')}`)
    return found
  }
}

class HeldRequest {
  constructor(
    readonly method: string,
    readonly path: string,
    private readonly resolve: (response: Response) => void,
    private readonly reject: (error: unknown) => void,
  ) {}

  /** Answer, and let whoever waits for it go on. */
  async answer(body: unknown, status = 200): Promise<void> {
    this.resolve(new Response(JSON.stringify(body), { status }))
    await settled()
  }

  /** The network was away, or the answer took too long. */
  async fail(): Promise<void> {
    this.reject(new TypeError('fetch failed'))
    await settled()
  }
}

/** Resolves once everything that needs no request has been done. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve))
