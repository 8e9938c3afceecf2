// What staff must look at, by kind: what each means, what to do, who looks after it.
import { html, signal, useMemo } from '../lib/html.js'
import { can, get, me, post } from '../lib/api.js'
import { age, tick, when } from '../lib/format.js'
import { go, useQuery } from '../lib/router.js'
import { Badge, Button, Card, confirmAct, DataTable, Empty, Page, ProblemBox, Select, Spinner, Tabs, toast, useLoad } from '../lib/ui.js'
import { has, t, tCode } from '../lib/words.js'
import { DeviceLink, Filters, OrderLink, Says, useStaff, VenueLink, Who } from './desk.js'
import { useFresh } from './orders.js'
import { Download, useVenues } from './office.js'
import '../words/items.js'

const keys = ['kind', 'venue', 'owner']

// The order in which kinds are looked at: danger, money, riders, hardware, the rest.
const gravity = ['emergency_stop', 'alarm', 'bill_needs_decision', 'refund_stuck', 'payment_mismatch', 'wechat_setup', 'disk_low', 'voided_without_proof', 'outcome_unknown', 'executed_after_void', 'totaliser_gap', 'fuel_unbilled', 'fault_reported']
const rank = kind => { const i = gravity.indexOf(kind); return i < 0 ? gravity.length : i }
const grave = new Set(gravity.slice(0, 7))

/** @param {{query: Record<string, string>}} props */
export default function Items({ query }) {
  const [, setQuery] = useQuery()
  const venues = useVenues(), all = query.all === '1'
  const load = useLoad(async abort => (await get('/open-items', { all: all || undefined, venue: query.venue, limit: 500 }, abort)).items ?? [], [all, query.venue])
  const { staff } = useStaff()
  useFresh('item', load.reload)
  const items = load.data ?? []
  const kinds = [...new Set(items.map(i => i.kind))].sort((a, b) => rank(a) - rank(b))
  const found = useMemo(() => items.filter(i => (!query.kind || i.kind === query.kind) && (!query.owner || (query.owner === 'nobody' ? !i.owner : i.owner === (query.owner === 'me' ? me.value?.id : query.owner)))), [items, query.kind, query.owner])
  const groups = kinds.map(kind => ({ kind, rows: found.filter(i => i.kind === kind) })).filter(g => g.rows.length)
  const set = name => v => setQuery({ [name]: v })
  return html`<${Page} title=${t('items.title')} sub=${load.data && html`<span class="quiet">${t('items.count', { n: found.length })}</span>`}
      actions=${html`<${Download} path="/open-items.csv" params=${{ all: all || undefined, kind: query.kind, venue: query.venue }} name="open-items.csv">${t('part.csv')}<//>`}>
    <${Tabs} label=${t('items.title')} value=${all ? '1' : ''} onChange=${set('all')} tabs=${[{ value: '', word: t('items.open') }, { value: '1', word: t('items.all') }]} />
    <${Filters} active=${keys.filter(k => query[k]).length}>
      <${Select} label=${t('part.kind')} value=${query.kind} onChange=${set('kind')} options=${[['', t('part.any')], ...new Set([...kinds, ...(query.kind ? [query.kind] : [])])].map(k => Array.isArray(k) ? k : [k, tCode('item', k)])} />
      ${venues.venues.length > 1 && html`<${Select} label=${t('part.venue')} value=${query.venue} onChange=${set('venue')} options=${venues.options(t('part.any'))} />`}
      <${Select} label=${t('items.owner.filter')} value=${query.owner} onChange=${set('owner')} options=${[['', t('part.any')], ['me', t('items.owner.mine')], ['nobody', t('items.owner.nobody')], ...staff.filter(s => s.id !== me.value?.id).map(s => [s.id, s.name])]} />
      ${keys.some(k => query[k]) && html`<${Button} kind="quiet" icon="x" class="at-foot" onClick=${() => setQuery(Object.fromEntries(keys.map(k => [k, ''])))}>${t('part.clear')}<//>`}
    <//>
    <${ProblemBox} problem=${load.problem} retry=${load.reload} />
    ${!load.data ? load.loading && html`<${Spinner} />` : groups.length === 0 ? html`<${Card}><${Empty} title=${t('items.none')} text=${t('items.none.text')} /><//>`
      : html`<div class="item-list">${groups.map(g => html`<${Group} key=${g.kind} kind=${g.kind} rows=${g.rows} staff=${staff} again=${load.reload} />`)}</div>`}
  <//>`
}

