// An order, from the command to the receipt.

import { explain, explainCode } from '../lib/explain'
import { Follow, finished } from '../lib/follow'
import { Fault } from '../lib/platform'
import { Relay, serviceOfLocks } from '../lib/relay'
import { Screen } from '../lib/screen'
import { openPayment, stageOf, viewOf, type Doing } from '../lib/view'
import type { Query } from '../lib/code'
import type { Order } from '../lib/shapes'
import { pages } from '../lib/unlatch'

export class OrderScreen extends Screen {
  private id = ''
  private order: Order | undefined
  private follow: Follow | undefined
  private relay: Relay | undefined
  private stopTick: (() => void) | undefined
  private doing: Doing = { pay: '', relay: '', bluetooth: false, notified: false, notifies: this.app.config.templates.length > 0 }
  private asked = new Set<string>()
  private visible = false

  override words() {
    const t = this.app.t
    return { title: t.order.title, t: { order: t.order } }
  }

  override open(query: Query): void {
    this.id = query.id ?? ''
    this.show({ v: null })
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(this.id)) {
      this.say('order_unknown')
      return
    }
    this.watch()
  }

  override shown(): void {
    this.visible = true
    this.app.showing = this.id
    if (this.order && this.doing.pay === 'waiting' && this.order.state === 'pending') this.follow?.nudge() // back from WeChat's own page
    if (!this.follow && this.id && !(this.order && finished(this.order))) this.watch()
    this.tick()
  }

  override hidden(): void {
    this.visible = false
    this.app.showing = ''
    this.follow?.stop()
    this.follow = undefined
    this.stopTick?.()
    this.stopTick = undefined
  }

  override closed(): void {
    this.relay?.stop()
  }

  private watch(): void {
    this.follow = new Follow(this.app.api, this.id, {
      moved: (o) => this.moved(o),
      link: (good) => this.show({ offline: !good }),
      lost: (e) => this.fail(e),
    })
    this.follow.start()
  }

  private moved(o: Order): void {
    if (this.gone || (this.order && o.version < this.order.version)) return
    const before = this.order
    this.order = o
    if (o.venue_card) this.app.met(o.venue_card)
    if (!before) this.at(o.venue)
    if (before && before.state !== o.state) this.show({ notice: null })
    if (o.state !== 'pending') this.doing.pay = ''
    // The order says itself whether a phone may carry its words, also after a restart of the app.
    this.doing.bluetooth = this.app.radios.has(o.device) || o.relay !== undefined
    this.relay?.feed(o)
    this.render()
    void this.guarded(() => this.next(o))
  }

  /** What needs no second tap, once: the payment window, the confirm page, the first attempt over Bluetooth. */
  private async next(o: Order): Promise<void> {
    if (this.app.placed !== o.id) return
    const open = openPayment(o)
    const stage = stageOf(o)
    if (stage === 'pay' && open?.request && !this.asked.has(open.id)) return this.tap('pay', '')
    if (stage === 'confirm' && open?.package && !this.asked.has(open.id)) return this.tap('confirm', '')
    if (stage === 'relay' && !this.asked.has('relay')) {
      this.asked.add('relay')
      return this.tap('bluetooth', '')
    }
  }

  private render(): void {
    const o = this.order
    if (!o || this.gone) return
    this.show({ v: viewOf(o, this.app.client.now(), this.doing, this.app.t) })
  }

  private tick(): void {
    this.stopTick?.()
    if (!this.visible) return
    this.stopTick = this.app.platform.after(1000, () => {
      const stage = this.order ? stageOf(this.order) : undefined
      if (this.order && (stage === 'starting' || this.order.state === 'active')) this.render()
      this.tick()
    })
  }

  protected override async act(what: string): Promise<void> {
    const o = this.order
    if (!o) return
    const { api, platform: p } = this.app
    switch (what) {
      case 'retry':
        this.follow?.stop()
        return this.watch()
      case 'pay':
        return this.pay(o)
      case 'confirm':
        return this.confirm(o)
      case 'instead':
        return this.done(await api.act(o.id, 'cancel', { instead: 'prepay' }))
      case 'cancel':
      case 'end':
      case 'pause':
      case 'resume':
        return this.move(what, o)
      case 'ring':
        await api.act(o.id, 'ring')
        return p.toast(this.app.t.order.rang)
      case 'notify':
        this.doing.notified = await p.subscribe(this.app.config.templates)
        p.toast(this.doing.notified ? this.app.t.order.notified : this.app.t.order.notNotified)
        return this.render()
      case 'bluetooth':
        return this.carry(o)
      case 'fault':
        return p.go(pages.fault, { device: o.device })
      case 'again':
        return p.relaunch(pages.home)
    }
  }

  /** A refusal mostly means that the order moved on: look, and say what the server said. */
  private async move(what: 'cancel' | 'end' | 'pause' | 'resume', o: Order): Promise<void> {
    try {
      this.done(await this.app.api.act(o.id, what))
    } catch (e) {
      this.follow?.nudge()
      throw e
    }
  }

  private done(o: Order | undefined): void {
    if (o) this.moved(o)
    this.follow?.nudge()
  }

  /** Whatever WeChat's window says, only the server's word counts: the order is looked at in any case. */
  private async pay(o: Order): Promise<void> {
    const open = openPayment(o)
    if (!open?.request) return
    this.asked.add(open.id)
    try {
      await this.app.platform.pay(open.request)
      this.doing.pay = 'waiting'
    } catch (e) {
      this.doing.pay = e instanceof Fault && e.kind === 'cancelled' ? 'cancelled' : 'failed'
    }
    this.render()
    this.follow?.nudge()
  }

  private async confirm(o: Order): Promise<void> {
    const open = openPayment(o)
    if (!open?.package) return
    this.asked.add(open.id)
    await this.app.platform.confirm(open.package)
    this.doing.pay = 'waiting'
    this.render()
    this.follow?.nudge()
    this.app.platform.after(15_000, () => {
      // Nobody confirmed, or WeChat is slow: the button comes back, the server goes on asking.
      if (this.order?.state !== 'pending') return
      this.doing.pay = ''
      this.render()
    })
  }

  private async carry(o: Order): Promise<void> {
    if (this.relay?.running) return
    const lock = this.app.radios.get(o.device) ?? { service: serviceOfLocks, name: o.device }
    this.relay = new Relay(this.app.api, o, lock, {
      moved: (newer) => {
        this.moved(newer)
        this.follow?.nudge()
      },
      state: (state, why) => {
        this.doing.relay = state === 'done' ? '' : state
        if (why !== undefined && !this.gone && !(this.order && finished(this.order)))
          this.show({ notice: explain(why, this.app.t) })
        this.render()
      },
    })
    await this.relay.start()
  }

  /** Tells a rider who says that the lock is shut what the lock says. */
  protected override fail(error: unknown): void {
    const notice = explain(error, this.app.t)
    if (notice.code === 'still_open' && this.doing.bluetooth)
      this.show({ notice: { ...explainCode('still_open', this.app.t), do: 'bluetooth', label: this.app.t.order.bluetoothEnd } })
    else super.fail(error)
  }
}
