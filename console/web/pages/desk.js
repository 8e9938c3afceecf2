// What the pages about devices, orders, riders and open items share: names of venues,
// links by id, states with their words, amounts typed in yuan, the bar of a command's hops.
import { html, signal, useEffect, useId, useState } from '../lib/html.js'
import { get, me } from '../lib/api.js'
import { absolute, age, duration, litres, money } from '../lib/format.js'
import { Link } from '../lib/router.js'
import { Badge, Button, Card, Icon, useLoad } from '../lib/ui.js'
import { has, language, t, tCode } from '../lib/words.js'
import { figuresOf } from './itemfigures.js'
import { style, useVenues } from './office.js'
import '../words/facts.js'
import '../words/items.js'

await style('./desk.css')

/** The names of the members of staff; empty until known. */
const members = signal(/** @type {any[]} */ ([]))
let askedStaff = 0

/**
 * Members of staff by name; the end of an id until they are known.
 * @returns {{staff: any[], who: (id?: string) => string}}
 */
export function useStaff() {
  useEffect(() => {
    if (Date.now() - askedStaff < 60_000) return
    askedStaff = Date.now()
    get('/staff/names').then(a => { members.value = a.staff }, () => { askedStaff = 0 })
  }, [])
  return { staff: members.value, who: id => !id ? '' : id === me.value?.id ? me.value?.name ?? id : members.value.find(s => s.id === id)?.name ?? short(id) }
}

/** A member of staff by name. @param {{id?: string}} props */
export const Who = ({ id }) => html`<span title=${id}>${useStaff().who(id)}</span>`

/** A venue by its name. @param {{id?: string}} props */
export function VenueLink({ id }) {
  const { name } = useVenues()
  if (!id) return html`<span class="quiet">–</span>`
  return html`<${Link} to=${'/venues/' + encodeURIComponent(id)}>${name(id)}<//>`
}

/** The end of a long id, which tells those of one minute apart. @param {string} id */
export const short = id => id.length > 12 ? '…' + id.slice(-8) : id

/** @param {{id?: string, children?: any}} props */
export function DeviceLink({ id, children }) {
  if (!id) return html`<span class="quiet">–</span>`
  return html`<${Link} to=${'/devices/' + encodeURIComponent(id)}>${children ?? id}<//>`
}

/** @param {{id?: string, children?: any}} props */
export function OrderLink({ id, children }) {
  if (!id) return html`<span class="quiet">–</span>`
  return html`<${Link} to=${'/orders/' + encodeURIComponent(id)} class="mono" title=${id}>${children ?? short(id)}<//>`
}

/** Whoever is behind an order: a rider, or staff who unlocked for service. @param {{id?: string}} props */
export function RiderLink({ id }) {
  if (!id) return html`<span class="quiet">–</span>`
  if (id.startsWith('staff:')) return html`<span class="with-icon" title=${id.slice(6)}><${Icon} name="staff" />${t('part.staff')}</span>`
  return html`<${Link} to=${'/riders/' + encodeURIComponent(id)} class="mono" title=${id}>${short(id)}<//>`
}

/** A kind that this console has no picture of is a device like any other. @param {string} kind */
export const kindIcon = kind => ({ lock: 'bike', pump: 'pump' })[kind] ?? 'device'

/** @param {{kind: string, long?: boolean}} props */
export function Kind({ kind, long }) {
  return html`<span class="with-icon"><${Icon} name=${kindIcon(kind)} />${!long && has(`kind.${kind}.short`) ? t(`kind.${kind}.short`) : tCode('kind', kind)}</span>`
}

/** @param {{order: any}} props */
export const OrderBadge = ({ order }) => html`<${Badge} state=${order.state} word=${tCode('order.state', order.state)} />`

const commandTones = { published: 'starting', unresolved: 'unresolved', executed: 'executed', rejected: 'rejected', not_executed: 'not_executed', outcome_unknown: 'unresolved', spent: 'executed' }

/** @param {{command: any}} props */
export const CommandBadge = ({ command }) => html`<${Badge} state=${commandTones[command.state] ?? 'unknown'} word=${tCode('command.state', command.state)} />`

/** A reason that the API gave as a stable word, in words. @param {string | undefined} code */
export function reasonOf(code) {
  if (!code || code === 'none') return ''
  const bare = code.replace(/^(failed|rejected)[_:/ ]+/, '')
  return has('reason.' + code) ? t('reason.' + code) : tCode('reason', bare)
}

