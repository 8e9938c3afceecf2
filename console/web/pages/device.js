// One device: whether it would open and why not, what we want of it and what it says, what
// staff can do with it, and its history.
import { html, useEffect, useRef, useState } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { age, at, litres, number, when } from '../lib/format.js'
import { onUpdate } from '../lib/live.js'
import { Link, useQuery } from '../lib/router.js'
import { Badge, Button, Card, CurlButton, Empty, Field, Icon, KeyValue, Loaded, Page, ProblemBox, Tabs, useLoad } from '../lib/ui.js'
import { t, tCode } from '../lib/words.js'
import { actsOf } from './acts.js'
import { Codes } from './device_codes.js'
import { Diagnosis } from './diagnosis.js'
import { ItemsOf, Kind, OrderLink, RiderLink, VenueLink } from './desk.js'
import { Commands, Evidence, Orders } from './history.js'
import { Unlock } from './unlock.js'
import { useVenues, Zone } from './office.js'
import '../words/device.js'
import '../words/fleet.js'

// The state and its problems are the server's: the fleet shows the same. What the state
// says already is no second badge.
const wrongOf = d => (d.problems ?? []).filter(p => p !== d.state)

/** @param {{params: {id: string}, query: Record<string, string>}} props */
export default function Device({ params: { id }, query }) {
  const path = '/devices/' + encodeURIComponent(id)
  const load = useLoad(abort => get(path, {}, abort), [id])
  const [flow, setFlow] = useState(/** @type {Record<number, any>} */ ({})) // live figures that came since, by outlet
  const [unlocking, setUnlocking] = useState(query.unlock ?? '')
  const reload = useRef(load.reload)
  reload.current = load.reload
  useEffect(() => {
    let timer = /** @type {any} */ (0)
    const soon = () => { timer ||= setTimeout(() => { timer = 0; reload.current() }, 400) }
    const cancel = [
      onUpdate('device', rows => { if (rows.some(r => r.id === id)) soon() }),
      onUpdate('order', o => { if (o.device === id) soon() }),
      onUpdate('pump', p => { if (p.device === id) setFlow(f => ({ ...f, ...Object.fromEntries(p.outlets.map(o => [o.outlet, o.live])) })) }),
    ]
    const every = setInterval(() => { if (!document.hidden) reload.current() }, 20_000) // where no updates come
    return () => { cancel.forEach(c => c()); clearTimeout(timer); clearInterval(every) }
  }, [id])
  useEffect(() => setFlow({}), [load.data])
  const { known } = useVenues() // times are painted once, in their venue's zone
  const d = known ? load.data : undefined
  const acts = d && actsOf(d, { again: load.reload, onUnlock: setUnlocking })
  if (!load.data && load.problem?.code === 'device_unknown') return html`<${Page} title=${id}><${Empty} icon="unknown" title=${t('device.unknown')} text=${t('device.unknown.text')}><${Link} to="/" class="button">${t('device.unknown.fleet')}<//><//><//>`
  return html`<${Page} title=${id} sub=${d && html`<${Head} device=${d} />`} actions=${html`<span class="desk-only"><${CurlButton} path=${path} /></span>
      ${d && can('field') && html`<${Button} kind=${d.service === 'in_service' && !d.outlets.some(o => o.jammed) ? 'primary' : ''} icon=${d.kind === 'pump' ? 'nozzle' : 'unlock'} onClick=${() => acts.unlock()}>${t(d.kind === 'pump' ? 'device.unlock.pump' : 'device.unlock')}<//>`}`}>
    <${Loaded} load=${{ ...load, data: d }}>${device => html`<${Body} device=${device} flow=${flow} acts=${acts} again=${load.reload} unlocking=${unlocking} closeUnlock=${() => setUnlocking('')} query=${query} />`}<//>
  <//>`
}

function Head({ device: d }) {
  return html`<span class="row"><${Badge} state=${d.state} tone=${d.state === 'available' && wrongOf(d).length ? 'off' : undefined} />${wrongOf(d).map(p => html`<${Badge} key=${p} state=${p === 'jammed' || p === 'stopped' ? 'bad' : 'warn'} word=${t('fleet.problem.' + p)} />`)}<${Kind} kind=${d.kind} long /><${VenueLink} id=${d.venue} />
    <span class="quiet">${d.heard_at ? html`${t('device.heard', { ago: '' })}${when(d.heard_at)}` : t('device.never')}</span></span>`
}

