// Money: what is there, paying in, taking out, what is unpaid.

import { explainCode } from '../lib/explain'
import { day, fill, parseYuan, yuan } from '../lib/format'
import { Fault, wait } from '../lib/platform'
import { Screen } from '../lib/screen'
import { pages } from '../lib/unlatch'
import type { Payment } from '../lib/shapes'

/** Pauses between looks at a top-up, ms: WeChat's word mostly comes within two seconds. */
const looks = [700, 1000, 1500, 2000, 3000, 4000, 5000, 6000]

export class WalletScreen extends Screen {
  private own = ''

  override words() {
    const t = this.app.t
    return { title: t.wallet.title, t: { wallet: t.wallet } }
  }

  override async open(): Promise<void> {
    this.show({ loaded: false, money: null, debts: [], payments: [], offers: [], say: '', payDebt: '' })
  }

  override shown(): Promise<void> {
    return this.load()
  }

  private async load(): Promise<void> {
    const { api, config, t } = this.app
    const w = t.wallet
    const [money, debts, payments] = await Promise.all([api.wallet(), api.debts(), api.payments()])
    const due = debts.debts.filter((d) => d.by === 'topup').reduce((sum, d) => sum + d.amount_fen, 0)
    this.show({
      loaded: true,
      money: {
        available: yuan(money.available_fen),
        held: money.held_fen > 0 ? yuan(money.held_fen) : '',
        debt: money.debt_fen > 0 ? yuan(money.debt_fen) : '',
      },
      offers: config.topUps.map((a) => ({ id: a, label: fill(w.topUp, { amount: yuan(a) }) })),
      payDebt: due > 0 ? { id: due, label: fill(w.payDebt, { amount: yuan(due) }) } : null,
      debts: debts.debts.map((d) => ({
        id: d.order,
        amount: yuan(d.amount_fen),
        since: day(d.since),
        why: d.by === 'topup' ? w.byTopUp : d.next_at ? fill(w.byScore, { time: day(d.next_at) }) : w.byScoreSoon,
      })),
      payments: payments.map((p) => ({
        id: p.id,
        title: w[p.for],
        at: day(p.created_at),
        amount: yuan(p.amount_fen),
        state: stateOf(p, w),
      })),
    })
  }

  protected override async act(what: string, value: string): Promise<void> {
    const { t, platform: p, api } = this.app
    switch (what) {
      case 'retry':
        return this.load()
      case 'type':
        this.own = value
        return
      case 'topUp':
        return this.topUp(Number(value))
      case 'own': {
        const fen = parseYuan(value || this.own)
        if (fen === undefined) return this.show({ notice: { ...explainCode('amount_invalid', t), text: t.wallet.invalid } })
        return this.topUp(fen)
      }
      case 'withdraw': {
        const key = p.random()
        if (!(await p.ask(t.wallet.withdrawAsk, t.wallet.withdrawText, t.common.yes, t.common.no))) return
        const out = await api.withdraw(0, key)
        this.show({ say: out.amount_fen > 0 ? fill(t.wallet.withdrawn, { amount: yuan(out.amount_fen) }) : t.wallet.nothing })
        return this.load()
      }
      case 'order':
        return p.go(pages.order, { id: value })
    }
  }

  private async topUp(amount: number): Promise<void> {
    const { api, platform: p, t } = this.app
    const w = t.wallet
    let topUp = await api.topUp(amount, p.random())
    for (const pause of looks) {
      if (topUp.request || topUp.state === 'closed') break
      await wait(p, pause)
      topUp = await api.topUpState(topUp.id)
    }
    if (!topUp.request) {
      this.show({ say: w.failed })
      return
    }
    try {
      await p.pay(topUp.request)
    } catch (e) {
      this.show({ say: e instanceof Fault && e.kind === 'cancelled' ? w.cancelled : w.failed })
      return this.load() // it may have been paid all the same
    }
    this.show({ say: w.waiting })
    for (const pause of looks) {
      await wait(p, pause)
      topUp = await api.topUpState(topUp.id)
      if (topUp.state === 'paid') {
        this.show({ say: fill(w.arrived, { amount: yuan(topUp.amount_fen) }) })
        return this.load()
      }
      if (this.gone) return
    }
    this.show({ say: w.late })
  }
}

function stateOf(p: Payment, w: { open: string; paid: string; closed: string; moving: string }): string {
  if (p.state === 'paid') return w.paid
  if (p.state === 'closed') return w.closed
  if (p.road !== 'refund' && (p.state === 'created' || p.state === 'open')) return w.open
  return w.moving
}