// shownFigure says a figure of an item's detail by what the end of its name tells.
function shownFigure(name, value) {
  if (name.endsWith('_ml')) return litres(Number(value), 3)
  if (name.endsWith('_yuan')) return money(Math.round(Number(value) * 100))
  if (name.endsWith('_fen')) return money(Number(value))
  if (name.endsWith('_at')) return absolute(value)
  return name === 'word' ? tCode('evidence', value) : name === 'state' ? tCode('order.state', value) : value
}

/**
 * Says is what an open item says: in the language in use where its figures are understood,
 * the server's own words below; somebody's own words as they are.
 * @param {{item: {kind: string, detail: string}}} props
 */
export function Says({ item: { kind, detail } }) {
  if (!detail) return ''
  if (kind === 'fault_reported') { // its kind in words, then the rider's own
    const [, fault, text] = /^([a-z_]+)(?:: ([\s\S]*))?$/.exec(detail) ?? []
    return html`<span class="said">${fault ? [tCode('fault', fault), text].filter(Boolean).join(': ') : detail}</span>`
  }
  if (has('reason.' + detail)) return html`<span class="said">${reasonOf(detail)}</span>`
  const found = figuresOf(kind, detail)
  if (!found) return html`<span class="said">${detail}</span>`
  const shown = figures => Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, shownFigure(name, value)]))
  return html`<span class="said">${t('says.' + found.key, shown(found.figures))}${found.nozzles.map(n => html`<br />${t('says.nozzle', shown(n))}`)}
    ${language.value !== 'en' && html`<br /><small class="quiet" lang="en">${detail}</small>`}</span>`
}

/** A list's time span as the API takes it. @param {{from?: string, to?: string}} query days as 2026-11-23, in this browser's zone */
export function daysOf({ from, to }) {
  const start = day => { const d = new Date(day + 'T00:00'); return Number.isNaN(d.getTime()) ? null : d }
  const first = from && start(from), last = to && start(to)
  if (last) last.setDate(last.getDate() + 1)
  return { from: first ? first.toISOString() : undefined, to: last ? last.toISOString() : undefined }
}

/**
 * Fen of an amount in yuan as somebody types it; null where it is none.
 * @param {string} text such as 12, 12.5, 12,50
 */
export function fenOf(text) {
  const m = /^\s*[¥￥]?\s*(\d{1,7})(?:[.,](\d{1,2}))?\s*$/.exec(text)
  return m ? Number(m[1]) * 100 + Number((m[2] ?? '').padEnd(2, '0')) : null
}

/** An amount as it is typed. @param {number} fen */
export const yuanOf = fen => (fen / 100).toFixed(2)

/**
 * A field for an amount in yuan. What is no amount, or beyond the bounds, keeps its form
 * from being sent.
 * @param {{label: any, draft: import('@preact/signals').Signal<string>, least: number, most: number, wrong: string, hint?: any, all?: any}} props bounds in Fen
 */
