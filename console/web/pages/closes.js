// Shift and day closes of a venue: what the next one would hold, taking it, and the
// ones that were taken. The address names the venue, the period and the close.
import { html, useState } from '../lib/html.js'
import { address, can, get, newKey, post } from '../lib/api.js'
import { absolute, at, litres, money, number } from '../lib/format.js'
import { useKeys } from '../lib/keys.js'
import { Link, useQuery } from '../lib/router.js'
import { Badge, Button, Card, Check, confirmAct, CurlButton, DataTable, Empty, exportCSV, Field, Icon, Loaded, More, Page, Select, Spinner, ProblemBox, Tabs, toast, useLoad, usePages } from '../lib/ui.js'
import { addWords, t } from '../lib/words.js'
import { useStaff } from './desk.js'
import { Zone } from './office.js'
import words from '../words/closes.js'

addWords(words)

export default function Closes() {
  const [query, setQuery] = useQuery()
  const venues = useLoad(async abort => {
    const { venues } = await get('/venues', {}, abort)
    const fuel = await Promise.all(venues.map(v => get(`/venues/${v.id}/prices`, {}, abort).then(p => p.kinds.some(k => k.kind === 'pump' && k.now), () => false)))
    const selling = venues.filter((_, i) => fuel[i])
    return selling.length ? selling : venues
  }, [])
  if (venues.data === undefined) return html`<${Page} title=${t('closes.title')}><${Loaded} load=${venues}>${() => null}<//><//>`
  if (!venues.data.length) return html`<${Page} title=${t('closes.title')}><${Empty} icon="close" title=${t('closes.no_pumps')} text=${t('closes.no_pumps_text')} /><//>`
  const venue = venues.data.find(v => v.id === query.venue) ?? venues.data[0]
  const period = query.period === 'day' ? 'day' : 'shift'
  if (query.close) return html`<${One} key=${query.close} venue=${venue} id=${query.close} />`
  return html`<${Overview} key=${venue.id + period} venue=${venue} venues=${venues.data} period=${period} setQuery=${setQuery} />`
}

function Overview({ venue, venues, period, setQuery }) {
  const path = `/venues/${venue.id}/closes`
  const next = useLoad(abort => get(path + '/preview', { period }, abort), [venue.id, period])
  const taken = usePages((cursor, abort) => get(path, { period, cursor, limit: 20 }, abort), 'closes', [venue.id, period])
  const { who: nameOf } = useStaff()
  const take = () => {
    if (!next.data) return
    const key = newKey() // of this dialog: trying again takes no second close
    confirmAct({
      title: t('closes.take_' + period), text: html`<p>${t('closes.take_text')}</p>${next.data.open.count > 0 && html`<p>${t('closes.take_waits', { n: next.data.open.count })}</p>`}`, reason: 'optional',
      run: reason => post(path, { period, ...(reason && { reason }) }, { key }), curl: { method: 'POST', path, body: { period } },
    }).then(close => {
      if (!close) return
      toast(t('closes.taken', { n: close.number }))
      setQuery({ close: close.id }, { replace: false })
    })
  }
  useKeys(can('field') ? [{ keys: 'n', words: 'closes.take_' + period, run: take }] : [], [next.data, period])
  return html`<${Page} title=${t('closes.title')} sub=${html`${venues.length === 1 && venue.name} <${Zone} venue=${venue.id} />`} actions=${can('field') && html`<${Button} kind="primary" icon="close" onClick=${take} disabled=${!next.data}>${t('closes.take_' + period)}<//>`}>
    ${venues.length > 1 && html`<div class="filters"><${Select} inline label=${t('closes.venue')} value=${venue.id} onChange=${v => setQuery({ venue: v })} options=${venues.map(v => [v.id, v.name])} /></div>`}
    <${Tabs} label=${t('closes.period')} value=${period} onChange=${v => setQuery({ period: v })} tabs=${[{ value: 'shift', word: t('closes.shift') }, { value: 'day', word: t('closes.day') }]} />
    <${Loaded} load=${next}>${c => html`<section aria-label=${t('closes.next_' + period, { n: c.number })}>
      <p class="close-span"><b>${t('closes.next_' + period, { n: c.number })}</b> <span class="quiet">${c.from ? html`${t('closes.now')}: ${at(c.from, venue.time_zone)}` : t('closes.now_first')}</span>
        <span class="grow"></span><${Button} small kind="quiet" icon="reload" onClick=${next.reload} busy=${next.loading}>${t('ui.reload')}<//></p>
      <${Body} close=${c} /></section>`}<//>
    <${Card} flush class="below" title=${t('closes.before')}>
      <${ProblemBox} problem=${taken.problem} retry=${taken.reload} />
      ${taken.data ? html`<${DataTable} label=${t('closes.before')} rows=${taken.rows} onOpen=${c => setQuery({ close: c.id }, { replace: false })} empty=${html`<${Empty} icon="close" title=${t('closes.none')} text=${t('closes.none_text')} />`} columns=${[
        { key: 'number', title: t('closes.number'), render: c => html`<${Link} to="/closes" query=${{ venue: venue.id, period, close: c.id }}>${c.number}<//>` },
        { key: 'at', title: t('closes.to'), render: c => at(c.at, venue.time_zone) },
        { key: 'by', title: t('closes.by'), wide: true, render: c => nameOf(c.by) || '–' },
        { key: 'orders', title: t('closes.orders'), align: 'end', render: c => number(c.orders) },
        { key: 'litres', title: t('closes.litres'), align: 'end', wide: true, render: c => litres(sum(c.grades, 'millilitres')) },
        { key: 'billed', title: t('closes.billed'), align: 'end', render: c => money(c.billed_fen) },
        { key: 'refunded', title: t('closes.refunded'), align: 'end', wide: true, render: c => c.refunds ? money(-c.refunded_fen) : html`<span class="quiet">–</span>` },
        { key: 'state', title: t('closes.nozzles'), render: c => html`<${Agreement} close=${c} />` },
      ]} /><${More} list=${taken} />` : !taken.problem && html`<${Spinner} />`}
    <//>
    ${can('finance') && html`<${Tax} venue=${venue} />`}
  <//>`
}

