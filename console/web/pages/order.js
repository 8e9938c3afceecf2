// One order: every step in words, the bill line by line with what proves it, its
// payments, and what staff may do now.
import { html, signal, useEffect } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { at, clock, duration, litres, money, number, when } from '../lib/format.js'
import { onUpdate } from '../lib/live.js'
import { Link } from '../lib/router.js'
import { Badge, Button, Card, confirmAct, copy, CurlButton, Icon, KeyValue, Loaded, Page, Timeline, toast, useLoad } from '../lib/ui.js'
import { has, t, tCode } from '../lib/words.js'
import { DeviceLink, fenOf, ItemsOf, Kind, lasted, newKey, OrderBadge, reasonOf, RiderLink, short, useStaff, VenueLink, Who, Yuan, yuanOf } from './desk.js'
import { decideRefund, isOwn, isStuck } from './orders.js'
import { useVenues, Zone } from './office.js'
import '../words/orders.js'
import '../words/order.js'

const over = o => o.state === 'settled' || o.state === 'voided'

/** @param {{params: {id: string}}} props */
export default function Order({ params: { id } }) {
  const load = useLoad(abort => get('/orders/' + encodeURIComponent(id), {}, abort), [id])
  const refunds = useLoad(async abort => {
    if (!can('finance')) return []
    return (await get('/refunds', { state: 'open', order: id, limit: 100 }, abort).catch(() => ({ refunds: [] }))).refunds
  }, [id])
  const o = load.data
  useEffect(() => {
    let timer = /** @type {any} */ (0)
    const soon = () => { clearTimeout(timer); timer = setTimeout(() => { load.reload(); refunds.reload() }, 250) }
    const cancel = onUpdate('order', u => { if (u.id === id) soon() })
    return () => { cancel(); clearTimeout(timer) }
  }, [id])
  const settling = o && o.state === 'settled' && (o.payments ?? []).some(p => !['paid', 'closed'].includes(p.state))
  const live = o && (!over(o) || settling || Boolean(refunds.data?.length))
  useEffect(() => { // what runs is read again by and by, for its figures and where updates are away
    if (!live) return
    const every = setInterval(() => { if (!document.hidden) { load.reload(); if (refunds.data?.length) refunds.reload() } }, 5000)
    return () => clearInterval(every)
  }, [live, id, refunds.data?.length])
  const again = () => { load.reload(); refunds.reload() }
  return html`<${Page} title=${t('bill.title', { id: short(id) })}
      sub=${o && html`<span class="row"><${OrderBadge} order=${o} />${o.refunded_fen > 0 && html`<${Badge} state="refunded" word=${t('orders.refunded', { amount: money(o.refunded_fen) })} />`}<${Kind} kind=${o.kind} /><${DeviceLink} id=${o.device} />${when(o.created_at)}</span>`}
      actions=${html`<span class="desk-only"><${CurlButton} path=${'/orders/' + id} /></span>${o && html`<${Acts} order=${o} again=${again} waiting=${refunds.data ?? []} />`}`}>
    <${Loaded} load=${load}>${order => html`<${Body} order=${order} refunds=${refunds} again=${again} />`}<//>
  <//>`
}

/* What staff may do. */

