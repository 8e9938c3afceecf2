// One rider, by number alone: block, group, wallet, passes, orders, and what the law lets
// them ask for.
import { html, signal, useMemo } from '../lib/html.js'
import { can, everywhere, get, post } from '../lib/api.js'
import { at, day, duration, money, when } from '../lib/format.js'
import { go, Link, staying } from '../lib/router.js'
import { Badge, Button, Card, Check, confirmAct, copy, DataTable, Empty, Field, KeyValue, Loaded, More, Page, ProblemBox, Select, Spinner, toast, useLoad, usePages } from '../lib/ui.js'
import { t, tCode } from '../lib/words.js'
import { save } from './archive.js'
import { Amount, DeviceLink, fenOf, lasted, newKey, OrderBadge, OrderLink, short, Yuan } from './desk.js'
import { RiderBadge } from './riders.js'
import { useVenues, Zone } from './office.js'
import '../words/orders.js'
import '../words/riders.js'

/** @param {{params: {id: string}}} props */
export default function Rider({ params: { id } }) {
  const path = '/riders/' + encodeURIComponent(id)
  const load = useLoad(abort => get(path, {}, abort), [id])
  const r = load.data
  if (id.startsWith('staff:')) return html`<${Page} title=${t('part.staff')}><${Card}><${Empty} icon="staff" title=${t('rider.staff')} /><//><//>`
  return html`<${Page} title=${t('rider.title', { id: short(id) })} sub=${r && html`<span class="row"><${RiderBadge} rider=${r} />${r.group && html`<span class="quiet">${r.group}</span>`}</span>`}
      actions=${r && can('finance') && !r.erased_at && html`<${Block} rider=${r} path=${path} again=${load.reload} />`}>
    <${Loaded} load=${load}>${rider => html`<${Body} rider=${rider} path=${path} again=${load.reload} />`}<//>
  <//>`
}

function Block({ rider: r, path, again }) {
  const blocked = !r.blocked
  const act = () => confirmAct({ title: t(blocked ? 'rider.block' : 'rider.unblock'), text: t(blocked ? 'rider.block.text' : 'rider.unblock.text'), reason: true, danger: blocked, curl: { method: 'POST', path: path + '/block', body: { blocked } },
    run: async reason => { await post(path + '/block', { blocked, reason }); return true } }).then(done => { if (done) { toast(t(blocked ? 'riders.state.blocked' : 'rider.unblock')); again() } })
  return html`<${Button} icon=${blocked ? 'blocked' : 'ok'} kind=${blocked ? '' : 'primary'} onClick=${act}>${t(blocked ? 'rider.block' : 'rider.unblock')}<//>`
}

function Body({ rider: r, path, again }) {
  return html`<div class="cols"><div class="stack"><${Orders} id=${r.id} /><${Passes} path=${path} rider=${r} /></div>
    <div class="stack"><${Facts} rider=${r} path=${path} again=${again} /><${Wallet} rider=${r} path=${path} />${can('admin') && everywhere() && html`<${Privacy} rider=${r} path=${path} again=${again} />`}</div></div>`
}

function Facts({ rider: r, path, again }) {
  const group = () => {
    const draft = signal(r.group ?? '')
    const body = () => ({ group: draft.value.trim() })
    confirmAct({ title: t('rider.group.set'), text: t('rider.group.text'), reason: true, curl: { method: 'POST', path: path + '/group', get body() { return body() } },
      children: html`<${Text} label=${t('rider.group.name')} draft=${draft} pattern="[a-z0-9_\\-]{0,32}" title=${t('rider.group.invalid')} />`,
      run: async reason => { await post(path + '/group', { ...body(), reason }); return true } }).then(done => { if (done) { toast(t('rider.group.set')); again() } })
  }
  return html`<${Card} title=${t('rider.facts')} actions=${html`<${Zone} />${can('finance') && !r.erased_at && html`<${Button} small icon="edit" onClick=${group}>${t('rider.group.set')}<//>`}`}><${KeyValue} rows=${[
    [t('riders.number'), html`<span class="mono">${r.id}</span> <${Button} kind="quiet" small icon="copy" label=${t('part.copy')} onClick=${() => copy(r.id)} />`],
    [t('rider.since'), at(r.since)],
    r.erased_at && [t('rider.erased.at'), at(r.erased_at)],
    [t('riders.group'), r.group || t('riders.everybody')],
  ]} /><//>`
}