function Body({ device: d, flow, acts, again, unlocking, closeUnlock, query }) {
  const [, setQuery] = useQuery()
  const gaps = d.evidence_gaps ?? [], tab = ['evidence', 'orders'].includes(query.tab) ? query.tab : 'commands'
  const history = useRef(/** @type {any} */ (null))
  useEffect(() => { if (query.tab) history.current?.scrollIntoView({ block: 'start' }) }, [])
  return html`
    ${unlocking && html`<${Unlock} key=${unlocking} device=${d} id=${unlocking} again=${again} onClose=${closeUnlock} />`}
    <div class="cols">
      <div class="stack">
        <${Diagnosis} device=${d} acts=${acts} />
        <${Outlets} device=${d} flow=${flow} />
        <${Shadow} device=${d} />
      </div>
      <div class="stack">
        ${can('field') && html`<${Actions} device=${d} acts=${acts} />`}
        <${Codes} device=${d} again=${again} mint=${acts.mint} />
        <${ItemsOf} venue=${d.venue} mine=${i => i.device === d.id} deps=${[d.id, d.evidence.length, d.stopped]} />
        <${Notes} id=${d.id} />
      </div>
    </div>
    <section class="gap-above" ref=${history} aria-label=${t('device.history')}>
      <${Tabs} label=${t('device.history')} value=${tab} onChange=${to => setQuery({ tab: to === 'commands' ? '' : to })}
        tabs=${[{ value: 'commands', word: t('device.commands') }, { value: 'evidence', word: t('device.evidence'), count: gaps.length || undefined }, { value: 'orders', word: t('device.orders') }]} />
      ${tab === 'commands' ? html`<${Commands} device=${d} />` : tab === 'evidence' ? html`<${Evidence} device=${d} gaps=${gaps} />` : html`<${Orders} device=${d} />`}
    </section>`
}

/* Outlets. */

function Outlets({ device: d, flow }) {
  return html`<${Card} title=${t(d.kind === 'pump' ? 'device.sides' : 'device.outlet.lock')}>${d.outlets.map(o => html`<div key=${o.outlet} class="outlet">
    ${(d.outlets.length > 1 || d.kind === 'pump') && html`<div class="outlet-head"><h3>${t(d.kind === 'pump' ? 'part.side.n' : 'part.outlet.n', { n: o.outlet })}</h3><${Badge} state=${o.availability} /></div>`}
    ${d.kind === 'pump' && html`<${Flow} live=${flow[o.outlet] ? fromUpdate(flow[o.outlet]) : o.live} />`}
    <${KeyValue} rows=${[
      [t(d.kind === 'pump' ? 'device.valve' : 'device.bolt'), o.closed == null ? t('device.bolt.unknown') : html`<span class="with-icon"><${Icon} name=${o.closed ? 'lock' : 'unlock'} />${t(o.closed ? 'device.bolt.shut' : 'device.bolt.open')}</span>${o.jammed && html` <span class="with-icon bad-text"><${Icon} name="warn" />${t('fleet.problem.jammed')}</span>`}`],
      d.kind === 'lock' && [t('device.opens'), t('device.counter.times', { n: o.opens })],
      o.order && [t('device.liveorder'), html`<${OrderLink} id=${o.order} />`],
      o.block && [t('device.block'), html`<span class="with-icon bad-text"><${Icon} name="blocked" />${tCode('device.block', o.block)}</span>`],
      o.reserved && [t('device.reserved'), html`<${RiderLink} id=${o.reserved.rider} /> · ${t('device.reserved.until', { time: '' })}${when(o.reserved.until)}`],
    ]} />
    ${o.nozzles?.length > 0 && html`<table class="mini"><thead><tr><th scope="col">${t('device.nozzles')}</th><th scope="col">${t('device.grade')}</th><th scope="col" class="end">${t('device.totaliser')}</th></tr></thead>
      <tbody>${o.nozzles.map(n => html`<tr key=${n.nozzle}><td>${number(n.nozzle)}</td><td>${n.grade}#</td><td class="end">${litres(n.totaliser_ml, 3)}</td></tr>`)}</tbody></table>`}
  </div>`)}<//>`
}

const fromUpdate = live => ({ state: live.state, millilitres: live.ml ?? live.millilitres, amount_fen: live.fen ?? live.amount_fen, at: live.at, stale: false, proven: false })

function Flow({ live }) {
  if (!live || live.state === 'idle' && !live.millilitres) return html`<p class="quiet">${t('device.live.none')}</p>`
  return html`<div class="live-figures" role="status"><span class="with-icon"><${Icon} name="drop" />${tCode('device.live', live.state)}</span><strong>${litres(live.millilitres)}</strong><strong>¥${number(live.amount_fen / 100, 2)}</strong>
    <span class="quiet">${live.stale ? html`${t('device.live.stale')} ${when(live.at)}` : live.proven ? '' : t('device.live.unsigned')}</span></div>`
}

/* What we want and what it says. */

function Shadow({ device: d }) {
  const { zone } = useVenues()
  const says = d.says ?? { firmware: d.firmware, heard_at: d.heard_at, battery: d.battery }, wanted = d.wanted ?? { service: d.service }
  const battery = says.battery ?? d.battery
  return html`<${Card} title=${t('device.shadow')} actions=${html`<${Zone} venue=${d.venue} />`}><div class="shadow">
    <div><h3>${t('device.wanted')}</h3><${KeyValue} rows=${[
      [t('device.service'), html`<${Badge} state=${wanted.service} />`],
      d.service_reason && [t('device.service.reason'), d.service_reason],
      wanted.server_key && [t('device.serverkey'), html`<span class="mono">${String(wanted.server_key).slice(0, 16)}</span>`],
      wanted.config && Object.keys(wanted.config).length > 0 && [t('device.config'), html`<span class="mono">${JSON.stringify(wanted.config)}</span>`],
      [t('device.epoch'), t('device.epoch.n', { n: d.epoch })],
      [t('device.roads'), [t('device.roads.mqtt'), d.bluetooth && t('device.roads.bluetooth'), d.display && t('device.display')].filter(Boolean).join(' · ')],
    ]} /></div>
    <div><h3>${t('device.says')}</h3><${KeyValue} rows=${[
      [t('device.lastword'), html`${at(says.heard_at, zone(d.venue))} ${says.heard_at && html`<span class="quiet">(${when(says.heard_at)})</span>`}`],
      [t('device.firmware'), says.firmware || '–'],
      d.kind === 'lock' && [t('device.battery'), battery == null ? html`<span class="quiet">${t('device.battery.unknown')}</span>` : html`<span class=${'with-icon' + (battery < 20 ? ' bad-text' : '')}><span class="charge" aria-hidden="true"><b style=${{ width: battery + '%' }}></b></span>${number(battery)} %</span>`],
      says.started_at && [t('device.started'), when(says.started_at, zone(d.venue))],
      says.boot && [t('device.boot'), html`<span class="mono">${says.boot}</span>`],
      [t('device.position'), d.lat == null ? html`<span class="quiet">${t('device.position.none')}</span>`
        : html`<${Link} to="/" query=${{ q: d.id }} class="mono">${number(d.lat, 5)}, ${number(d.lng, 5)}<//> ${says.position_age_s != null ? html`<span class="quiet">(${t('device.position.age', { ago: age(says.position_age_s) })})</span>` : d.placed_at && html`<span class="quiet">(${when(d.placed_at)})</span>`}${d.outside && html` <${Badge} state="warn" word=${t('device.outside')} />`}`],
      ...counters(d),
    ]} /></div></div><//>`
}

