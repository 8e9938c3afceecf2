// What an order came to, line by line, and where the money is.
import { drawing, h } from './page.js'
import { clock, has, litres, stamp, t, yuan } from './words.js'

// A block of time has a length as long as the tariff is the one that the page knows.
const note = {
  time(l, view) {
    const minutes = view.tariff === l.tariff && view.block_ms / 60000
    return minutes && minutes % 1 === 0 ? t(minutes === 1 ? 'lineMinute' : 'lineBlock', l.quantity, yuan(l.unit_fen), minutes)
      : t('lineTimeText', l.quantity, yuan(l.unit_fen))
  },
  fuel: l => `${l.grade}#, ${t('perL', litres(l.quantity), yuan(l.unit_price / 10))}`,
}

const row = (text, small, amount, kind = '') => h('li' + kind, {}, h('span', {}, text, small && h('small', {}, small)), h('span', {}, yuan(amount)))

// money is what a payment moved, by its own state: one that was closed moved nothing,
// whatever was asked for.
function money(p, settled) {
  if (p.road === 'refund') {
    if (p.state === 'abnormal') return row(t('stuck'), null, p.amount_fen, '.bad')
    return p.state === 'paid' ? row(t('backDone'), null, p.moved_fen, '.good') : p.state !== 'closed' && row(t('back'), null, p.amount_fen, '.good')
  }
  if (p.moved_fen > 0) return row(t(p.road === 'score' ? 'collected' : 'youPaid'), null, p.moved_fen)
  return settled && p.road === 'score' && ['confirmed', 'completing', 'collecting'].includes(p.state) && row(t('collect'), null, p.amount_fen)
}

// paused says how long the lock was shut in between, and whether that ended the use.
function paused(timeline) {
  let since, all = 0
  for (const { input, at } of timeline) {
    if (input === 'pause_began') since = Date.parse(at)
    if (input === 'resumed') { all += Date.parse(at) - since; since = null }
  }
  return [all > 0 && t('pausedFor', clock(all + 999)), since && t('pausedEnd')].filter(Boolean).map(text => h('p.note', {}, text))
}

// receipt is the screen of an order that is over; view is what the page knows of the
// device.
export function receipt(o, view) {
  const from = stamp(o.active_at ?? o.created_at), to = stamp(o.ended_at ?? o.created_at)
  const q = o.quote, timeline = o.timeline ?? [], settled = o.state === 'settled', why = `why_${o.unproven ? 'unproven' : o.reason}`
  const payments = [...o.payments ?? []].sort((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at))
  const proof = [...new Set(q.lines.flatMap(l => l.evidence ?? []))]
  const moved = [
    o.pay_with === 'wallet' && o.hold_fen > o.charged_fen && row(t('released'), null, o.hold_fen - o.charged_fen),
    o.debt_fen > 0 && row(t('debt'), null, o.debt_fen, '.bad'),
    o.refunded_fen > 0 && row(t('refunded'), null, -o.refunded_fen),
    ...payments.map(p => money(p, settled)),
  ]
  return [
    settled ? [h('h2.good', {}, drawing('done'), t('receipt')), h('p.figures', {}, yuan(q.total_fen)),
      h('p.note', {}, t('from', from, from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to)), paused(timeline),
      h('ul.lines', {}, q.lines.map(l => row(t(`line_${l.kind}`), note[l.kind]?.(l, view), l.amount_fen)), row(t('total'), t(`payer_${o.pay_with}`), q.total_fen, '.sum'))]
      : [h('h2', {}, drawing('none'), t('none')), h('p', {}, t(has(why) ? why : 'why_notStarted'))],
    h('ul.lines.money', {}, moved),
    proof.length > 0 && h('details', {}, h('summary', {}, t('proof')), h('p', {}, t('proofText', q.lines[0].tariff)),
      h('ul.code', {}, proof.map(e => h('li', {}, e)))),
    h('details', {}, h('summary', {}, t('log')), h('ol.log', {}, timeline.map(m => h('li', {}, h('time', {}, stamp(m.at)), t(has('in_' + m.input) ? 'in_' + m.input : m.state))))),
  ]
}
