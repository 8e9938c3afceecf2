// WeChat's bill held against the ledger, payments that do not get on, and what riders owe.
import { html, useState } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { day, money, number, when } from '../lib/format.js'
import { Link, go, useQuery } from '../lib/router.js'
import { Badge, Button, Card, DataTable, Empty, Loaded, More, Page, ProblemBox, Select, Tabs, confirmAct, exportCSV, toast, useLoad, usePages } from '../lib/ui.js'
import { Says } from './desk.js'
import { Figure, newKey } from './office.js'
import '../words/reconciliation.js'

/** @param {{query: Record<string, string>}} props */
export default function Reconciliation({ query }) {
  const [, setQuery] = useQuery()
  const tab = query.tab ?? 'bills'
  if (!can('finance')) return html`<${Page} title=${t('rec.title')}><${Empty} icon="reconciliation" title=${t('part.role')} /><//>`
  return html`<${Page} title=${t('rec.title')} sub=${t('rec.sub')}>
    <${Tabs} label=${t('rec.title')} value=${tab} onChange=${v => setQuery({ tab: v === 'bills' ? '' : v, state: null })} tabs=${[{ value: 'bills', word: t('rec.bills') }, { value: 'payments', word: t('rec.payments') }, { value: 'debts', word: t('rec.debts') }]} />
    ${tab === 'bills' && html`<${Bills} />`}${tab === 'payments' && html`<${Payments} query=${query} setQuery=${setQuery} />`}${tab === 'debts' && html`<${Debts} />`}
  <//>`
}

function Bills() {
  const load = useLoad(async abort => {
    const [bills, items] = await Promise.all([get('/bills', { limit: 92 }, abort), get('/open-items', { kind: 'bill_difference', limit: 500 }, abort)])
    return { days: bills.days, items: items.items }
  }, [])
  const tone = { matched: 'ok', differs: 'bad', waiting: 'busy' }
  return html`<${Loaded} load=${load}>${({ days, items }) => html`
    <div class="figures"><${Figure} label=${t('rec.differences')} value=${number(days.reduce((n, d) => n + d.differences, 0))} tone=${days.some(d => d.state === 'differs') ? 'bad' : ''} sub=${t('rec.open_items', { n: items.length })} />
      <${Figure} label=${t('rec.came')} value=${money(days.reduce((n, d) => n + d.came_fen, 0))} /><${Figure} label=${t('rec.went')} value=${money(days.reduce((n, d) => n + d.went_fen, 0))} />
      <${Figure} label=${t('rec.days')} value=${number(days.length)} /></div>
    <${Card} flush title=${t('rec.bills')} actions=${html`<${Button} small icon="import" onClick=${() => exportCSV('bills', ['day', 'state', 'lines', 'differences', 'came_fen', 'went_fen'].map(key => ({ key, title: key })), days)}>CSV<//>`}>
      <${DataTable} label=${t('rec.bills')} rowKey=${d => d.day} rows=${days} empty=${html`<${Empty} icon="reconciliation" title=${t('rec.no_bills')} text=${t('rec.no_bills_text')} />`} columns=${[
        { key: 'day', title: t('rec.day'), sort: true, render: d => day(d.day + 'T00:00:00Z', 'UTC') },
        { key: 'state', title: t('part.state'), sort: true, render: d => html`<${Badge} state=${tone[d.state] ?? 'off'} word=${tCode('rec.state', d.state)} />` },
        { key: 'differences', title: t('rec.differences'), align: 'end', sort: true, render: d => d.differences ? html`<${Link} to="/items" query=${{ kind: 'bill_difference' }}><strong class="bad-text">${number(d.differences)}</strong><//>` : '0' },
        { key: 'lines', title: t('rec.lines'), align: 'end', wide: true, sort: true, render: d => number(d.lines) },
        { key: 'came_fen', title: t('rec.came'), align: 'end', sort: true, render: d => money(d.came_fen) },
        { key: 'went_fen', title: t('rec.went'), align: 'end', sort: true, render: d => money(d.went_fen) },
        { key: 'due_at', title: t('rec.fetched'), wide: true, render: d => d.due_at ? html`${t('rec.next')} ${when(d.due_at)}` : when(d.at) },
      ]} /><//>
    ${items.length > 0 && html`<${Card} flush title=${t('rec.items')}><${DataTable} label=${t('rec.items')} rows=${items} onOpen=${i => go('/items', { kind: 'bill_difference', id: i.id })} columns=${[
      { key: 'detail', title: t('rec.what'), render: i => html`<${Says} item=${i} /><span class="quiet">${i.subject}</span>` },
      { key: 'order', title: t('part.order'), render: i => i.order ? html`<${Link} to=${'/orders/' + i.order}><code>${i.order.slice(-12)}</code><//>` : '' },
      { key: 'at', title: t('part.when'), render: i => when(i.at) },
    ]} /><//>`}`}<//>`
}

const stuck = ['abnormal', 'closing', 'collecting', 'completing']