const Text = ({ label, draft, ...more }) => html`<${Field} label=${label} value=${draft.value} onInput=${v => { draft.value = v }} autocomplete="off" spellcheck="false" ...${more} />`

function Wallet({ rider: r, path }) {
  const load = useLoad(abort => can('finance') ? get(path + '/wallet', {}, abort) : Promise.resolve(null), [r.id])
  const credit = () => {
    const draft = signal(''), key = newKey()
    const body = () => ({ amount_fen: fenOf(draft.value) ?? 0 })
    confirmAct({ title: t('rider.topup'), text: t('rider.topup.text'), reason: true, curl: { method: 'POST', path: path + '/topups', get body() { return body() } },
      children: html`<${Yuan} label=${t('rider.topup.amount')} draft=${draft} least=${1} most=${1_000_000} wrong=${t('rider.amount.invalid')} />`,
      run: reason => post(path + '/topups', { ...body(), reason }, { key }) }).then(done => { if (done) { toast(t('rider.topup.done', { amount: money(done.amount_fen) })); load.reload() } })
  }
  if (!can('finance')) return html`<${Card} title=${t('rider.wallet')}><p class="quiet">${t('rider.wallet.role')}</p><//>`
  return html`<${Card} title=${t('rider.wallet')} actions=${!r.erased_at && html`<${Button} small icon="plus" onClick=${credit}>${t('rider.topup')}<//>`}>
    <${Loaded} load=${load}>${w => html`<${KeyValue} rows=${[[t('rider.balance'), html`<strong>${money(w.balance_fen)}</strong>`], [t('rider.held'), money(w.held_fen)], [t('rider.available'), money(w.available_fen)],
      w.debt_fen > 0 && [t('rider.debt'), html`<strong class="bad-text">${money(w.debt_fen)}</strong>`]]} />`}<//><//>`
}

const passState = p => p.revoked_at ? 'revoked' : Date.now() >= new Date(p.until).getTime() ? 'over' : Date.now() < new Date(p.from).getTime() ? 'ahead' : 'valid'
const passTones = { revoked: ['off', 'x'], over: ['off', 'clock'], ahead: ['busy', 'clock'], valid: ['ok', 'ok'] }

function Passes({ rider: r, path }) {
  const load = useLoad(async abort => (await get(path + '/passes', {}, abort)).passes, [r.id])
  const { name } = useVenues()
  const grant = async () => {
    const here = staying()
    const offers = (await get('/passes').catch(() => ({ passes: [] }))).passes, chosen = signal(offers[0]?.id ?? ''), key = newKey()
    if (!here()) return
    const done = await confirmAct({ title: t('rider.pass.grant'), text: t('rider.pass.grant.text'), reason: true, curl: { method: 'POST', path: path + '/passes', get body() { return { pass: chosen.value } } },
      children: html`<${Choose} label=${t('rider.pass.which')} chosen=${chosen} options=${offers.map(p => [p.id, `${p.name} · ${money(p.price_fen)} · ${name(p.venue)}`])} />`,
      run: reason => post(path + '/passes', { pass: chosen.value, reason }, { key }) })
    if (done) { toast(t('rider.pass.grant')); load.reload() }
  }
  const revoke = async p => {
    const done = await confirmAct({ title: t('rider.pass.revoke'), text: t('rider.pass.revoke.text', { name: p.name }), danger: true, reason: true, curl: { method: 'POST', path: `${path}/passes/${p.id}/revoke`, body: {} },
      run: reason => post(`${path}/passes/${p.id}/revoke`, { reason }) })
    if (done) { toast(t('rider.pass.state.revoked')); load.reload() }
  }
  return html`<${Card} flush=${load.data?.length > 0} title=${t('rider.passes')} actions=${can('finance') && !r.erased_at && html`<${Button} small icon="plus" onClick=${grant}>${t('rider.pass.grant')}<//>`}>
    <${ProblemBox} problem=${load.problem} retry=${load.reload} />
    ${load.data ? html`<${DataTable} label=${t('rider.passes')} rows=${load.data} empty=${html`<p class="quiet">${t('rider.passes.none')}</p>`} columns=${[
      { key: 'name', title: t('rider.pass'), render: p => html`<span class="two"><span>${p.name}</span><span>${name(p.venue)}</span></span>` },
      { key: 'state', title: t('part.state'), render: p => html`<${Badge} tone=${passTones[passState(p)][0]} icon=${passTones[passState(p)][1]} word=${t('rider.pass.state.' + passState(p))} />` },
      { key: 'until', title: t('rider.pass.until'), render: p => day(p.until) },
      { key: 'left', title: t('rider.pass.left'), wide: true, align: 'end', render: p => p.budget_ms ? duration(p.budget_left_ms) : '–' },
      { key: 'do', title: '', align: 'end', render: p => can('finance') && ['valid', 'ahead'].includes(passState(p)) && html`<${Button} small onClick=${() => revoke(p)}>${t('rider.pass.revoke')}<//>` },
    ]} />` : !load.problem && html`<${Spinner} />`}<//>`
}

