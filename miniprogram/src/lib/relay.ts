// The second road: the phone carries signed words between the server and a lock that has no network. It is a pipe:
// it reads nothing of them and can forge nothing.

import type { Api } from './api'
import { Collector, frames, fromBase64, toBase64 } from './ble'
import { Refusal } from './client'
import { Fault, wait, type Platform, type Radio } from './platform'
import type { Bluetooth, Order } from './shapes'

/** The GATT service of every lock (device/wire, docs/protocol.md). A scan names it; after a restart of the app this stands in. */
export const serviceOfLocks = '3c4cd4a3-ff48-4e5a-a37f-8719f6dfef2e'

const findWithin = 12_000
const connectWithin = 8_000
/** A word that was not answered is carried again after this, ms. */
const again = 3000
const wordsMost = 16
/** How long the lock has for its last answer, ms. */
const settle = 1500

/** A connection to one lock: messages in and out, one write at a time. */
export class LockLink {
  private device = ''
  private write = ''
  private queue: Promise<void> = Promise.resolve()
  private readonly collector = new Collector()
  lost = false

  constructor(
    private readonly platform: Platform,
    private readonly lock: Bluetooth,
    private readonly heard: (message: Uint8Array) => void,
    private readonly gone: () => void,
  ) {}

  private get radio(): Radio {
    return this.platform.radio
  }

  /** Rejects with a ble_ Fault; then the radio is closed again. */
  async open(): Promise<void> {
    try {
      await this.radio.open()
      this.radio.onLost(() => {
        if (this.lost) return
        this.lost = true
        this.gone()
      })
      this.device = await this.radio.find(this.lock.service, this.lock.name, findWithin)
      await this.radio.connect(this.device, connectWithin)
      const { write, notify } = await this.radio.discover(this.device, this.lock.service)
      this.write = write
      // Notifications before the first write, or the first answer is lost.
      await this.radio.listen(this.device, this.lock.service, notify, (bytes) => {
        const message = this.collector.take(bytes, this.platform.now())
        if (message) this.heard(message)
      })
    } catch (e) {
      await this.close()
      throw e
    }
  }

  /** Messages go out whole and in order: parallel writes fail on some phones. */
  send(message: Uint8Array): Promise<void> {
    const next = this.queue.then(async () => {
      for (const frame of frames(message)) {
        if (this.lost) throw new Fault('ble_lost', 'the connection to the lock is gone')
        await this.radio.write(this.device, this.lock.service, this.write, frame)
      }
    })
    this.queue = next.catch(() => undefined)
    return next
  }

  async close(): Promise<void> {
    this.lost = true
    await this.radio.close(this.device || undefined).catch(() => undefined)
  }
}

export interface Carried {
  moved(order: Order): void
  /** connecting, carrying, done; or the Fault that ended it. */
  state(state: 'connecting' | 'carrying' | 'done', why?: unknown): void
}

/** Carries words for one order until it has nothing more to carry, or stop. */
export class Relay {
  private link: LockLink | undefined
  private words: string[] = []
  private sent = new Map<string, number>()
  private order: Order
  private busy = false
  private stopped = false
  private posted = false

  constructor(
    private readonly api: Api,
    order: Order,
    private readonly lock: Bluetooth,
    private readonly carried: Carried,
  ) {
    this.order = order
  }

  get running(): boolean {
    return !this.stopped
  }

  async start(): Promise<void> {
    this.carried.state('connecting')
    this.link = new LockLink(
      this.api.client.platform,
      this.lock,
      (m) => this.hear(m),
      () => this.end(new Fault('ble_lost', 'the lock went out of reach')),
    )
    try {
      await this.link.open()
    } catch (e) {
      this.end(e)
      return
    }
    if (this.stopped) {
      await this.link.close()
      return
    }
    this.carried.state('carrying')
    this.carry()
    void this.repeat()
  }

  /** A newer state of the order, from wherever. */
  feed(order: Order): void {
    if (order.version < this.order.version) return
    this.order = order
    this.carry()
  }

  stop(): void {
    this.end()
  }

  private end(why?: unknown): void {
    if (this.stopped) return
    this.stopped = true
    void this.link?.close()
    this.carried.state('done', why)
  }

  /** What was not answered goes again: identical bytes do nothing twice. */
  private async repeat(): Promise<void> {
    while (!this.stopped) {
      await wait(this.api.client.platform, 1000)
      this.carry()
      if (this.over()) this.end()
    }
  }

  /** The order is over, and the last acks went to the lock: if they got lost, the next rider's phone brings them. */
  private over(): boolean {
    if (this.order.state !== 'settled' && this.order.state !== 'voided') return false
    const now = this.api.client.platform.now()
    return (
      this.words.length === 0 &&
      !this.busy &&
      (this.order.relay?.send ?? []).every((text) => now - (this.sent.get(text) ?? now) > settle)
    )
  }

  private carry(): void {
    if (this.stopped || !this.link) return
    const now = this.api.client.platform.now()
    const send = this.order.relay?.send ?? []
    for (const text of send) {
      if (now - (this.sent.get(text) ?? -again) < again) continue
      this.sent.set(text, now)
      this.link.send(fromBase64(text)).catch((e: unknown) => this.end(e))
    }
    for (const text of [...this.sent.keys()]) if (!send.includes(text)) this.sent.delete(text)
  }

  private hear(message: Uint8Array): void {
    this.words.push(toBase64(message))
    void this.deliver()
  }

  private async deliver(): Promise<void> {
    if (this.busy) return
    this.busy = true
    try {
      while (this.words.length > 0 && !this.stopped) {
        await wait(this.api.client.platform, this.posted ? 150 : 50) // words come in groups
        const words = this.words.splice(0, wordsMost)
        try {
          const order = await this.api.relay(this.order.id, words)
          this.posted = true
          this.carried.moved(order)
          this.feed(order)
        } catch (e) {
          // Words that the server refuses are of no use to it a second time; anything else ends the walk.
          if (!(e instanceof Refusal) || e.code !== 'word_refused') throw e
        }
      }
    } catch (e) {
      this.end(e)
    } finally {
      this.busy = false
    }
  }
}
