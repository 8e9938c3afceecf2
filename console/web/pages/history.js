// A device's history: commands with the time of each hop, its signed words with the gaps
// in sight, its orders.
import { html, useMemo } from '../lib/html.js'
import { get } from '../lib/api.js'
import { duration, number, when } from '../lib/format.js'
import { go, Link } from '../lib/router.js'
import { Badge, Card, DataTable, Empty, Icon, More, ProblemBox, Spinner, usePages } from '../lib/ui.js'
import { has, t, tCode } from '../lib/words.js'
import { Amount, CommandBadge, HopKey, Hops, lasted, OrderBadge, OrderLink, reasonOf, RiderLink } from './desk.js'
import { withGaps } from './gaps.js'
import '../words/orders.js'

const part = d => d.outlets.length > 1

/** @param {{list: any, children: any}} props */
function Listed({ list, children }) {
  return html`<${ProblemBox} problem=${list.problem} retry=${list.reload} />${list.data ? html`<${Card} flush>${children}<${More} list=${list} /><//>` : list.loading && html`<${Spinner} />`}`
}

/** @param {{device: any}} props */
export function Commands({ device: d }) {
  const newest = d.commands.map(c => c.id + c.state + (c.hops?.acked_at ?? '')).join(' ')
  const list = usePages((cursor, abort) => get(`/devices/${encodeURIComponent(d.id)}/commands`, { cursor, limit: 20 }, abort), 'commands', [d.id, newest])
  return html`<${Listed} list=${list}><${DataTable} label=${t('device.commands')} rows=${list.rows} empty=${html`<${Empty} icon="history" title=${t('device.commands.none')} />`} onOpen=${c => c.order && go('/orders/' + c.order)} columns=${[
    { key: 'kind', title: t('device.command'), class: 'nowrap', render: c => html`<span class="two"><span>${tCode('command', c.kind)}${part(d) && html` <span class="quiet">· ${t('part.side.n', { n: c.outlet })}</span>`}</span><span class="narrow-only">${when(c.created_at)}</span></span>` },
    { key: 'seq', title: t('device.number'), align: 'end', wide: true, render: c => html`<span title=${c.id}>${c.epoch > 1 && html`<span class="quiet">${c.epoch}/</span>`}${number(c.seq)}</span>` },
    { key: 'state', title: t('part.state'), render: c => c.tried ? html`<${Badge} state="rejected" word=${t('device.command.tried')} />` : html`<${CommandBadge} command=${c} />` },
    { key: 'created_at', title: t('part.when'), class: 'nowrap', wide: true, render: c => when(c.created_at) },
    { key: 'hops', title: t('device.hops'), render: c => html`<${Hops} command=${c} />` },
    { key: 'order', title: t('part.order'), wide: true, render: c => html`<${OrderLink} id=${c.order} />` },
  ]} />${list.rows.length > 0 && html`<${HopKey} />`}<//>`
}