function Acts({ order: o, again, waiting }) {
  const path = '/orders/' + o.id
  const act = (name, more, word) => confirmAct({ title: t('bill.' + name), danger: true, reason: true, curl: { method: 'POST', path: `${path}/${name}`, body: {} },
    run: reason => post(`${path}/${name}`, { reason }), ...more }).then(done => { if (done) { toast(word ?? t('bill.' + name)); again() } })
  const decide = () => {
    const draft = signal(o.fuel ? yuanOf(Math.min(o.fuel.amount_fen, o.hold_fen)) : '')
    const body = reason => ({ amount_fen: fenOf(draft.value) ?? 0, ...(reason && { reason }) })
    return act('decide', { danger: false, text: t('bill.decide.text', { hold: money(o.hold_fen) }), curl: { method: 'POST', path: path + '/decide', get body() { return body('') } },
      children: html`${o.fuel && html`<${KeyValue} rows=${[[t('bill.device.said'), `${litres(o.fuel.millilitres)} · ${money(o.fuel.amount_fen)}`]]} />`}
        <${Yuan} label=${t('bill.refund.amount')} draft=${draft} least=${0} most=${o.hold_fen} wrong=${t('bill.decide.invalid', { most: yuanOf(o.hold_fen) })} />`,
      run: reason => post(path + '/decide', body(reason)) })
  }
  const pending = waiting.reduce((sum, r) => sum + r.amount_fen, 0), left = o.charged_fen + o.debt_fen - o.refunded_fen - pending
  return html`
    ${o.state === 'ended' && can('finance') && html`<${Button} kind="primary" icon="edit" onClick=${decide}>${t('bill.decide')}<//>`}
    ${['pending', 'unresolved'].includes(o.state) && can('field') && html`<${Button} icon="x" onClick=${() => act('void', { text: t('bill.void.text') })}>${t('bill.void')}<//>`}
    ${o.state === 'active' && can('field') && html`<${Button} icon="stop" onClick=${() => act('end', { text: t(o.kind === 'pump' ? 'bill.end.pump.text' : 'bill.end.text') })}>${t('bill.end')}<//>`}
    ${o.state === 'settled' && left > 0 && can('finance') && html`<${Button} kind="primary" icon="history" onClick=${() => refund(o, left).then(done => done && again())}>${t('bill.refund')}<//>`}`
}

/** Gives some of an order back; above the limit another person has to approve it. */
async function refund(o, left) {
  const draft = signal(''), key = newKey()
  const limit = signal(0) // none
  get('/settings').then(s => { limit.value = s.refund_alone_fen ?? 0 }, () => {})
  const body = reason => ({ order: o.id, amount_fen: fenOf(draft.value) ?? 0, ...(reason && { reason }) })
  const answer = await confirmAct({ title: t('bill.refund'), text: t('bill.refund.text.' + (o.pay_with === 'wallet' ? 'wallet' : 'wechat'), { most: money(left) }), reason: true,
    curl: { method: 'POST', path: '/refunds', get body() { return body('') } },
    children: html`<${RefundAmount} draft=${draft} limit=${limit} left=${left} />`,
    run: reason => post('/refunds', body(reason), { key }) })
  if (!answer) return false
  if (answer.state === 'waiting') toast(t('bill.refund.waits', { amount: money(answer.amount_fen) }), 'info')
  else toast(t('bill.refund.done', { amount: money(answer.amount_fen) }))
  return true
}

function RefundAmount({ draft, limit, left }) {
  const fen = fenOf(draft.value), second = limit.value > 0 && fen != null && fen > limit.value
  return html`<${Yuan} label=${t('bill.refund.amount')} draft=${draft} least=${1} most=${left} all=${t('bill.refund.all')} wrong=${t('bill.refund.invalid', { most: yuanOf(left) })}
    hint=${second ? html`<span class="with-icon"><${Icon} name="staff" />${t('bill.refund.second', { limit: money(limit.value) })}</span>` : null} />`
}

/* What happened. */

function Body({ order: o, refunds, again }) {
  const nothing = !o.quote?.lines?.length && !o.payments?.length && !refunds.data?.length && !(o.hold_fen > 0 && !over(o)) // two cards would say so
  return html`
    ${!over(o) && html`<${Next} order=${o} />`}
    ${o.unproven && html`<div class="next-step warn"><${Icon} name="warn" /><span>${t('bill.unproven')}</span></div>`}
    ${nothing ? html`<div class="stack">
      <${Card} title=${t('bill.timeline')} actions=${html`<${Zone} venue=${o.venue} />`}><${History} order=${o} /><p class="quiet">${t(over(o) ? 'bill.nothing' : 'bill.nothing.yet')}</p><//>
      <${ItemsOf} venue=${o.venue} mine=${i => i.order === o.id} deps=${[o.id, o.version]} />
    </div>` : html`<div class="cols">
      <div class="stack">
        <${Bill} order=${o} />
        ${(refunds.data ?? []).map(r => html`<${Waiting} key=${r.id} refund=${r} again=${again} />`)}
        <${Payments} order=${o} />
        <${ItemsOf} venue=${o.venue} mine=${i => i.order === o.id} deps=${[o.id, o.version]} />
      </div>
      <${Card} title=${t('bill.timeline')} actions=${html`<${Zone} venue=${o.venue} />`}><${History} order=${o} /><//>
    </div>`}
    <div class="gap-above"><${Facts} order=${o} /></div>`
}

function Next({ order: o }) {
  const { zone } = useVenues()
  const warn = ['unresolved', 'ended'].includes(o.state)
  const now = o.live ? `${litres(o.live.millilitres)} · ${money(o.live.amount_fen)}` : o.running ? money(o.running.fen) : ''
  return html`<div class=${'next-step' + (warn ? ' warn' : '')} role="status"><${Icon} name=${warn ? 'warn' : 'clock'} /><div class="grow">
    <strong>${tCode('next', o.next.what)}</strong>${o.next.due_at && html` <span class="quiet">${t('bill.due')} ${clock(o.next.due_at, zone(o.venue))} (${when(o.next.due_at)})</span>`}
    ${o.cancelling && html`<p>${t('bill.cancelling')}</p>`}
    ${now && html`<p>${t('bill.running')}: <strong>${now}</strong> <span class="quiet">${t('bill.running.text')}</span></p>`}</div></div>`
}

const tones = { executed: 'ok', device_ended: 'ok', captured: 'ok', decided: 'ok', resumed: 'ok', refused: 'bad', cannot_tell: 'bad', deadline: 'warn', give_up: 'warn', watchdog: 'warn', staff_ended: 'warn', fenced: 'off', cancelled: 'off' }
const icons = { executed: 'unlock', device_ended: 'lock', captured: 'check', decided: 'check', deadline: 'unknown', cannot_tell: 'unknown', ordered: 'order', authorised: 'order', staff_ended: 'staff', rider_ended: 'rider', pause_began: 'pause', resumed: 'play', give_up: 'x', fenced: 'shield', cancelled: 'x', refused: 'blocked', watchdog: 'clock' }

// stepWord finds the words of a step: what came before and the kind may have their own.
function stepWord(o, move) {
  const special = move.input === 'authorised' && o.pay_with === 'service' || move.input === 'captured' && o.pay_with === 'service' ? '.service'
    : move.input === 'authorised' && move.from === 'pending' ? '.paid'
    : move.input === 'refused' && /^failed/.test(o.reason ?? '') ? '.failed'
    : ['refused', 'give_up'].includes(move.input) && move.from === 'pending' ? '.pay'
    : move.input === 'ordered' && o.relay ? '.relay' : o.kind === 'pump' ? '.pump' : ''
  return has(`step.${move.input}${special}`) ? t(`step.${move.input}${special}`) : tCode('step', move.input)
}

// By says who or what is behind a step, with the way there.
function By({ order: o, by }) {
  const { who } = useStaff()
  if (!by) return null
  const proof = /^(?:beat\/)?([0-9a-f]{16})\/(\d+)$/.exec(by)
  if (proof) return html`<${Link} to=${'/devices/' + o.device} query=${{ tab: 'evidence' }} class="quiet" title=${by}>${t('step.by.evidence', { seq: number(Number(proof[2])), journal: proof[1].slice(0, 6) })}<//>`
  const fence = /^fence .*\/(\d+)$/.exec(by)
  if (fence) return html`<span class="quiet">${t('step.by.fence', { seq: fence[1] })}</span>`
  const staff = /^staff[: ](.+)$/.exec(by)
  if (staff) return html`<span class="quiet" title=${staff[1]}>${t('step.by.staff', { who: who(staff[1]) })}</span>`
  const payment = /^payment[: ](.+)$/.exec(by)
  if (payment) return html`<span class="quiet" title=${payment[1]}>${t('step.by.payment', { id: short(payment[1]) })}</span>`
  if (/^[a-z_]+$/.test(by) && by !== 'rider') return html`<span class="quiet">${t('step.by.rule')}</span>`
  if (/^rider/.test(by) || by === o.rider) return html`<span class="quiet">${t('step.by.rider')}</span>`
  return html`<span class="quiet">${by}</span>`
}

