// All orders, newest first.

import { day, yuan } from '../lib/format'
import { Screen } from '../lib/screen'
import { pages } from '../lib/unlatch'
import type { Order } from '../lib/shapes'

export class HistoryScreen extends Screen {
  private orders: Order[] = []
  private next: string | undefined

  override words() {
    const t = this.app.t
    return { title: t.history.title, t: { history: t.history } }
  }

  override async open(): Promise<void> {
    this.show({ loaded: false, rows: [], more: false })
    await this.load()
  }

  private async load(): Promise<void> {
    const page = await this.app.api.orders(this.next)
    this.orders.push(...page.items)
    this.next = page.next
    const t = this.app.t
    this.show({
      loaded: true,
      more: this.next !== undefined,
      rows: this.orders.map((o) => ({
        id: o.id,
        title: `${t.common[o.kind]} ${o.device}`,
        at: day(o.created_at),
        amount: o.state === 'settled' ? yuan(o.quote.total_fen) : o.state === 'voided' ? t.history.free : t.history.running,
      })),
    })
  }

  protected override async act(what: string, value: string): Promise<void> {
    switch (what) {
      case 'retry':
      case 'more':
        return this.load()
      case 'order':
        return this.app.platform.go(pages.order, { id: value })
    }
  }
}