// counters are rows of what only grows, where the device states more than its outlets show.
function counters(d) {
  return Object.entries(d.counters ?? {}).filter(([name, value]) => !['opens', 'totaliser_ml'].includes(name) && typeof value === 'number')
    .map(([name, value]) => [tCode('device.counter', name), number(/** @type {number} */ (value))])
}

/* What staff can do. */

function Actions({ device: d, acts }) {
  const pump = d.kind === 'pump'
  return html`<${Card} title=${t('device.actions')}>
    <div class="act-group"><h3>${t('device.actions.now')}</h3><div class="actions">
      ${!pump && html`<${Button} icon="ring" onClick=${() => acts.command('ring')}>${t('device.ring')}<//>`}
      <${Button} icon="online" onClick=${() => acts.command('probe')}>${t('device.probe')}<//>
      <${Button} icon="stop" onClick=${() => acts.command('stop')}>${t('device.stop')}<//>
      ${pump && html`<${Button} kind="danger" icon="stop" onClick=${acts.emergency}>${t('device.emergency')}<//>`}
    </div></div>
    <div class="act-group"><h3>${t('device.actions.fleet')}</h3><div class="actions">
      <${Button} icon="pin" onClick=${acts.place}>${t('device.place')}<//>
      ${can('admin') && html`<${Button} icon="venue" onClick=${acts.transfer}>${t('device.transfer')}<//>`}
      ${d.service !== 'retired' && html`<${Button} icon="trash" class="bad-text" onClick=${() => acts.service('retired')}>${t('device.retire')}<//>`}
    </div></div><//>`
}

/* Notes. */

function Notes({ id }) {
  const path = `/devices/${encodeURIComponent(id)}/notes`
  const load = useLoad(abort => get(path, {}, abort), [id])
  const [text, setText] = useState(''), [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  const add = async e => {
    e.preventDefault()
    if (!text.trim() || busy) return
    setBusy(true)
    setProblem(null)
    try {
      await post(path, { text: text.trim() })
      setText('')
      load.reload()
    } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  const notes = load.data?.notes ?? []
  return html`<${Card} title=${t('device.notes')}>
    <${ProblemBox} problem=${load.problem} retry=${load.reload} />
    ${load.data && (notes.length ? html`<ul class="notes">${notes.map(n => html`<li key=${n.id}><p>${n.text}</p><small class="quiet">${n.name ?? n.staff} · ${when(n.at)}</small></li>`)}</ul>` : html`<p class="quiet">${t('device.notes.none')}</p>`)}
    ${can('field') && load.data && html`<form class="stack" onSubmit=${add}><${Field} label=${t('device.note')} rows=${2} value=${text} onInput=${setText} maxlength="2000" /><${ProblemBox} problem=${problem} />
      <div class="actions"><${Button} type="submit" icon="plus" busy=${busy} disabled=${!text.trim()}>${t('device.note.add')}<//></div></form>`}<//>`
}