// actOf is the act of staff that a step was, whose reason the audit keeps.
const actOf = (o, m) => m.input === 'authorised' && o.pay_with === 'service' ? 'order.unlock' : { staff_ended: 'order.end', give_up: 'order.void', decided: 'order.decide' }[m.input]

// ofMoney are the acts on an order's money, which move no state of it.
const ofMoney = o => (o.acts ?? []).filter(a => /^(money|refund)\./.test(a.act))

// actWord says an act on an order's money in words, with the amount where it has one.
const actWord = a => {
  const key = 'act.' + a.act + (a.act === 'money.refund' && a.request ? '.second' : '')
  return has(key) ? t(key, { amount: money(a.amount_fen ?? 0) }) : tCode('act', a.act)
}

const actLooks = { 'money.refund': ['ok', 'history'], 'refund.ask': ['warn', 'clock'], 'refund.decline': ['off', 'x'], 'refund.fail': ['bad', 'x'] }

function History({ order: o }) {
  const { zone } = useVenues()
  const moves = (o.timeline ?? []).map((m, i, all) => {
    const before = i && new Date(m.at).getTime() - new Date(all[i - 1].at).getTime()
    const reason = m.state === 'voided' || m.input === 'staff_ended' ? reasonOf(o.reason) : ''
    const act = (o.acts ?? []).find(a => a.act === actOf(o, m) && a.reason)
    const badge = m.state === m.from ? '' : m.state === 'ended' ? t('bill.ended') : tCode('order.state', m.state)
    return { at: m.at, title: badge || t('order.state.' + o.state), tone: tones[m.input] ?? 'busy', icon: o.kind === 'pump' && ['lock', 'unlock'].includes(icons[m.input]) ? 'pump' : icons[m.input],
      time: html`<time datetime=${m.at} title=${m.at}>${clock(m.at, zone(o.venue))}${before ? html` <span class="quiet">+${duration(before)}</span>` : ''}</time>`,
      text: html`<span>${stepWord(o, m)}${reason && html` <strong>${t('step.why', { reason })}</strong>`}${act && html` <q class="said">${act.reason}</q>`}</span><span class="step-by"><${By} order=${o} by=${m.by} /></span>` }
  })
  const acts = ofMoney(o).map(a => {
    const [tone, icon] = actLooks[a.act] ?? ['busy', 'staff']
    return { at: a.at, title: t('act.money'), tone, icon, time: html`<time datetime=${a.at} title=${a.at}>${clock(a.at, zone(o.venue))}</time>`,
      text: html`<span>${actWord(a)}${a.reason && html` <q class="said">${a.reason}</q>`}</span><span class="step-by"><span class="quiet" title=${a.staff}>${t('step.by.staff', { who: a.name || short(a.staff) })}</span></span>` }
  })
  const steps = [...moves, ...acts].sort((a, b) => new Date(a.at).getTime() - new Date(b.at).getTime())
  return html`<${Timeline} steps=${steps} />`
}