/** @param {{device: any, gaps: any[]}} props */
export function Evidence({ device: d, gaps }) {
  const newest = d.evidence.map(e => e.journal + e.seq + e.status).join(' ')
  const list = usePages((cursor, abort) => get(`/devices/${encodeURIComponent(d.id)}/evidence`, { cursor, limit: 30 }, abort), 'evidence', [d.id, newest])
  const rows = useMemo(() => withGaps(list.rows, gaps, !list.more), [list.rows, gaps, list.more])
  return html`<${Listed} list=${list}><${DataTable} label=${t('device.evidence')} rows=${rows} rowClass=${r => r.gap ? 'gap-row ' + r.state : ''} onOpen=${e => e.order && go('/orders/' + e.order)}
    empty=${html`<${Empty} icon="history" title=${t('device.evidence.none')} />`} columns=${[
    { key: 'seq', title: t('device.number'), align: 'end', render: e => e.gap ? html`<span class="nowrap">${e.from === e.to ? number(e.from) : `${number(e.from)}–${number(e.to)}`}</span>` : html`<span title=${e.id}>${number(e.seq)}</span>` },
    { key: 'kind', title: t('device.said'), render: e => e.gap ? html`<span class="two"><span class="with-icon"><${Icon} name="warn" />${e.from === e.to ? t('device.evidence.gap.one', { from: number(e.from) }) : t('device.evidence.gap', { from: number(e.from), to: number(e.to) })}</span><span>${t('device.evidence.gap.' + (e.state === 'lost' ? 'lost' : 'waiting'))}</span></span>`
      : html`<span class="two"><span>${said(d, e)}${reasonOf(e.reason) && html` <span class="quiet">· ${reasonOf(e.reason)}</span>`}</span><span class="narrow-only">${when(e.received_at)}</span></span>` },
    ...(part(d) ? [{ key: 'outlet', title: t(d.kind === 'pump' ? 'device.side' : 'part.outlet'), wide: true, align: 'end', render: e => e.gap ? '' : number(e.outlet) }] : []),
    { key: 'closed', title: t(d.kind === 'pump' ? 'device.valve' : 'device.bolt'), wide: true, render: e => e.gap ? '' : t(e.closed ? 'device.bolt.shut' : 'device.bolt.open') },
    { key: 'status', title: t('device.status'), render: e => e.gap ? html`<${Badge} state=${e.state === 'lost' ? 'lost' : 'waiting'} word=${t(e.state === 'lost' ? 'device.gap.lost' : 'device.gap.waiting')} />`
      : html`<${Badge} state=${e.status} tone=${{ applied: 'ok', waiting: 'warn', quarantined: 'bad' }[e.status]} icon=${{ applied: 'check', waiting: 'clock', quarantined: 'blocked' }[e.status]} word=${tCode('evidence.status', e.status)} />` },
    { key: 'order', title: t('part.order'), wide: true, render: e => e.gap ? '' : html`<${OrderLink} id=${e.order} />` },
    { key: 'uptime', title: t('device.uptime.at'), wide: true, align: 'end', render: e => e.gap ? '' : duration(e.uptime_ms) },
    { key: 'journal', title: t('device.journal'), wide: true, render: e => html`<span class="mono quiet" title=${e.journal}>${e.journal.slice(0, 6)}</span>` },
    { key: 'received_at', title: t('device.received'), wide: true, class: 'nowrap', render: e => e.gap ? '' : when(e.received_at) },
  ]} /><//>`
}

const said = (d, e) => d.kind === 'pump' && has(`evidence.${e.kind}.pump`) ? t(`evidence.${e.kind}.pump`) : tCode('evidence', e.kind)

/** @param {{device: any}} props */
export function Orders({ device: d }) {
  const live = d.outlets.map(o => o.order).join(' ')
  const list = usePages((cursor, abort) => get('/orders', { device: d.id, cursor, limit: 20 }, abort), 'orders', [d.id, live])
  return html`<${Listed} list=${list}><${DataTable} label=${t('device.orders')} rows=${list.rows} onOpen=${o => go('/orders/' + o.id)} empty=${html`<${Empty} icon="order" title=${t('device.orders.none')} />`} columns=${[
    { key: 'state', title: t('part.state'), render: o => html`<${OrderBadge} order=${o} />` },
    { key: 'created_at', title: t('orders.began'), class: 'nowrap', render: o => when(o.created_at) },
    ...(part(d) ? [{ key: 'outlet', title: t(d.kind === 'pump' ? 'device.side' : 'part.outlet'), wide: true, align: 'end', render: o => number(o.outlet) }] : []),
    { key: 'rider', title: t('part.rider'), wide: true, render: o => html`<${RiderLink} id=${o.rider} />` },
    { key: 'pay_with', title: t('orders.paywith'), wide: true, render: o => tCode('pay', o.pay_with) },
    { key: 'lasted', title: t('orders.lasted'), align: 'end', wide: true, render: o => lasted(o) || '–' },
    { key: 'amount', title: t('orders.amount'), align: 'end', render: o => html`<${Amount} order=${o} />` },
    { key: 'id', title: t('part.order'), wide: true, render: o => html`<${OrderLink} id=${o.id} />` },
  ]} />${list.rows.length > 0 && html`<p class="hop-key"><${Link} to="/orders" query=${{ device: d.id }}>${t('device.orders.all')}<//></p>`}<//>`
}
