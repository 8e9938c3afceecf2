// How a span went, in figures and by day.
import { html } from '../lib/html.js'
import { can, get } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { age, day, duration, money, number, percent } from '../lib/format.js'
import { Link, useQuery } from '../lib/router.js'
import { Badge, Button, Card, DataTable, Empty, Field, Loaded, Page, Select, exportCSV, useLoad } from '../lib/ui.js'
import { Bar, Figure, useVenues } from './office.js'
import { DayChart } from './chart.js'
import '../words/statistics.js'

const today = () => { const d = new Date(); d.setHours(24, 0, 0, 0); return d }
const dayOf = d => new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 10)

/** The span of a query: so many days up to now, or two days, both included. */
function spanOf(query) {
  if (query.from && query.to) return { from: new Date(query.from + 'T00:00').toISOString(), to: new Date(new Date(query.to + 'T00:00').getTime() + 86_400_000).toISOString() }
  const n = Number(query.days) || 7
  return { from: new Date(today().getTime() - n * 86_400_000).toISOString() }
}

/** @param {{query: Record<string, string>}} props */
export default function Statistics({ query }) {
  const [, setQuery] = useQuery()
  const venues = useVenues()
  const load = useLoad(abort => get('/statistics', { venue: query.venue, kind: query.kind, ...spanOf(query) }, abort), [query.venue, query.kind, query.days, query.from, query.to])
  const own = query.from && query.to
  if (!can('finance')) return html`<${Page} title=${t('stat.title')}><${Empty} icon="statistics" title=${t('part.role')} /><//>`
  return html`<${Page} title=${t('stat.title')} sub=${t('stat.sub')}>
    <div class="filters">
      <${Select} inline label=${t('part.venue')} value=${query.venue} options=${venues.options(t('office.all_venues'))} onChange=${venue => setQuery({ venue })} />
      <${Select} inline label=${t('part.kind')} value=${query.kind} options=${[['', t('office.all_kinds')], ['lock', t('kind.lock')], ['pump', t('kind.pump')]]} onChange=${kind => setQuery({ kind })} />
      <${Select} inline label=${t('stat.span')} value=${own ? 'own' : query.days ?? '7'} options=${[...['1', '7', '30', '90'].map(n => [n, t('stat.days', { n })]), ['own', t('stat.own')]]}
        onChange=${v => v === 'own' ? setQuery({ days: null, from: dayOf(new Date(Date.now() - 13 * 86_400_000)), to: dayOf(new Date()) }) : setQuery({ days: v === '7' ? null : v, from: null, to: null })} />
      ${own && html`<${Field} inline type="date" label=${t('part.from')} value=${query.from} max=${query.to} onInput=${from => from && setQuery({ from })} /><${Field} inline type="date" label=${t('part.to')} value=${query.to} min=${query.from} onInput=${to => to && setQuery({ to })} />`}
    </div>
    <${Loaded} load=${load}>${s => html`<${Figures} s=${s} stale=${load.loading} />`}<//>
  <//>`
}

// days fills those without orders, so that a chart has no holes.
function filled(s) {
  const by = new Map(s.days.map(d => [d.day, d])), all = []
  if (!s.days.length) return []
  // Days are the venues', the span is this browser's: what lies outside it shows too.
  const first = [dayOf(new Date(s.from)), s.days[0].day].sort()[0], last = [dayOf(new Date(Date.parse(s.to) - 1)), s.days.at(-1).day].sort()[1]
  for (let at = Date.parse(first + 'T00:00:00Z'); at <= Date.parse(last + 'T00:00:00Z'); at += 86_400_000) {
    const name = new Date(at).toISOString().slice(0, 10)
    all.push(by.get(name) ?? { day: name, orders: 0, settled: 0, voided: 0, billed_fen: 0, refunded_fen: 0, used_s: 0 })
  }
  return all
}