const Choose = ({ label, chosen, options }) => html`<${Select} label=${label} value=${chosen.value} onChange=${v => { chosen.value = v }} required options=${options} />`

function Orders({ id }) {
  const list = usePages((cursor, abort) => get('/orders', { rider: id, cursor, limit: 20 }, abort), 'orders', [id])
  const columns = useMemo(() => [
    { key: 'state', title: t('part.state'), render: o => html`<${OrderBadge} order=${o} />` },
    { key: 'device', title: t('part.device'), render: o => html`<span class="two"><${DeviceLink} id=${o.device} /><span class="narrow-only">${when(o.created_at)}</span></span>` },
    { key: 'created_at', title: t('orders.began'), class: 'nowrap', wide: true, render: o => when(o.created_at) },
    { key: 'lasted', title: t('orders.lasted'), wide: true, align: 'end', render: o => lasted(o) || '–' },
    { key: 'pay_with', title: t('orders.paywith'), wide: true, render: o => tCode('pay', o.pay_with) },
    { key: 'amount', title: t('orders.amount'), align: 'end', render: o => html`<${Amount} order=${o} />` },
    { key: 'id', title: t('part.order'), wide: true, render: o => html`<${OrderLink} id=${o.id} />` },
  ], [t('part.state')])
  return html`<div><${ProblemBox} problem=${list.problem} retry=${list.reload} />
    ${list.data ? html`<${Card} flush=${list.rows.length > 0} title=${t('rider.orders')}><${DataTable} label=${t('rider.orders')} rows=${list.rows} onOpen=${o => go('/orders/' + o.id)} empty=${html`<${Empty} icon="order" title=${t('rider.orders.none')} />`} columns=${columns} />
      ${list.rows.length > 0 && html`<p class="hop-key"><${Link} to="/orders" query=${{ rider: id }}>${t('rider.orders.all')}<//></p>`}<${More} list=${list} /><//>` : list.loading && html`<${Spinner} />`}</div>`
}

function Privacy({ rider: r, path, again }) {
  const take = () => confirmAct({ title: t('rider.export'), text: t('rider.export.text'), reason: true, curl: { method: 'GET', path: path + '/export?reason=' + encodeURIComponent('…') },
    run: async reason => {
      const all = await get(path + '/export', { reason })
      save(new Blob([JSON.stringify(all, null, 2) + '\n'], { type: 'application/json' }), `rider-${r.id}.json`)
      return true
    } }).then(done => { if (done) toast(t('rider.export.done')) })
  const erase = () => {
    const forfeit = signal(false)
    const body = () => ({ ...(forfeit.value && { forfeit: true }) })
    confirmAct({ title: t('rider.erase'), text: t('rider.erase.text'), danger: true, reason: true, typed: r.id.slice(-8), curl: { method: 'POST', path: path + '/erase', get body() { return body() } },
      children: html`<${Forfeit} forfeit=${forfeit} />`,
      run: async reason => { await post(path + '/erase', { ...body(), reason }); return true } }).then(done => { if (done) { toast(t('rider.erase.done')); again() } })
  }
  return html`<${Card} title=${t('rider.privacy')}><p class="quiet">${t('rider.privacy.text')}</p><div class="actions start">
    <${Button} icon="export" onClick=${take}>${t('rider.export')}<//>${!r.erased_at && html`<${Button} icon="trash" class="bad-text" onClick=${erase}>${t('rider.erase')}<//>`}</div><//>`
}

const Forfeit = ({ forfeit }) => html`<${Check} label=${t('rider.erase.forfeit')} checked=${forfeit.value} onChange=${on => { forfeit.value = on }} />`
