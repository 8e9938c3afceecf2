// Keeps an order in sight: one request at a time, answered when the order moves; without that, a question now and then.

import type { Api } from './api'
import { Handle, Refusal } from './client'
import { Fault, wait } from './platform'
import type { Order } from './shapes'

/** Seconds that the server may hold a question; it allows 25. */
export const holdSeconds = 20
/** Least time between two questions, ms, whatever the server answers. */
const leastGap = 1000
const pollGap = 2500
const longestGap = 15_000

export interface Watcher {
  moved(order: Order): void
  /** Tells whether the link works; false: what is shown may be old. */
  link(good: boolean): void
  /** The order is not there, or not this rider's. */
  lost(error: unknown): void
}

export class Follow {
  private handle = new Handle()
  private etag = ''
  private round = 0
  private nudged: (() => void) | undefined
  over = false

  constructor(
    private readonly api: Api,
    private readonly id: string,
    private readonly watcher: Watcher,
  ) {}

  start(): void {
    void this.run()
  }

  stop(): void {
    this.over = true
    this.handle.stop()
  }

  /** Asks at once, without waiting for a move: after something was done. */
  nudge(): void {
    this.etag = ''
    const old = this.handle
    this.handle = new Handle()
    old.stop()
    this.nudged?.()
  }

  private async run(): Promise<void> {
    const platform = this.api.client.platform
    while (!this.over) {
      const began = platform.now()
      const asked = this.etag
      const handle = this.handle
      let gap = leastGap
      try {
        const reply = await this.api.order(this.id, { etag: asked, seconds: holdSeconds, handle, patience: 0 })
        if (this.over || handle !== this.handle) continue
        this.round = 0
        this.watcher.link(true)
        if (reply.status === 304) {
          this.etag = '' // an honest look now and then: what it costs so far has no version
          if (!reply.waited) gap = pollGap
        } else {
          this.etag = reply.etag
          this.watcher.moved(reply.body)
          if (finished(reply.body)) {
            this.over = true
            return
          }
          if (asked === '') gap = 0 // the next question may wait at the server
          if (reply.etag === '') gap = pollGap
        }
      } catch (e) {
        if (this.over || handle !== this.handle) continue
        if (e instanceof Refusal && e.status < 500 && e.status !== 429 && e.status !== 408) {
          this.over = true
          this.watcher.lost(e)
          return
        }
        if (e instanceof Fault && e.kind !== 'network' && e.kind !== 'interrupted') {
          this.over = true
          this.watcher.lost(e)
          return
        }
        this.watcher.link(false)
        gap = Math.min(longestGap, pollGap * 2 ** this.round++) * (0.7 + 0.6 * Math.random())
      }
      const rest = gap - (platform.now() - began)
      if (rest > 0) await Promise.race([wait(platform, rest), new Promise<void>((done) => (this.nudged = done))])
    }
  }
}

/** Whether nothing will move any more that a rider waits for. Refunds go on after it; a later look shows them. */
export function finished(o: Order): boolean {
  if (o.state !== 'settled' && o.state !== 'voided') return false
  return !(o.payments ?? []).some(
    (p) => p.state === 'created' || p.state === 'open' || p.state === 'closing' || p.state === 'completing',
  )
}