/* Money. */

function Bill({ order: o }) {
  const lines = o.quote?.lines ?? [], sum = o.quote?.total_fen ?? 0
  if (!lines.length) return html`<${Card} title=${t('bill.bill')}><p class="quiet">${t(o.state === 'voided' ? 'line.void' : 'line.none')}</p>${o.hold_fen > 0 && !over(o) && html`<${KeyValue} rows=${[[t('line.held'), money(o.hold_fen)]]} />`}<//>`
  const final = ['ended', 'settled', 'voided'].includes(o.state) // till then it is what it would come to
  return html`<${Card} title=${t(final ? 'bill.bill' : 'bill.sofar')}>${!final && html`<p class="quiet">${t('bill.sofar.text')}</p>`}<table class="bill"><thead><tr><th scope="col">${t('line.what')}</th><th scope="col" class="end">${t('line.quantity')}</th><th scope="col" class="end far">${t('line.unit')}</th>
      <th scope="col" class="far">${t('line.evidence')}</th><th scope="col" class="end">${t('line.amount')}</th></tr></thead>
    <tbody>${lines.map((l, i) => html`<tr key=${i}><td><span class="two"><span>${tCode('line', l.kind)}${l.grade && ` ${l.grade}#`}</span><span>${l.kind === 'pass' ? l.note : has('measured.' + l.note) ? final && t('measured.' + l.note) : l.note}<${Tariff} name=${o.tariff?.name} line=${l} sep=${final && Boolean(l.note)} /></span></span></td>
      <td class="end">${quantity(o, l)}</td><td class="end far">${unit(l)}</td><td class="far"><${Refs} order=${o} refs=${l.evidence} /></td><td class="end">${money(l.amount_fen)}</td></tr>`)}</tbody>
    <tfoot>${[[t(final ? 'line.total' : 'orders.running'), sum], ...(over(o) ? [] : [[t('line.held'), o.hold_fen]]), [t('line.charged'), o.charged_fen, o.state === 'settled' && o.pay_with !== 'service'], [t('line.debt'), o.debt_fen, o.debt_fen > 0], [t('line.refunded'), -o.refunded_fen, o.refunded_fen > 0]]
      .filter(row => row[2] !== false).map(([word, fen]) => html`<tr key=${word}><td>${word}</td><td></td><td class="far"></td><td class="far"></td><td class="end">${money(fen)}</td></tr>`)}</tfoot>
  </table><//>`
}

