// What an order cost, line by line, and why.

import { clock, fill, litres, unitPrice, yuan } from './format'
import type { Order, QuoteLine } from './shapes'
import type { Words } from './words'

export interface Line {
  title: string
  why: string
  amount: string
}

export interface Receipt {
  lines: Line[]
  total: string
  /** Amounts beneath the total: paid, to pay, given back. */
  sums: { title: string; amount: string }[]
  /** How it was measured and proved. */
  notes: string[]
}

export function lineOf(l: QuoteLine, t: Words): Line {
  const known = t.line as Record<string, string>
  const title = fill(known[l.kind] ?? t.line.other, { grade: l.grade ?? '' })
  const why = fill(known[`${l.kind}Why`] ?? l.note ?? '', {
    n: l.quantity,
    unit: yuan(l.unit_fen),
    volume: litres(l.quantity),
    price: unitPrice(l.unit_price ?? 0),
  })
  return { title, why, amount: yuan(l.amount_fen) }
}

export function receiptOf(o: Order, t: Words): Receipt {
  const sums: Receipt['sums'] = []
  const add = (title: string, fen: number) => fen > 0 && sums.push({ title, amount: yuan(fen) })
  add(t.order.paid, o.charged_fen)
  add(t.order.debt, o.debt_fen)
  add(t.order.refunded, o.refunded_fen)
  if (o.pay_with === 'wallet' && o.state === 'settled') add(t.order.wasHeld, o.hold_fen - o.charged_fen)
  const notes: string[] = []
  if (o.active_at && o.ended_at && o.kind === 'lock') {
    notes.push(`${t.order.duration} ${clock((Date.parse(o.ended_at) - Date.parse(o.active_at)) / 1000)}`)
  }
  if (o.fuel) notes.push(`${t.order.volume} ${litres(o.fuel.millilitres)}`)
  const how = o.measured ? (t.measured as Record<string, string>)[o.measured] : undefined
  if (how) notes.push(how)
  const proofs = new Set(o.quote.lines.flatMap((l) => l.evidence))
  if (proofs.size > 0) notes.push(fill(t.order.proof, { n: proofs.size }))
  const tariff = o.quote.lines[0]?.tariff
  if (tariff) notes.push(fill(t.order.tariff, { id: tariff }))
  return { lines: o.quote.lines.map((l) => lineOf(l, t)), total: yuan(o.quote.total_fen), sums, notes }
}

/** What goes back to the rider with WeChat, in sentences. */
export function refundsOf(o: Order, t: Words): string[] {
  return (o.payments ?? [])
    .filter((p) => p.road === 'refund')
    .map((p) => {
      const amount = yuan(p.amount_fen)
      if (p.state === 'paid') return fill(t.order.refundDone, { amount })
      if (p.state === 'abnormal' || p.state === 'closed') return fill(t.order.refundStuck, { amount })
      return fill(t.order.refundOpen, { amount })
    })
}
