// A device that was scanned: what it is, what it costs, one tap to use it.

import type { PlaceBody } from '../lib/api'
import { Refusal } from '../lib/client'
import type { Code, Query, Read } from '../lib/code'
import { explainCode } from '../lib/explain'
import { day, distance, fill, litres, parseYuan, unitPrice, yuan } from '../lib/format'
import { Screen } from '../lib/screen'
import { liveOf, refused } from '../lib/unlatch'
import type { Preset, Scan } from '../lib/shapes'
import type { PayWay } from '../config'

type Amount = 'amount' | 'litres' | 'full'

/** A ticket lives two minutes; one that is nearly over is renewed before it is spent. */
const ticketMargin = 5000
/** After this many ms a tap is no longer meant: nothing opens for a rider who has walked on. */
const meant = 40_000

export class DeviceScreen extends Screen {
  private code: Code | undefined
  private card: Scan | undefined
  private balance = 0
  private ways: PayWay[] = []
  private way: PayWay = 'wallet'
  private grade = ''
  private mode: Amount = 'amount'
  private amount = 0
  private litres = 0
  private offersFuel: number[] = []

  override words() {
    const t = this.app.t
    return { title: t.device.title, t: { device: t.device, home: t.home } }
  }

  override async open(query: Query): Promise<void> {
    this.show({ card: null, ready: false })
    await this.begun(this.app.claim(query))
  }

  private async begun(read: Read | undefined): Promise<void> {
    if (!read || read.wrong !== undefined) {
      this.say(read?.wrong ?? 'not_a_code')
      return
    }
    this.code = read.code
    await this.load()
  }

  /** Device, wallet and where the rider stands, at the same time: one round trip on a slow link. */
  private async load(): Promise<void> {
    const code = this.code
    if (!code) return
    this.show({ loading: true })
    try {
      await this.app.client.ready()
      const me = this.app.look().catch(() => undefined)
      const wallet = this.app.api.wallet().catch(() => undefined)
      const scanned = this.scanCode(code)
      let scan: Scan
      try {
        scan = await scanned
      } catch (e) {
        // It may be this rider's own: in use, paused. Then the order is the place to be.
        const own = refused(e, 'order_live', 'outlet_busy', 'outlet_open', 'too_many_live_orders') ? liveOf(await me) : undefined
        if (own && (refused(e, 'order_live') || (await me)?.live_orders.length === 1)) {
          this.app.toOrder(own.id)
          return
        }
        throw e
      }
      this.balance = (await wallet)?.available_fen ?? 0
      const live = (await me)?.live_orders.find((o) => o.kind === scan.device.kind)
      if (live) {
        this.app.toOrder(live.id)
        return
      }
      this.take(scan)
    } finally {
      this.show({ loading: false })
    }
  }

  /** Where the rider is goes along only if that was allowed before: nobody is asked in front of a lock. */
  private async scanCode(code: Code): Promise<Scan> {
    const p = this.app.platform
    const at = (await p.mayLocate()) ? await p.locate().catch(() => undefined) : undefined
    return this.app.api.scan(code, at)
  }

  private take(scan: Scan): void {
    this.card = scan
    this.app.metScan(scan)
    this.at(scan.device.venue.id)
    const pump = scan.device.kind === 'pump'
    const wanted = pump ? this.app.config.payPump : this.app.config.payLock
    this.ways = wanted.filter((w) => scan.pay_with?.includes(w) ?? true)
    const least = scan.tariff.least_fen
    this.way = this.ways.find((w) => w !== 'wallet' || this.balance >= least) ?? this.ways[0] ?? 'wallet'
    const fuel = scan.tariff.fuel
    if (fuel) {
      const here = (scan.device.nozzles ?? []).map((n) => n.grade)
      const grades = fuel.grades.filter((g) => here.length === 0 || here.includes(g.grade))
      if (!grades.some((g) => g.grade === this.grade)) this.grade = grades[0]?.grade ?? ''
      this.offersFuel = this.app.config.fuelAmounts.filter((a) => a >= fuel.least_amount_fen && a <= fuel.most_amount_fen)
      if (this.amount === 0) this.amount = this.offersFuel[0] ?? fuel.least_amount_fen
    }
    this.render()
  }

  private render(): void {
    const s = this.card
    if (!s) return
    const t = this.app.t
    const w = t.device
    const d = s.device
    const fuel = s.tariff.fuel
    const here = (d.nozzles ?? []).map((n) => n.grade)
    const bluetooth = d.availability === 'non_contactable' && d.bluetooth !== undefined
    const usable = d.availability === 'available' || d.availability === 'reserved' || bluetooth
    const facts = [fill(w.number, { number: d.number }), d.venue.name]
    if (fuel) facts.push(fill(w.side, { n: d.outlet }))
    if (d.battery !== undefined) facts.push(fill(w.battery, { n: d.battery }))
    if (d.distance_m !== undefined) facts.push(fill(w.far, { distance: distance(d.distance_m, t) }))
    this.show({
      ready: true,
      usable,
      pump: fuel !== undefined,
      card: {
        kind: t.common[d.kind],
        facts,
        state: (t.availability as Record<string, string>)[d.availability] ?? d.availability,
        free: usable && !bluetooth,
      },
      prices: fuel ? [] : s.tariff.text[this.app.platform.language()],
      pass: s.pass ? fill(w.pass, { name: s.pass.name, until: day(s.pass.until) }) : '',
      grades: fuel
        ? fuel.grades
            .filter((g) => here.length === 0 || here.includes(g.grade))
            .map((g) => ({
              id: g.grade,
              name: g.name,
              price: fill(w.perLitre, { price: unitPrice(g.unit_price) }),
              on: g.grade === this.grade,
            }))
        : [],
      amounts: this.offersFuel.map((a) => ({ id: a, label: yuan(a), on: this.mode === 'amount' && a === this.amount })),
      mode: this.mode,
      fullText: fuel ? fill(w.fullText, { amount: yuan(this.most()) }) : '',
      ways: this.ways.map((way) => ({ id: way, label: fill(w[way], { amount: yuan(this.balance) }), on: way === this.way })),
      go: this.label(s),
      bluetooth: bluetooth ? w.bluetoothText : '',
    })
  }

