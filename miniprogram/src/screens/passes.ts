// Passes: mine, and those on offer.

import { day, fill, span, yuan } from '../lib/format'
import { Screen } from '../lib/screen'
import type { Pass } from '../lib/shapes'

export class PassesScreen extends Screen {
  private offered: Pass[] = []

  override words() {
    const t = this.app.t
    return { title: t.passes.title, t: { passes: t.passes } }
  }

  override async open(): Promise<void> {
    this.show({ loaded: false, held: [], offers: [], say: '' })
    await this.load()
  }

  private async load(): Promise<void> {
    const t = this.app.t
    const { held, offered } = await this.app.api.passes()
    this.offered = offered
    this.show({
      loaded: true,
      held: held.map((p) => ({
        id: p.id,
        name: p.name,
        facts: [
          fill(t.passes.until, { time: day(p.until) }),
          ...(p.budget_left_ms !== undefined ? [fill(t.passes.left, { span: span(p.budget_left_ms / 1000, t) })] : []),
        ],
      })),
      offers: offered.map((p) => ({
        id: p.id,
        name: p.name,
        facts: this.facts(p),
        buy: fill(t.passes.buy, { amount: yuan(p.price_fen) }),
      })),
    })
  }

  private facts(p: Pass): string[] {
    const t = this.app.t
    const facts = [fill(t.passes.days, { n: p.days })]
    if (p.unlock_free) facts.push(t.passes.unlockFree)
    if (p.ride_free_ms) facts.push(fill(t.passes.rideFree, { span: span(p.ride_free_ms / 1000, t) }))
    if (p.budget_ms) facts.push(fill(t.passes.budget, { span: span(p.budget_ms / 1000, t) }))
    return facts
  }

  protected override async act(what: string, value: string): Promise<void> {
    const { t, platform: p, api } = this.app
    if (what === 'retry') return this.load()
    const pass = this.offered.find((o) => o.id === value)
    if (what !== 'buy' || !pass) return
    const key = p.random()
    const amount = yuan(pass.price_fen)
    if (
      !(await p.ask(
        fill(t.passes.ask, { name: pass.name }),
        fill(t.passes.askText, { amount, days: pass.days }),
        t.common.yes,
        t.common.no,
      ))
    )
      return
    await api.buyPass(pass.id, pass.price_fen, key)
    this.show({ say: t.passes.bought })
    return this.load()
  }
}