/** @param {{kind: string, rows: any[], staff: any[], again: () => void}} props */
function Group({ kind, rows, staff, again }) {
  const words = part => has(`item.${kind}.${part}`) ? t(`item.${kind}.${part}`) : t('item.other.' + part)
  return html`<section class="card flush item-card" aria-label=${tCode('item', kind)}>
    <header><h2>${tCode('item', kind)}</h2><${Badge} state="open" tone=${grave.has(kind) ? 'bad' : 'warn'} icon=${grave.has(kind) ? 'bad' : 'warn'} word=${t('items.count', { n: rows.length })} /></header>
    <p class="means">${words('means')}</p><p class="todo"><strong>${t('items.todo')}:</strong> ${words('todo')}</p>
    <${DataTable} label=${tCode('item', kind)} rows=${rows} onOpen=${i => i.order ? go('/orders/' + i.order) : i.device ? go('/devices/' + i.device) : undefined} columns=${[
      { key: 'what', title: t('items.subject'), class: 'widest', render: i => html`<span class="two">${i.device || i.order ? html`<span class="row">${i.device && html`<${DeviceLink} id=${i.device} />`}${i.order && html`<${OrderLink} id=${i.order} />`}</span>` : html`<span class="mono">${i.subject}</span>`}<${Says} item=${i} /><span class="narrow-only"><${Acts} item=${i} staff=${staff} again=${again} /></span></span>` },
      { key: 'venue', title: t('part.venue'), wide: true, class: 'nowrap', render: i => html`<${VenueLink} id=${i.venue} />`, sort: true },
      { key: 'at', title: t('items.age'), class: 'nowrap', render: i => i.closed_at ? html`<span class="two"><${Badge} state="closed" word=${t('items.state.closed')} /><span>${when(i.closed_at)}${i.closed_by && html` · <${Who} id=${i.closed_by} />`}</span></span>` : html`<time datetime=${i.at} title=${i.at}>${age((tick.value - new Date(i.at).getTime()) / 1000)}</time>`, sort: i => -new Date(i.at).getTime() },
      { key: 'owner', title: t('items.owner'), wide: true, render: i => i.owner ? i.owner_name ?? html`<${Who} id=${i.owner} />` : html`<span class="quiet">${t('items.owner.nobody')}</span>`, sort: i => i.owner_name ?? i.owner ?? null },
      { key: 'do', title: '', align: 'end', wide: true, render: i => html`<${Acts} item=${i} staff=${staff} again=${again} />` },
    ]} /></section>`
}

function Acts({ item: i, staff, again }) {
  if (i.closed_at || !can('field')) return null
  return html`<span class="actions">${i.owner === me.value?.id ? html`<${Button} small onClick=${() => assign(i, null, again)}>${t('items.release')}<//>` : html`<${Button} small onClick=${() => assign(i, me.value?.id, again)}>${t('items.take')}<//>`}
    ${staff.length > 1 && html`<${Button} small kind="quiet" icon="staff" label=${t('items.give')} onClick=${() => give(i, staff, again)} />`}
    <${Button} small icon="check" onClick=${() => close(i, again)}>${t('items.close')}<//></span>`
}

async function assign(i, staff, again) {
  try {
    await post(`/open-items/${i.id}/assign`, { staff })
    toast(t(staff ? 'items.assigned' : 'items.release'))
    again()
  } catch (p) { toast(/** @type {any} */ (p).detail || String(p), 'bad') }
}

async function give(i, staff, again) {
  const chosen = signal(i.owner ?? staff.find(s => s.id !== me.value?.id)?.id ?? '')
  const path = `/open-items/${i.id}/assign`
  const done = await confirmAct({ title: t('items.assign'), word: t('items.assign'), curl: { method: 'POST', path, get body() { return { staff: chosen.value } } },
    children: html`<${Whom} chosen=${chosen} staff=${staff} />`, run: async () => { await post(path, { staff: chosen.value }); return true } })
  if (done) { toast(t('items.assigned')); again() }
}

const Whom = ({ chosen, staff }) => html`<${Select} label=${t('items.owner')} value=${chosen.value} onChange=${v => { chosen.value = v }} options=${staff.filter(s => !s.disabled).map(s => [s.id, s.name])} />`

async function close(i, again) {
  const path = `/open-items/${i.id}/close`
  const done = await confirmAct({ title: t('items.close.title', { kind: tCode('item', i.kind) }), word: t('items.close'), text: t('items.close.text'), reason: true, curl: { method: 'POST', path, body: {} },
    run: async reason => { await post(path, { reason }); return true } })
  if (done) { toast(t('items.closed.done')); again() }
}