function Payments({ query, setQuery }) {
  const state = query.state ?? 'abnormal'
  const list = usePages((cursor, abort) => get('/payments', { state, cursor, limit: 50 }, abort), 'payments', [state])
  const [key, setKey] = useState(newKey)
  const act = async (p, what) => {
    const path = `/payments/${p.id}/${what}`
    const done = await confirmAct({ title: t(`rec.${what}_title`), text: html`<p>${t(`rec.${what}_text.${p.road}`)}</p><p><strong>${money(p.amount_fen)}</strong> <code>${p.number}</code></p>`, reason: true, danger: what === 'give-up', word: t(`rec.${what}`),
      curl: { method: 'POST', path, body: {} }, run: reason => post(path, { reason }, { key }) })
    setKey(newKey())
    if (done) { toast(t('rec.now', { state: tCode('rec.pay', done.state) })); list.reload() }
  }
  const tone = { paid: 'ok', closed: 'off', abnormal: 'bad', open: 'busy', created: 'busy', confirmed: 'busy' }
  return html`<div class="filters"><${Select} inline label=${t('part.state')} value=${state} onChange=${v => setQuery({ state: v })} options=${[...stuck, 'open', 'created', 'confirmed', 'paid', 'closed'].map(s => [s, t('rec.pay.' + s)])} /></div>
    <${ProblemBox} problem=${list.problem} retry=${list.reload} />
    ${list.data && html`<${Card} flush><${DataTable} label=${t('rec.payments')} rows=${list.rows} empty=${html`<${Empty} icon="ok" title=${t('rec.none_stuck')} text=${stuck.includes(state) ? t('rec.none_stuck_text') : undefined} />`} columns=${[
      { key: 'amount_fen', title: t('rec.amount'), align: 'end', sort: true, render: p => html`<strong>${money(p.amount_fen)}</strong>${p.moved_fen && p.moved_fen !== p.amount_fen ? html`<br /><span class="quiet">${t('rec.moved', { sum: money(p.moved_fen) })}</span>` : ''}` },
      { key: 'state', title: t('part.state'), render: p => html`<${Badge} state=${tone[p.state] ?? 'warn'} word=${tCode('rec.pay', p.state)} />${p.reason && html`<br /><span class="quiet">${p.reason}</span>`}` },
      { key: 'road', title: t('rec.road'), wide: true, render: p => html`${tCode('rec.road', p.road)}<br /><span class="quiet">${tCode('rec.for', p.for)}</span>` },
      { key: 'order', title: t('rec.whose'), render: p => html`${p.order && html`<${Link} to=${'/orders/' + p.order}>${t('part.order')} <code>${p.order.slice(-8)}</code><//><br />`}<${Link} to=${'/riders/' + p.rider}>${t('part.rider')} <code>${p.rider.slice(-8)}</code><//>` },
      { key: 'tries', title: t('rec.tries'), align: 'end', wide: true, sort: true, render: p => p.tries || '0' },
      { key: 'created_at', title: t('part.when'), wide: true, sort: true, render: p => html`${when(p.created_at)}${p.due_at && html`<br /><span class="quiet">${t('rec.next')} ${when(p.due_at)}</span>`}` },
      { key: 'act', title: '', align: 'end', render: p => p.state !== 'paid' && html`<div class="actions"><${Button} small icon="reload" onClick=${() => act(p, 'retry')}>${t('rec.retry')}<//>${p.state !== 'closed' && html`<${Button} small icon="x" onClick=${() => act(p, 'give-up')}>${t('rec.give-up')}<//>`}</div>` },
    ]} /><//>`}<${More} list=${list} />`
}

function Debts() {
  const load = useLoad(abort => get('/debts', { limit: 500 }, abort), [])
  return html`<${Loaded} load=${load}>${d => html`
    <div class="figures"><${Figure} label=${t('rec.debt_sum')} value=${money(d.total_fen)} /><${Figure} label=${t('rec.debts')} value=${number(d.debts.length)} /><${Figure} label=${t('rec.blocking')} value=${number(d.debts.filter(x => x.blocks).length)} /></div>
    <${Card} flush title=${t('rec.debts')} actions=${html`<${Button} small icon="import" onClick=${() => exportCSV('debts', ['order', 'rider', 'amount_fen', 'since', 'by', 'next_at', 'blocks'].map(key => ({ key, title: key })), d.debts)}>CSV<//>`}>
      <${DataTable} label=${t('rec.debts')} rowKey=${x => x.order} rows=${d.debts} onOpen=${x => go('/orders/' + x.order)} empty=${html`<${Empty} icon="ok" title=${t('rec.no_debts')} />`} columns=${[
        { key: 'amount_fen', title: t('rec.amount'), align: 'end', sort: true, render: x => html`<strong>${money(x.amount_fen)}</strong>` },
        { key: 'order', title: t('part.order'), render: x => html`<${Link} to=${'/orders/' + x.order}><code>${x.order.slice(-12)}</code><//>` },
        { key: 'rider', title: t('part.rider'), render: x => x.rider ? html`<${Link} to=${'/riders/' + x.rider}><code>${x.rider.slice(-12)}</code><//>` : '' },
        { key: 'since', title: t('rec.since'), sort: true, render: x => when(x.since) },
        { key: 'by', title: t('rec.paid_by'), wide: true, render: x => html`${t('rec.by.' + x.by)}${x.next_at ? html` · ${t('rec.next')} ${when(x.next_at)}` : ''}` },
        { key: 'blocks', title: t('rec.blocks'), wide: true, render: x => x.blocks ? html`<${Badge} state="warn" word=${t('rec.blocks_yes')} />` : html`<span class="quiet">${t('rec.blocks_no')}</span>` },
      ]} /><//>`}<//>`
}
