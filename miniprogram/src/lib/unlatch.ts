// The app: what lives as long as it, and where a rider lands.

import { Api } from './api'
import { Client, Refusal } from './client'
import { entryKey, readEntry, type Query, type Read } from './code'
import type { Config } from '../config'
import type { Platform } from './platform'
import type { Bluetooth, Me, Order, Scan, VenueCard } from './shapes'
import { languages, type Words } from './words'

export const pages = {
  home: '/pages/home/index',
  device: '/pages/device/index',
  order: '/pages/order/index',
  wallet: '/pages/wallet/index',
  history: '/pages/history/index',
  passes: '/pages/passes/index',
  fault: '/pages/fault/index',
  about: '/pages/about/index',
}

/** How long onShow leaves an entry to the page that WeChat may be loading for it, ms. */
const claimWithin = 400

export class Unlatch {
  readonly client: Client
  readonly api: Api
  readonly t: Words
  /** Venues met since the start: for the phone number beside a failure. */
  readonly venues = new Map<string, VenueCard>()
  /** Locks that a scan said can be reached over Bluetooth. */
  readonly radios = new Map<string, Bluetooth>()
  /** Printed numbers of devices that were scanned: for a fault's report. */
  readonly numbers = new Map<string, string>()
  private claimed = ''
  private looking: Promise<Me> | undefined
  /** Taps that are at work: nobody is led away from what they are doing, such as paying. */
  acting = 0
  /** The order that is on the screen now. */
  showing = ''
  /** The order that a tap of this run has placed: its payment window opens without another tap, once. */
  placed = ''
  /** Where the rider stands by the server's word, of the newest look. */
  me: Me | undefined
  /** Whether riders are asked for their number; false from the moment at which the server says that it does not ask. */
  asksPhone: boolean
  /** The code scanned inside the app on its way to the device page. */
  scanned: Read | undefined

  constructor(
    readonly platform: Platform,
    readonly config: Config,
  ) {
    this.client = new Client(platform, config.api)
    this.api = new Api(this.client)
    this.t = languages[platform.language()]
    this.asksPhone = config.askPhone
  }

  /** App.onShow: of a start and of each return. WeChat may or may not load a page anew for a second scan. */
  shown(query: Query | undefined): void {
    this.client.shown()
    const key = entryKey(query)
    if (key !== undefined && key !== this.claimed) {
      this.platform.after(claimWithin, () => {
        if (key === this.claimed) return
        this.claimed = key
        this.scanned = readEntry(query, this.config.domains)
        this.platform.relaunch(pages.device)
      })
      return
    }
    void this.land().catch(() => undefined) // pages show their own failures
  }

  hidden(): void {
    this.client.hidden()
  }

  /** What a device page is to show: each entry once. */
  claim(query: Query): Read | undefined {
    const key = entryKey(query)
    if (key !== undefined) {
      this.claimed = key
      return readEntry(query, this.config.domains)
    }
    const scanned = this.scanned
    this.scanned = undefined
    return scanned ?? readEntry(query, this.config.domains)
  }

  /** Asks where the rider stands and goes there: a live order is never left behind. */
  async land(): Promise<Me> {
    const me = await this.look()
    const live = liveOf(me)
    if (live && this.showing === '' && this.acting === 0) this.toOrder(live.id, true)
    return me
  }

  /** Of callers at the same time one asks, and all hear the same; who has just done something asks anew. */
  look(anew = false): Promise<Me> {
    if (this.looking && !anew) return this.looking
    const looking = this.api.me().then((me) => {
      this.me = me
      if (me.reservation) this.met(me.reservation.venue)
      return me
    })
    const done = () => {
      if (this.looking === looking) this.looking = undefined
    }
    this.looking = looking
    looking.then(done, done)
    return looking
  }

  toOrder(id: string, anew = false): void {
    if (anew) this.platform.relaunch(pages.order, { id })
    else this.platform.replace(pages.order, { id })
  }

  met(venue: VenueCard): void {
    this.venues.set(venue.id, venue)
  }

  metScan(scan: Scan): void {
    this.met(scan.device.venue)
    this.numbers.set(scan.device.id, scan.device.number)
    if (scan.device.bluetooth) this.radios.set(scan.device.id, scan.device.bluetooth)
  }

  /** The number to call about a place. */
  phone(venue?: string): string {
    return (venue !== undefined ? this.venues.get(venue)?.phone : undefined) ?? this.config.phone
  }
}

const urgency: Record<string, number> = { active: 0, unresolved: 1, starting: 2, pending: 3 }

/** The live order that needs its rider most. */
export function liveOf(me: Me | undefined): Order | undefined {
  return [...(me?.live_orders ?? [])].sort((a, b) => (urgency[a.state] ?? 9) - (urgency[b.state] ?? 9))[0]
}

export function refused(error: unknown, ...codes: string[]): boolean {
  return error instanceof Refusal && codes.includes(error.code)
}