function Tariff({ name, line, sep }) {
  const m = /^(.*)@(\d+)$/.exec(line.tariff ?? '')
  if (!m) return null
  return html`${sep && ' · '}<${Link} to="/tariffs" query=${{ id: m[1] }}>${t('bill.tariff.version', { name: name ?? m[1], version: m[2] })}<//>`
}

function quantity(o, l) {
  if (l.kind === 'fuel') return litres(l.quantity)
  if (l.kind === 'time') return html`${t('line.blocks', { n: l.quantity })}${o.tariff?.block_ms && html`<br /><small class="quiet">${duration(o.tariff.block_ms)}</small>`}`
  if (l.kind === 'reservation') return t('line.minutes', { n: l.quantity })
  return number(l.quantity)
}

const unit = l => l.unit_price ? t('line.perlitre', { price: '¥' + number(l.unit_price / 1000, 2) }) : money(l.unit_fen)

// Refs are the device's words that prove a line.
function Refs({ order: o, refs = [] }) {
  if (!refs.length) return html`<span class="quiet">–</span>`
  return html`<details class="refs"><summary>${t('line.pieces', { n: refs.length })}</summary><ul>${refs.map(ref => html`<li key=${ref}><${Link} to=${'/devices/' + o.device} query=${{ tab: 'evidence' }} class="mono">${ref}<//></li>`)}</ul></details>`
}

const paymentTones = { paid: 'ok', closed: 'off', abnormal: 'bad', confirmed: 'ok' }

function Payments({ order: o }) {
  const list = o.payments ?? []
  if (!list.length) return html`<p class="none-line quiet">${t(o.pay_with === 'wallet' ? 'payment.wallet' : 'payment.none')}</p>`
  return html`<${Card} title=${t('bill.payments')}><table class="bill"><tbody>${list.map(p => html`<tr key=${p.id}>
      <td><span class="two"><span>${tCode('payment', p.road)}</span><span class="mono" title=${p.id}>${short(p.id)}</span></span></td>
      <td><${Badge} state=${p.state} tone=${paymentTones[p.state] ?? 'busy'} icon=${p.state === 'paid' ? 'ok' : p.state === 'closed' ? 'x' : p.state === 'abnormal' ? 'bad' : 'clock'} word=${tCode('payment', p.state)} /></td>
      <td class="far">${when(p.done_at ?? p.created_at)}</td>
      <td class="end"><span class="amount">${p.road === 'refund' ? money(-p.moved_fen || -p.amount_fen) : money(p.moved_fen)}${p.moved_fen !== p.amount_fen && p.road !== 'refund' && html`<small class="quiet">/ ${money(p.amount_fen)}</small>`}</span></td></tr>`)}</tbody></table><//>`
}