  private most(): number {
    const fuel = this.card?.tariff.fuel
    return this.way === 'wallet' ? Math.min(this.balance, fuel?.most_amount_fen ?? 0) : (fuel?.most_amount_fen ?? 0)
  }

  private label(s: Scan): string {
    const w = this.app.t.device
    if (s.tariff.fuel) {
      if (this.mode === 'full') return w.pumpFull
      if (this.mode === 'litres') return fill(w.pump, { amount: this.litres > 0 ? litres(this.litres) : '–' })
      return fill(this.way === 'wallet' ? w.pumpWallet : w.pump, { amount: yuan(this.amount) })
    }
    if (s.device.availability === 'non_contactable') return w.bluetooth
    if (this.way === 'prepay') return fill(w.payFirst, { price: yuan(s.tariff.least_fen) })
    if (this.way === 'pay_score') return w.confirmFirst
    const fee = s.tariff.unlock_fee_fen ?? 0
    return fee > 0 ? fill(w.unlock, { price: yuan(s.tariff.least_fen) }) : w.unlockPlain
  }

  protected override async act(what: string, value: string): Promise<void> {
    switch (what) {
      case 'retry':
        return this.load()
      case 'grade':
        this.grade = value
        return this.render()
      case 'amount':
        this.mode = 'amount'
        this.amount = Number(value)
        return this.render()
      case 'full':
        this.mode = 'full'
        return this.render()
      case 'own': {
        const fen = parseYuan(value)
        this.mode = 'amount'
        this.amount = fen ?? 0
        return this.render()
      }
      case 'litres': {
        const n = /^\s*\d{1,3}(\.\d{1,2})?\s*$/.test(value) ? Math.round(Number(value) * 1000) : 0
        this.mode = 'litres'
        this.litres = n
        return this.render()
      }
      case 'way':
        this.way = value as PayWay
        return this.render()
      case 'order':
        return this.order()
    }
  }

  private preset(fuel: NonNullable<Scan['tariff']['fuel']>): Preset | undefined {
    if (this.mode === 'full') return { grade: this.grade }
    if (this.mode === 'litres')
      return this.litres > 0 && this.litres <= fuel.most_millilitres ? { grade: this.grade, millilitres: this.litres } : undefined
    return this.amount >= fuel.least_amount_fen && this.amount <= fuel.most_amount_fen
      ? { grade: this.grade, amount_fen: this.amount }
      : undefined
  }

  /** One tap. The key stays the same over every repeat of it, so that one tap is one order. */
  private async order(): Promise<void> {
    const code = this.code
    let scan = this.card
    if (!code || !scan) return
    const fuel = scan.tariff.fuel
    const preset = fuel ? this.preset(fuel) : undefined
    if (fuel && !preset) {
      this.show({
        notice: {
          ...explainCode('amount_invalid', this.app.t),
          text: fill(this.app.t.device.invalid, { least: yuan(fuel.least_amount_fen), most: yuan(fuel.most_amount_fen) }),
        },
      })
      return
    }
    const key = this.app.platform.random()
    const tapped = this.app.platform.now()
    for (let renewed = false; ; renewed = true) {
      if (!renewed && Date.parse(scan.expires_at) - this.app.client.now() < ticketMargin) {
        const again = await this.renew(scan, code)
        if (!again) return
        scan = again
      }
      const body: PlaceBody = { ticket: scan.ticket, pay_with: this.way, ...(preset ? { preset } : {}) }
      if (scan.device.availability === 'non_contactable' && scan.device.bluetooth) body.road = 'bluetooth'
      try {
        const order = await this.app.api.place(body, key)
        this.app.placed = order.id
        this.app.toOrder(order.id)
        return
      } catch (e) {
        if (refused(e, 'too_many_live_orders', 'ticket_used')) {
          const live = liveOf(await this.app.look(true))
          if (live) return this.app.toOrder(live.id)
        }
        if (
          !renewed &&
          this.app.platform.now() - tapped < meant &&
          refused(e, 'ticket_expired', 'ticket_stale', 'ticket_invalid')
        ) {
          const again = await this.renew(scan, code)
          if (!again) return
          scan = again
          continue
        }
        this.another(e)
        throw e
      }
    }
  }

  /** A way to pay that is refused stays chosen no longer, where there is another. */
  private another(e: unknown): void {
    if (!(e instanceof Refusal) || !['pay_with_not_offered', 'balance_too_low'].includes(e.code)) return
    if (e.code === 'pay_with_not_offered') this.ways = this.ways.filter((w) => w !== this.way)
    const next = this.ways.find((w) => w !== this.way && w !== 'wallet') ?? this.ways[0]
    if (next) this.way = next
    this.render()
  }

  /** A new ticket of the same code; undefined where the price is another one by now, and the rider looks again. */
  private async renew(old: Scan, code: Code): Promise<Scan | undefined> {
    const scan = await this.scanCode(code)
    const same =
      scan.tariff.id === old.tariff.id &&
      scan.tariff.version === old.tariff.version &&
      scan.tariff.least_fen === old.tariff.least_fen
    this.take(scan)
    if (same) return scan
    this.show({ notice: { ...explainCode('ticket_stale', this.app.t), text: this.app.t.device.changed, do: '', label: '' } })
    return undefined
  }
}
