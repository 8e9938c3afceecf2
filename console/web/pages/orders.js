// Orders: every one by filters that live in the address, those that need a person, and
// the refunds that wait for a second one.
import { html, useEffect, useRef, useState } from '../lib/html.js'
import { can, get, me, post } from '../lib/api.js'
import { money, when } from '../lib/format.js'
import { kinds } from '../lib/fleet.js'
import { onUpdate } from '../lib/live.js'
import { go, useQuery } from '../lib/router.js'
import { Button, Card, confirmAct, DataTable, Empty, Field, Icon, More, Page, ProblemBox, Select, Spinner, Tabs, toast, useLoad, usePages } from '../lib/ui.js'
import { t, tCode } from '../lib/words.js'
import { Amount, daysOf, DeviceLink, Filters, kindIcon, lasted, OrderBadge, OrderLink, RiderLink, VenueLink, Who } from './desk.js'
import { Download, useVenues } from './office.js'
import '../words/orders.js'

const states = ['pending', 'starting', 'unresolved', 'active', 'ended', 'settled', 'voided']
const filters = ['state', 'venue', 'kind', 'device', 'rider', 'from', 'to']

/** @param {{query: Record<string, string>}} props */
export default function Orders({ query }) {
  const [, setQuery] = useQuery()
  const tab = ['review', 'refunds'].includes(query.tab) ? query.tab : 'all'
  const waiting = useLoad(abort => can('finance') ? get('/refunds', { state: 'open', limit: 100 }, abort) : Promise.resolve({ refunds: [] }), [])
  const refunds = waiting.data?.refunds ?? []
  return html`<${Page} title=${t('orders.title')} actions=${tab !== 'refunds' && html`<${Download} path="/orders.csv" params=${asked(query, tab)} name="orders.csv">${t('part.csv')}<//>`}>
    <${Tabs} label=${t('orders.title')} value=${tab} onChange=${to => setQuery({ tab: to === 'all' ? '' : to })}
      tabs=${[{ value: 'all', word: t('orders.all') }, { value: 'review', word: t('orders.review') }, ...(can('finance') ? [{ value: 'refunds', word: t('orders.refunds'), count: refunds.length || undefined }] : [])]} />
    ${tab === 'refunds' ? html`<${Refunds} load=${waiting} refunds=${refunds} />` : html`<${List} query=${query} setQuery=${setQuery} tab=${tab} />`}
  <//>`
}

const asked = (query, tab) => ({ ...Object.fromEntries(filters.map(f => [f, query[f]])), ...daysOf(query), review: tab === 'review' ? true : undefined })