const sum = (rows, key) => rows.reduce((n, row) => n + row[key], 0)
const differing = c => c.nozzles.filter(n => n.difference_ml)

function Agreement({ close }) {
  const n = differing(close).length
  if (close.nozzles.every(z => z.difference_ml == null)) return html`<${Badge} tone="off" icon="minus" word=${t('closes.not_compared')} />`
  return n ? html`<${Badge} tone="bad" icon="warn" word=${t('closes.differ', { n })} />` : html`<${Badge} tone="ok" icon="ok" word=${t('closes.agree')} />`
}

function One({ venue, id }) {
  const load = useLoad(abort => get(`/venues/${venue.id}/closes/${id}`, {}, abort), [venue.id, id])
  const [query] = useQuery()
  const { who: nameOf } = useStaff()
  const back = html`<${Link} to="/closes" query=${{ ...query, close: '' }} class="button quiet bare no-print" aria-label=${t('closes.back')} title=${t('closes.back')}><${Icon} name="left" /><//>`
  useKeys([{ keys: 'p', words: 'closes.print', run: () => print() }], [])
  if (!load.data) return html`<${Page} title=${t('closes.title')} back=${back}><${Loaded} load=${load}>${() => null}<//><//>`
  const c = load.data
  const file = () => exportCSV(`${c.venue}-${c.period}-${c.number}`, nozzleColumns().map(col => ({ ...col, title: String(col.title) })), c.nozzles)
  return html`<${Page} title=${t('closes.number_' + c.period, { n: c.number })} sub=${html`${venue.name} <${Zone} venue=${venue.id} />`} back=${back} actions=${html`<${CurlButton} path=${`/venues/${venue.id}/closes/${id}`} />
      <${Button} icon="export" onClick=${file}>${t('ui.export')}<//><${Button} icon="print" onClick=${() => print()}>${t('closes.print')}<//>`}>
    <p class="close-span"><span>${c.from ? at(c.from, venue.time_zone) : t('closes.beginning')}</span><${Icon} name="right" /><b>${at(c.at, venue.time_zone)}</b>${c.by && html`<span class="quiet">· ${t('closes.by')} ${nameOf(c.by)}</span>`}${c.reason && html`<span class="quiet">· ${c.reason}</span>`}</p>
    <${Body} close=${c} whole />
    <p class="only-print close-sign">${t('closes.printed', { at: absolute(Date.now(), venue.time_zone) })}<br />${t('closes.sign')}: ____________________________</p>
  <//>`
}