function Waiting({ refund: r, again }) {
  const { zone } = useVenues()
  const decide = async act => { if (await decideRefund(r, act)) { toast(t('orders.refund.' + act)); again() } }
  const stuck = isStuck(r)
  return html`<${Card} title=${t(stuck ? 'bill.refund.stuck' : 'bill.refund.waiting')} actions=${html`<${Badge} state="waiting" />`}>
    ${stuck && html`<p>${t('orders.refund.stuck')}</p>`}
    <${KeyValue} rows=${[[t('line.amount'), money(r.amount_fen)], [t('part.reason'), r.reason], [t('orders.asked'), html`<${Who} id=${r.staff} />`], [t('part.when'), at(r.at, zone(r.venue))]]} />
    ${isOwn(r) ? html`<p class="quiet">${t('orders.refund.own')}</p>` : html`<div class="actions"><${Button} kind="primary" onClick=${() => decide('approve')}>${t('orders.refund.approve')}<//><${Button} onClick=${() => decide('decline')}>${t('orders.refund.decline')}<//></div>`}<//>`
}

function Facts({ order: o }) {
  const { zone } = useVenues(), tz = zone(o.venue)
  const preset = o.preset && [o.preset.grade && o.preset.grade + '#', o.preset.amount_fen && money(o.preset.amount_fen), o.preset.millilitres && litres(o.preset.millilitres)].filter(Boolean).join(' · ')
  return html`<${Card} title=${t('bill.facts')} actions=${html`<${Zone} venue=${o.venue} />`}><${KeyValue} rows=${[
    [t('part.order'), html`<span class="row"><span class="mono">${o.id}</span><${Button} kind="quiet" small icon="copy" label=${t('part.copy')} onClick=${() => copy(o.id)} /></span>`],
    [t('bill.device'), html`<${DeviceLink} id=${o.device} />${o.outlet > 1 && ' · ' + t(o.kind === 'pump' ? 'part.side.n' : 'part.outlet.n', { n: o.outlet })}`],
    [t('bill.venue'), html`<${VenueLink} id=${o.venue} />`],
    [t('bill.rider'), html`<${RiderLink} id=${o.rider} />`],
    [t('orders.paywith'), tCode('pay', o.pay_with)],
    preset && [t('bill.preset'), preset],
    [t('bill.created'), at(o.created_at, tz)],
    o.active_at && [t('bill.active'), at(o.active_at, tz)],
    o.ended_at && [t('bill.ended'), at(o.ended_at, tz)],
    o.done_at && [t('bill.done'), at(o.done_at, tz)],
    o.fuel ? [t('bill.flowed'), litres(o.fuel.millilitres)] : o.active_at && [t('bill.lasted'), lasted(o)],
    o.fuel?.limit_fen > 0 && [t('bill.limit'), money(o.fuel.limit_fen)],
    o.measured && [t('bill.measured'), has('measured.' + o.measured) ? t('measured.' + o.measured) : o.measured],
    o.reason && [t('bill.reason'), reasonOf(o.reason)],
    o.acts?.some(a => a.reason) && [t('bill.acts'), o.acts.filter(a => a.reason).map(a => html`<div key=${a.at + a.act}>${ofMoney(o).includes(a) && actWord(a) + ' '}<q class="said">${a.reason}</q> <span class="quiet">${a.name || a.staff} · ${when(a.at, tz)}</span></div>`)],
    o.tariff && [t('bill.tariff'), html`<${Link} to="/tariffs" query=${{ id: o.tariff.id }}>${t('bill.tariff.version', { name: o.tariff.name, version: o.tariff.version })}<//>`],
    o.command && [t('bill.command'), html`<${Link} to=${'/devices/' + o.device} query=${{ tab: 'commands' }}>${t('bill.command.n', { n: number(o.seq) })}<//>`],
    o.spans?.length > 0 && [t('bill.spans'), o.spans.map(s => html`<div key=${s.boot + s.from_ms} class="quiet">${t('bill.span', { boot: s.boot.slice(0, 6), from: duration(s.from_ms), to: duration(s.to_ms) })}</div>`)],
    o.evidence?.length > 0 && [t('line.evidence'), html`<${Refs} order=${o} refs=${o.evidence} />`],
  ]} /><//>`
}