/** @param {{query: Record<string, string>, setQuery: any, tab: string}} props */
function List({ query, setQuery, tab }) {
  const venues = useVenues()
  const params = asked(query, tab), review = tab === 'review'
  const list = usePages((cursor, abort) => get('/orders', { ...params, cursor, limit: 50 }, abort), 'orders', [JSON.stringify(params)])
  useFresh('order', list.reload, () => list.rows.length <= 50)
  const set = name => value => setQuery({ [name]: value.trim() })
  const filtered = filters.some(f => query[f])
  return html`
    ${review && html`<p class="lead">${t('orders.review.text')}</p>`}
    <${Filters} active=${filters.filter(f => query[f]).length}>
      ${!review && html`<${Select} label=${t('part.state')} value=${query.state} onChange=${set('state')} options=${[['', t('part.any')], ...states.map(s => [s, t('order.state.' + s)])]} />`}
      <${Select} label=${t('part.kind')} value=${query.kind} onChange=${set('kind')} options=${[['', t('part.any')], ...kinds.map(k => [k, tCode('kind', k)])]} />
      ${venues.venues.length > 1 && html`<${Select} label=${t('part.venue')} value=${query.venue} onChange=${set('venue')} options=${venues.options(t('part.any'))} />`}
      <${Typed} label=${t('part.device')} value=${query.device} onSet=${set('device')} pattern="[A-Za-z0-9_\\-]{1,24}" placeholder="bike-001" />
      <${Typed} label=${t('orders.filter.rider')} value=${query.rider} onSet=${set('rider')} pattern="[A-Za-z0-9:_\\-]{1,64}" />
      <span class="pair"><${Field} type="date" label=${t('part.from')} value=${query.from} max=${query.to} onInput=${set('from')} />
      <${Field} type="date" label=${t('part.to')} value=${query.to} min=${query.from} onInput=${set('to')} /></span>
      ${filtered && html`<${Button} kind="quiet" icon="x" class="at-foot" onClick=${() => setQuery(Object.fromEntries(filters.map(f => [f, ''])))}>${t('part.clear')}<//>`}
    <//>
    <${ProblemBox} problem=${list.problem} retry=${list.reload} />
    ${list.data ? html`<${Card} flush><${DataTable} label=${t('orders.title')} columns=${columns(review)} rows=${list.rows} onOpen=${o => go('/orders/' + o.id)}
      empty=${html`<${Empty} icon=${review ? 'ok' : 'order'} title=${t(review && !filtered ? 'orders.none.review' : 'orders.none')} />`} /><${More} list=${list} /><//>` : list.loading && html`<${Spinner} />`}`
}

// Typed is a filter that is set when it is left or sent, not with every key.
function Typed({ label, value, onSet, ...more }) {
  const [text, setText] = useState(value ?? '')
  useEffect(() => setText(value ?? ''), [value])
  const send = e => { if (e.currentTarget.checkValidity()) onSet(e.currentTarget.value) }
  return html`<${Field} label=${label} value=${text} onInput=${setText} autocomplete="off" spellcheck="false" ...${more} onChange=${send}
    onKeyDown=${e => { if (e.key === 'Enter') { e.preventDefault(); send(e) } }} />`
}

const columns = review => [
  { key: 'state', title: t('part.state'), render: o => html`<${OrderBadge} order=${o} />`, sort: o => o.state },
  ...(review ? [{ key: 'why', title: t('orders.why'), render: o => t('orders.why.' + (['unresolved', 'ended'].includes(o.state) ? o.state : 'item')), wide: true }] : []),
  { key: 'device', title: t('part.device'), class: 'nowrap', render: o => html`<span class="with-icon" title=${tCode('kind', o.kind)}><${Icon} name=${kindIcon(o.kind)} label=${tCode('kind', o.kind)} /><span class="two"><${DeviceLink} id=${o.device} /><span class="narrow-only">${when(o.created_at)}</span></span></span>`, sort: o => o.device },
  { key: 'created_at', title: t('orders.began'), class: 'nowrap', wide: true, render: o => when(o.created_at), sort: true },
  { key: 'venue', title: t('part.venue'), render: o => html`<${VenueLink} id=${o.venue} />`, sort: true, wide: true },
  { key: 'rider', title: t('part.rider'), render: o => html`<${RiderLink} id=${o.rider} />`, wide: true },
  { key: 'pay_with', title: t('orders.paywith'), render: o => tCode('pay', o.pay_with), wide: true },
  { key: 'lasted', title: t('orders.lasted'), align: 'end', render: o => lasted(o) || '–', wide: true },
  { key: 'amount', title: t('orders.amount'), align: 'end', wide: review, render: o => html`<${Amount} order=${o} />`, sort: o => o.quote?.total_fen ?? 0 },
  { key: 'id', title: t('part.order'), wide: true, render: o => html`<${OrderLink} id=${o.id} />` },
]

/** Reads a list again some moments after an update of a type, as long as that loses nothing. */
export function useFresh(type, reload, may = () => true) {
  const latest = useRef(/** @type {any} */ (null))
  latest.current = { reload, may }
  useEffect(() => {
    let timer = /** @type {any} */ (0)
    const cancel = onUpdate(type, () => {
      if (timer) return
      timer = setTimeout(() => { timer = 0; if (!document.hidden && latest.current.may()) latest.current.reload() }, 1500)
    })
    return () => { cancel(); clearTimeout(timer) }
  }, [type])
}

/** Whether who is signed in asked for a refund. @param {any} r */
export const isOwn = r => r.staff === me.value?.id

/** Whether a refund was approved, and an outage kept its money from moving. @param {any} r */
export const isStuck = r => r.state === 'approved' && !r.given_at

/** Approves or declines a refund that waits. @param {any} r @param {'approve' | 'decline'} act */
export const decideRefund = (r, act) => {
  return confirmAct({ title: t('orders.refund.' + act), text: t(`orders.refund.${act}.text`, { amount: money(r.amount_fen) }), danger: act === 'decline', reason: act === 'decline',
    ...(act === 'decline' && { curl: { method: 'POST', path: `/refunds/${r.id}/${act}`, body: {} } }), // no key may approve
    run: async reason => { await post(`/refunds/${r.id}/${act}`, reason ? { reason } : undefined); return true } })
}

function Refunds({ load, refunds }) {
  const settings = useLoad(abort => get('/settings', {}, abort).catch(() => null), [])
  const limit = settings.data?.refund_alone_fen
  const decide = async (r, act) => { if (await decideRefund(r, act)) { toast(t('orders.refund.' + act)); load.reload() } }
  return html`<p class="lead">${limit ? t('orders.refunds.text', { amount: money(limit) }) : t('orders.refunds.text.any')}</p>
    <${ProblemBox} problem=${load.problem} retry=${load.reload} />
    ${load.data ? html`<${Card} flush><${DataTable} label=${t('orders.refunds')} rows=${refunds} onOpen=${r => go('/orders/' + r.order)} empty=${html`<${Empty} title=${t('orders.refunds.none')} />`} columns=${[
      { key: 'order', title: t('part.order'), render: r => html`<${OrderLink} id=${r.order} />` },
      { key: 'amount_fen', title: t('orders.amount'), align: 'end', render: r => money(r.amount_fen), sort: true },
      { key: 'reason', title: t('part.reason'), render: r => html`${r.reason}${isStuck(r) && html`<br /><span class="quiet">${t('orders.refund.stuck')}</span>`}` },
      { key: 'staff', title: t('orders.asked'), render: r => html`<${Who} id=${r.staff} />`, wide: true },
      { key: 'at', title: t('part.when'), render: r => when(r.at), wide: true },
      { key: 'do', title: '', align: 'end', render: r => isOwn(r) ? html`<span class="quiet">${t('orders.refund.own')}</span>` : html`<span class="actions">
        <${Button} small kind="primary" onClick=${() => decide(r, 'approve')}>${t('orders.refund.approve')}<//><${Button} small onClick=${() => decide(r, 'decline')}>${t('orders.refund.decline')}<//></span>` },
    ]} /><//>` : !load.problem && html`<${Spinner} />`}`
}