function Figures({ s }) {
  const days = filled(s), names = days.map(d => d.day)
  const starts = s.firmware.reduce((n, f) => n + f.starts, 0), failed = s.firmware.reduce((n, f) => n + f.failed, 0)
  if (!s.orders) return html`<${Empty} icon="statistics" title=${t('stat.none')} text=${t('stat.none_text')} />`
  return html`<div class="figures" data-test="figures">
      <${Figure} label=${t('stat.orders')} value=${number(s.orders)} sub=${t('stat.settled_n', { n: number(s.settled), v: number(s.voided) })} />
      <${Figure} label=${t('stat.revenue')} value=${money(s.billed_fen)} sub=${t('stat.refunded', { sum: money(s.refunded_fen) })} />
      <${Figure} label=${t('stat.unlock')} value=${s.unlock ? duration(s.unlock.p50_ms) : '–'} sub=${s.unlock && t('stat.slow', { p95: duration(s.unlock.p95_ms), p99: duration(s.unlock.p99_ms) })} />
      <${Figure} label=${t('stat.failures')} value=${starts ? percent(failed / starts, 1) : '–'} sub=${t('stat.failed_n', { n: number(failed), of: number(starts) })} tone=${starts && failed / starts > .05 ? 'bad' : ''} />
      <${Figure} label=${t('stat.used')} value=${percent(s.utilisation, 1)} sub=${t('stat.used_n', { time: age(s.used_s), n: number(s.outlets) })} />
    </div>
    <div class="halves charts">
      <${Card} title=${t('stat.revenue')}><${DayChart} label=${t('stat.revenue_days')} days=${names} format=${v => '¥' + number(v / 100)} series=${[{ label: t('stat.revenue'), values: days.map(d => d.billed_fen), colour: '--accent', bars: true }]} /><//>
      <${Card} title=${t('stat.orders')}><${DayChart} label=${t('stat.orders_days')} days=${names} format=${v => number(v)} series=${[{ label: t('stat.settled'), values: days.map(d => d.settled), colour: '--busy', bars: true, side: -1 }, { label: t('stat.voided'), values: days.map(d => d.voided), colour: '--warn', bars: true, side: 1 }]} /><//>
    </div>
    <div class="halves charts">
      <${Card} flush title=${t('stat.firmware')}><${DataTable} label=${t('stat.firmware')} rowKey=${f => f.firmware} rows=${s.firmware} sorted=${{ key: 'failure_rate', down: true }} columns=${[
        { key: 'firmware', title: t('stat.version'), sort: true, render: f => f.firmware ? html`<${Link} to="/" query=${{ firmware: f.firmware }}><code>${f.firmware}</code><//>` : html`<span class="quiet">${t('stat.unknown_firmware')}</span>` },
        { key: 'devices', title: t('stat.devices'), align: 'end', sort: true, render: f => number(f.devices) },
        { key: 'starts', title: t('stat.starts'), align: 'end', sort: true, render: f => number(f.starts) },
        { key: 'failure_rate', title: t('stat.failure_rate'), align: 'end', sort: true, render: f => f.failure_rate > .05 ? html`<${Badge} state="bad" word=${percent(f.failure_rate, 1)} />` : percent(f.failure_rate, 1) },
      ]} /><//>
      <${Card} title=${t('stat.reasons')}>${s.void_reasons.length ? html`<ul class="shares">${s.void_reasons.map(r => html`<li key=${r.reason}><span>${tCode('reason', r.reason || 'unknown')}</span><span class="end">${number(r.orders)}</span><${Bar} value=${r.orders / s.voided} label=${tCode('reason', r.reason || 'unknown')} tone="busy" /></li>`)}</ul>` : html`<p class="quiet">${t('stat.no_voids')}</p>`}<//>
    </div>
    <${Card} flush title=${t('stat.by_day')} actions=${html`<${Button} small icon="import" onClick=${() => exportCSV('statistics', ['day', 'orders', 'settled', 'voided', 'billed_fen', 'refunded_fen', 'used_s'].map(key => ({ key, title: key })), s.days)}>CSV<//>`}>
      <${DataTable} label=${t('stat.by_day')} rowKey=${d => d.day} rows=${s.days} sorted=${{ key: 'day', down: true }} columns=${[
        { key: 'day', title: t('stat.day'), sort: true, render: d => day(d.day + 'T00:00:00Z', 'UTC') },
        { key: 'orders', title: t('stat.orders'), align: 'end', sort: true, render: d => number(d.orders) },
        { key: 'settled', title: t('stat.settled'), align: 'end', wide: true, sort: true, render: d => number(d.settled) },
        { key: 'voided', title: t('stat.voided'), align: 'end', sort: true, render: d => number(d.voided) },
        { key: 'billed_fen', title: t('stat.revenue'), align: 'end', sort: true, render: d => money(d.billed_fen) },
        { key: 'refunded_fen', title: t('stat.given_back'), align: 'end', wide: true, sort: true, render: d => money(d.refunded_fen) },
        { key: 'used_s', title: t('stat.in_use'), align: 'end', wide: true, sort: true, render: d => age(d.used_s) },
      ]} /><//>`
}
