// What an order came to, line by line, and where the money is.
import { drawing, h } from './page.js'
import { has, hour, litres, t, yuan } from './words.js'

const note = {
  time: l => t('lineTimeText', l.quantity, yuan(l.unit_fen)),
  fuel: l => `${l.grade}#, ${t('perL', litres(l.quantity), yuan(l.unit_price / 10))}`,
}

const row = (text, small, amount, kind = '') => h('li' + kind, {}, h('span', {}, text, small && h('small', {}, small)), h('span', {}, yuan(amount)))

// receipt is the screen of an order that is over.
export function receipt(o) {
  const q = o.quote, settled = o.state === 'settled', why = `why_${o.unproven ? 'unproven' : o.reason}`
  const payments = [...o.payments ?? []].sort((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at))
  const proof = [...new Set(q.lines.flatMap(l => l.evidence ?? []))]
  const money = [
    o.pay_with === 'wallet' && o.hold_fen > o.charged_fen && row(t('released'), null, o.hold_fen - o.charged_fen),
    o.debt_fen > 0 && row(t('debt'), null, o.debt_fen, '.bad'),
    o.refunded_fen > 0 && row(t('refunded'), null, -o.refunded_fen),
    ...payments.map(p => p.road === 'refund' ? row(t(p.state === 'paid' ? 'backDone' : 'back'), null, p.amount_fen, '.good')
      : p.road === 'score' && settled ? row(t(p.state === 'paid' ? 'collected' : 'collect'), null, p.amount_fen)
        : p.state === 'paid' && row(t('youPaid'), null, p.moved_fen)),
  ]
  return [
    settled ? [h('h2.good', {}, drawing('done'), t('receipt')), h('p.figures', {}, yuan(q.total_fen)),
      h('p.note', {}, t('from', hour(o.active_at ?? o.created_at), hour(o.ended_at))),
      h('ul.lines', {}, q.lines.map(l => row(t(`line_${l.kind}`), note[l.kind]?.(l), l.amount_fen)), row(t('total'), t(o.pay_with), q.total_fen, '.sum'))]
      : [h('h2', {}, drawing('none'), t('none')), h('p', {}, t(has(why) ? why : 'why_notStarted'))],
    h('ul.lines.money', {}, money),
    proof.length > 0 && h('details', {}, h('summary', {}, t('proof')), h('p', {}, t('proofText', q.lines[0].tariff)),
      h('ul.code', {}, proof.map(e => h('li', {}, e)))),
    h('details', {}, h('summary', {}, t('log')), h('ol.log', {}, (o.timeline ?? []).map(m => h('li', {}, h('time', {}, hour(m.at)), t(m.state))))),
  ]
}