export function Yuan({ label, draft, least, most, wrong, hint, all }) {
  const id = useId()
  const [left, setLeft] = useState(false)
  const fen = fenOf(draft.value), bad = fen == null || fen < least || fen > most
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <div class="row"><div class="field-box"><span class="unit" aria-hidden="true">¥</span><input id=${id} value=${draft.value} inputmode="decimal" autocomplete="off" required autofocus
        ref=${e => e?.setCustomValidity(bad ? wrong : '')} aria-invalid=${left && bad ? 'true' : undefined} aria-describedby=${id + 'h'}
        onInput=${e => { draft.value = e.currentTarget.value }} onBlur=${() => setLeft(true)} /></div>
      ${all && html`<${Button} onClick=${() => { draft.value = yuanOf(most) }}>${all}<//>`}</div>
    <p class=${left && bad && draft.value ? 'field-problem' : 'hint'} id=${id + 'h'}>${left && bad && draft.value ? wrong : hint}</p>
  </div>`
}

/** A key for one form, which makes its request harmless to repeat. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(b => b.toString(16).padStart(2, '0')).join('')
}

const hops = [['committed', 'committed_at'], ['handed', 'handed_at'], ['answered', 'answered_at'], ['acked', 'acked_at']]

/** The hops of a command that are known, with the milliseconds since the one before. @param {any} command */
export function hopsOf(command) {
  const h = command.hops ?? { committed_at: command.created_at, answered_at: command.done_at }
  let before = 0
  return hops.map(([name, field]) => {
    const at = h[field] ? new Date(h[field]).getTime() : 0
    const hop = { name, at, ms: at && before ? Math.max(0, at - before) : null }
    if (at) before = at
    return hop
  })
}

/**
 * The small bar of a command's hops: a part per hop, as wide as it took on a scale that
 * leaves the short ones visible, with the time to the device's answer beside it.
 * @param {{command: any}} props
 */
export function Hops({ command }) {
  const known = hopsOf(command).flatMap(({ name, ms }) => ms == null ? [] : [{ name, ms }])
  const sends = command.hops?.sends
  const said = [...known.map(h => `${t('hop.' + h.name)}: ${duration(h.ms)}`), sends > 1 && t('device.hops.sends', { n: sends })].filter(Boolean).join(' · ')
  if (!known.length) return html`<span class="quiet">${command.done_at ? '–' : t('device.hops.waiting')}</span>`
  const whole = known.reduce((sum, h) => sum + (h.name === 'acked' ? 0 : h.ms), 0) // to the device's answer, as everywhere; the ack is housekeeping
  return html`<span class="hops" title=${said}>
    <span class="hop-bar" role="img" aria-label=${said}>${known.map(h => html`<span key=${h.name} class=${'hop ' + h.name} style=${{ flexGrow: 1 + Math.sqrt(h.ms) }}></span>`)}</span>
    <span class="hop-time">${duration(whole)}</span>
  </span>`
}

/** What each colour of the bar is. */
export function HopKey() {
  return html`<p class="hop-key quiet">${hops.slice(1).map(([name]) => html`<span key=${name} class="with-icon"><span class=${'hop ' + name} aria-hidden="true"></span>${t('hop.' + name)}</span>`)}</p>`
}

/** How much a use was: litres of a pump, else how long; '' where it never began. @param {any} order */
export function lasted(order) {
  const ml = order.fuel?.millilitres ?? order.live?.millilitres
  if (order.kind === 'pump') return ml != null ? litres(ml) : ''
  if (order.billed_ms != null) return duration(order.billed_ms)
  if (!order.active_at) return ''
  return age((new Date(order.ended_at ?? Date.now()).getTime() - new Date(order.active_at).getTime()) / 1000)
}

/** What an order costs: its bill, or what it came to so far. @param {{order: any}} props */
export function Amount({ order }) {
  const total = order.quote?.total_fen ?? 0
  if (order.pay_with === 'service') return html`<span class="quiet">–</span>`
  if (order.state === 'settled') {
    return html`<span class="amount">${money(total)}${order.refunded_fen > 0 && html`<small class="quiet">${t('orders.refunded', { amount: money(order.refunded_fen) })}</small>`}${order.debt_fen > 0 && html`<small class="bad-text">${t('orders.debt', { amount: money(order.debt_fen) })}</small>`}</span>`
  }
  const now = order.live?.amount_fen ?? order.running?.fen
  if (order.state === 'active' && now != null) return html`<span class="amount quiet" title=${t('orders.running')}>≈ ${money(now)}</span>`
  return html`<span class="quiet">–</span>`
}

/**
 * A list's filters: in sight on a desk, behind a button on a phone.
 * @param {{active: number, children?: any}} props active: how many are set
 */
export function Filters({ active, children }) {
  const [open, setOpen] = useState(false)
  return html`<${Button} class="filter-fold" icon="filter" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>${t('part.filters')}${active > 0 && html` <span class="count">${active}</span>`}<//>
    <form class="filters" onSubmit=${e => e.preventDefault()}>${children}</form>`
}

/**
 * The open items of a venue that name one thing; nothing where there are none.
 * @param {{venue: string, mine: (item: any) => boolean, deps: any[]}} props deps: reads again when they change
 */
export function ItemsOf({ venue, mine, deps }) {
  const load = useLoad(async abort => (await get('/open-items', { venue, limit: 500 }, abort)).items.filter(mine), [venue, ...deps])
  if (!load.data?.length) return null
  return html`<${Card} title=${t('part.items')}><ul class="notes">${load.data.map(i => html`<li key=${i.id}><${Link} to=${i.kind === 'fault_reported' ? '/faults' : '/items'} query=${i.kind === 'fault_reported' ? { device: i.device } : { kind: i.kind, venue: i.venue }}>${tCode('item', i.kind)}<//>
    ${i.kind !== 'fault_reported' && html`<p class="quiet"><${Says} item=${i} /></p>`}</li>`)}</ul><//>`
}