/** @returns {any[]} */
function nozzleColumns() {
  const l = ml => ml == null ? html`<span class="quiet">–</span>` : litres(ml)
  return [
    { key: 'device', title: t('closes.device'), sort: true, render: n => html`<${Link} to=${'/devices/' + n.device}>${n.device}<//>`, csv: n => n.device },
    { key: 'outlet', title: t('closes.side'), align: 'end', csv: n => n.outlet },
    { key: 'nozzle', title: t('closes.nozzle'), align: 'end', csv: n => n.nozzle },
    { key: 'grade', title: t('closes.grade'), sort: true, csv: n => n.grade },
    { key: 'totaliser_from_ml', title: t('closes.total_from'), align: 'end', wide: true, render: n => l(n.totaliser_from_ml), csv: n => inLitres(n.totaliser_from_ml) },
    { key: 'totaliser_to_ml', title: t('closes.total_to'), align: 'end', wide: true, render: n => l(n.totaliser_to_ml), csv: n => inLitres(n.totaliser_to_ml) },
    { key: 'moved_ml', title: t('closes.moved'), align: 'end', sort: true, render: n => l(n.moved_ml), csv: n => inLitres(n.moved_ml) },
    { key: 'sold_ml', title: t('closes.sold'), align: 'end', sort: true, render: n => l(n.sold_ml), csv: n => inLitres(n.sold_ml) },
    { key: 'tested_ml', title: t('closes.tested'), align: 'end', wide: true, render: n => n.tested_ml ? l(n.tested_ml) : html`<span class="quiet">–</span>`, csv: n => inLitres(n.tested_ml) },
    { key: 'waiting_ml', title: t('closes.waiting'), align: 'end', wide: true, render: n => n.waiting_ml ? l(n.waiting_ml) : html`<span class="quiet">–</span>`, csv: n => inLitres(n.waiting_ml) },
    { key: 'difference_ml', title: t('closes.difference'), align: 'end', sort: n => Math.abs(n.difference_ml ?? 0), csv: n => inLitres(n.difference_ml),
      render: n => n.difference_ml == null ? html`<span class="quiet">${n.note ? t('closes.note_' + n.note) : '–'}</span>` : n.difference_ml ? html`<${Badge} tone="bad" icon="warn" word=${(n.difference_ml > 0 ? '+' : '') + litres(n.difference_ml, 3)} />` : html`<span class="quiet">0</span>` },
  ]
}

const inLitres = ml => ml == null ? '' : (ml / 1000).toFixed(3)

function Body({ close: c, whole }) {
  const [all, setAll] = useState(false)
  const used = c.nozzles.filter(n => n.sold_ml || n.tested_ml || n.waiting_ml || n.difference_ml || n.moved_ml)
  const still = c.nozzles.length - used.length
  const differ = differing(c).length
  if (!c.orders && !c.refunds && !used.length && !whole) return html`<${Card}><${Empty} icon="close" title=${t('closes.quiet')} text=${t('closes.quiet_text')} /><//>`
  return html`<div class="sums">
      <div class="figure"><b>${money(c.billed_fen - c.refunded_fen)}</b><span>${t('closes.net')}</span></div>
      <div class="figure"><b>${money(c.billed_fen)}</b><span>${t('closes.billed')}</span></div>
      <div class="figure"><b>${c.refunds ? money(-c.refunded_fen) : '–'}</b><span>${t('closes.refunded')}${c.refunds > 0 && ` · ${c.refunds}`}</span></div>
      <div class="figure"><b>${litres(sum(c.grades, 'millilitres'))}</b><span>${t('closes.litres')}</span></div>
      <div class="figure"><b>${number(c.orders)}</b><span>${t('closes.orders')}</span></div>
    </div>
    ${(c.open.count > 0 || c.open_items.count > 0 || differ > 0) && html`<ul class="notices">
      ${differ > 0 && html`<li class="bad"><${Icon} name="warn" />${t('closes.differ', { n: differ })}</li>`}
      ${c.open_items.count > 0 && html`<li class="warn"><${Icon} name="item" /><${Link} to="/items" query=${{ venue: c.venue }}>${t('closes.items', { n: c.open_items.count })}<//></li>`}
      ${c.open.count > 0 && html`<li class="busy"><${Icon} name="clock" />${t('closes.open', { n: c.open.count })} ${c.open.orders.slice(0, 3).map(id => html`<${Link} key=${id} to=${'/orders/' + id} class="mono">…${id.slice(-6)}<//>`)}${c.open.count > 3 && ' …'}</li>`}</ul>`}
    <div class="grid pairwise">
      <${Card} flush title=${t('closes.grades')}><${DataTable} label=${t('closes.grades')} rows=${c.grades} rowKey=${g => g.grade} empty=${html`<p class="quiet pad">–</p>`} columns=${[
        { key: 'grade', title: t('closes.grade') },
        { key: 'orders', title: t('closes.orders'), align: 'end', render: g => number(g.orders) },
        { key: 'millilitres', title: t('closes.litres'), align: 'end', render: g => litres(g.millilitres) },
        ...(c.grades.some(g => g.above_limit_fen || g.decided_fen) ? [{ key: 'priced_fen', title: t('closes.priced'), align: /** @type {'end'} */ ('end'), wide: true, render: g => money(g.priced_fen) },
          { key: 'above_limit_fen', title: t('closes.above'), align: /** @type {'end'} */ ('end'), wide: true, render: g => money(-g.above_limit_fen) }, { key: 'decided_fen', title: t('closes.decided'), align: /** @type {'end'} */ ('end'), wide: true, render: g => money(g.decided_fen) }] : []),
        { key: 'amount_fen', title: t('closes.amount'), align: 'end', render: g => html`<b>${money(g.amount_fen)}</b>` },
        ...(c.refunds ? [{ key: 'refunded_fen', title: t('closes.refunded'), align: /** @type {'end'} */ ('end'), render: g => money(-g.refunded_fen) }] : []),
      ]} /><//>
      <${Card} flush title=${t('closes.pay')}><${DataTable} label=${t('closes.pay')} rows=${c.pay} rowKey=${p => p.pay_with} empty=${html`<p class="quiet pad">–</p>`} columns=${[
        { key: 'pay_with', title: t('closes.pay_with'), render: p => t('closes.with_' + p.pay_with) },
        { key: 'orders', title: t('closes.orders'), align: 'end', render: p => number(p.orders) },
        { key: 'captured_fen', title: t('closes.captured'), align: 'end', render: p => html`<b>${money(p.captured_fen)}</b>` },
        { key: 'debt_fen', title: t('closes.debt'), align: 'end', render: p => p.debt_fen ? money(p.debt_fen) : html`<span class="quiet">–</span>` },
        ...(c.refunds ? [{ key: 'refunded_fen', title: t('closes.refunded'), align: /** @type {'end'} */ ('end'), render: p => money(-p.refunded_fen) }] : []),
      ]} /><//>
    </div>
    ${c.tests.length > 0 && html`<${Card} flush class="below" title=${t('closes.tests')}><${DataTable} label=${t('closes.tests')} rows=${c.tests} rowKey=${g => g.grade} columns=${[
      { key: 'grade', title: t('closes.grade') }, { key: 'orders', title: t('closes.orders'), align: 'end' }, { key: 'millilitres', title: t('closes.litres'), align: 'end', render: g => litres(g.millilitres) }]} /><//>`}
    <${Card} flush class="below" title=${t('closes.nozzles')} actions=${html`<${Agreement} close=${c} />${still > 0 && !whole && html`<${Check} label=${t('closes.only_used')} checked=${!all} onChange=${on => setAll(!on)} />`}`}>
      <${DataTable} label=${t('closes.nozzles')} rows=${all || whole ? c.nozzles : used} rowKey=${n => `${n.device}/${n.outlet}/${n.nozzle}`} rowClass=${n => n.difference_ml ? 'bad-row' : ''} columns=${nozzleColumns()} empty=${html`<p class="quiet pad">${t('closes.not_used', { n: still })}</p>`} />
    <//>`
}

/** Tax data of a span of days of the venue. */
function Tax({ venue }) {
  const today = new Intl.DateTimeFormat('sv-SE', { timeZone: venue.time_zone }).format(new Date())
  const [from, setFrom] = useState(today.slice(0, 8) + '01'), [to, setTo] = useState(today)
  const query = { from: atMidnight(from, venue.time_zone), to: atMidnight(to, venue.time_zone) }
  const ready = query.from && query.to && query.from < query.to
  return html`<${Card} class="below no-print" title=${t('closes.tax')}><p class="quiet">${t('closes.tax_text')}</p>
    <div class="filters tax"><${Field} type="date" label=${t('closes.tax_from')} value=${from} onInput=${setFrom} max=${to} /><${Field} type="date" label=${t('closes.tax_to')} value=${to} onInput=${setTo} min=${from} />
      <a class="button" href=${ready ? address(`/venues/${venue.id}/tax-data`, query) : undefined} aria-disabled=${ready ? undefined : 'true'} download=${`tax-${venue.id}-${from}-${to}.csv`}><${Icon} name="export" /><span>${t('closes.download')}</span></a></div><//>`
}

// atMidnight is the moment a day begins in a zone, RFC 3339; '' when it is no day.
function atMidnight(day, zone) {
  if (!/^\d{4}-\d\d-\d\d$/.test(day)) return ''
  const utc = new Date(day + 'T00:00:00Z')
  const there = new Date(new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' }).format(utc).replace(' ', 'T') + 'Z')
  return new Date(utc.getTime() - (there.getTime() - utc.getTime())).toISOString()
}
