// The fleet: map and list as one view with one filter, which lives in the address.
import { html, signal, effect, useEffect, useMemo, useRef, useState } from '../lib/html.js'
import { can, get } from '../lib/api.js'
import { boxOf, filterKeys, filterOf, kinds, problemNames, problems, services, sortKeys, states, View } from '../lib/fleet.js'
import { absolute, number, relative, tick, when } from '../lib/format.js'
import { devices, fleet, fleetState, onRows, reloadFleet } from '../lib/live.js'
import { FleetMap, markOf, marksOf } from '../lib/map.js'
import { density, isDark } from '../lib/look.js'
import { go, href, Link, route, useQuery } from '../lib/router.js'
import { Rows } from '../lib/rows.js'
import { Button, Dialog, Empty, exportCSV, Field, Icon, Page, ProblemBox, Select, Spinner, Tabs } from '../lib/ui.js'
import { has, language, t, tCode } from '../lib/words.js'
import { FeedDrawer } from './fleetfeed.js'
import '../words/facts.js'
import '../words/fleet.js'
import '../words/map.js'

const shortKind = kind => has(`kind.${kind}.short`) ? t(`kind.${kind}.short`) : tCode('kind', kind)
const narrow = matchMedia('(max-width: 820px)')
const refresh = 500 // ms between two applications of the filter to what changes by itself

// The chips that always stand there, in the order of the day's work; the others show
// once they have a device.
const usual = ['jammed', 'offline', 'unresolved', 'low_battery', 'evidence_gap', 'unlock_failures', 'clock_drift', 'maintenance', 'out_of_service', 'outside']
const chips = [...usual, ...problemNames.filter(p => !usual.includes(p))]

// What a state says already needs no second word beside it.
const told = { offline: problems.offline, unresolved: problems.unresolved, stopped: problems.stopped, maintenance: problems.maintenance, out_of_service: problems.out_of_service }
const saidBy = Uint32Array.from(states, s => told[s] ?? 0)

// wrongOf says a row's problems that its state does not say, the worst of a device at work first.
const wrongOf = i => {
  const bits = fleet.problems[i] & ~saidBy[fleet.state[i]]
  return chips.filter(p => bits & problems[p]).map(p => p === 'unlock_failures' ? t('fleet.problem.unlock_failures.n', { n: fleet.failures[i] }) : t('fleet.problem.' + p))
}

/** Board joins the fleet, the view, the list and the map. */
class Board {
  constructor() {
    this.view = new View()
    this.version = signal(0) // rises when counts changed
    this.picked = signal(-1) // row chosen on the map
    this.filter = {}
    this.sort = 'id'
    /** @type {Record<string, string>} */ this.names = {}
    /** @type {Rows | null} */ this.rows = null
    /** @type {FleetMap | null} */ this.map = null
    this.cancel = onRows(rows => this.changed(rows))
    this.cancelTick = effect(() => { tick.value; this.rows?.again() })
    this.apply()
  }

  end() {
    this.cancel()
    this.cancelTick()
    clearTimeout(this.timer)
  }

  changed(rows) {
    if (rows === null) {
      const id = this.pickedId
      this.apply()
      this.map?.loaded()
      if (id) this.picked.value = fleet.find(id)
      return
    }
    this.map?.patched(rows)
    this.rows?.again()
    this.timer ||= setTimeout(() => { this.timer = 0; this.apply() }, refresh)
  }

  set(filter, sort, names) {
    this.filter = filter
    this.sort = sort
    this.names = names
    this.apply()
    performance.measure('unlatch.fleet.filter', { start: performance.now() - this.view.filterMS - this.view.sortMS, duration: this.view.filterMS })
    performance.measure('unlatch.fleet.sort', { start: performance.now() - this.view.sortMS, duration: this.view.sortMS })
  }

  apply() {
    this.view.apply(fleet, this.filter, this.sort, this.names)
    this.rows?.show(this.view.count)
    this.rows?.sorted(this.sort)
    this.map?.filtered()
    this.version.value++
    if (fleet.n && !this.shown) { this.shown = true; performance.mark('unlatch.fleet.rows') }
  }

  pick(row) {
    this.picked.value = row
    this.pickedId = row >= 0 ? fleet.ids[row] : ''
    this.map?.light(row)
    this.rows?.light(row)
    const place = row >= 0 ? this.view.place(row) : -1
    if (place >= 0) this.rows?.move(place, false)
  }
}

const open = row => go('/devices/' + encodeURIComponent(fleet.ids[row]))

/* Cells of the list; each writes only what changed. */

const text = (cell, value) => { if (cell.said !== value) cell.textContent = cell.said = value }

function columns() {
  const stateWords = states.map(s => tCode('state', s)) // columns are made anew for another language
  const plain = key => ({ key, title: t('fleet.col.' + key), sort: sortKeys.includes(key), make() {} })
  const mark = { key: 'state', title: t('fleet.col.state'), sort: true,
    make(cell) { cell.append(Object.assign(document.createElement('i'), { className: 'mark' }), document.createElement('span')) },
    fill(cell, i) {
      const state = fleet.state[i], wrong = (fleet.problems[i] & ~saidBy[state]) !== 0
      if (cell.wrong !== wrong) cell.firstChild.className = (cell.wrong = wrong) ? 'mark wrong' : 'mark'
      if (cell.said === state) return
      cell.said = state
      cell.firstChild.style.backgroundPositionX = -20 * state + 'px'
      cell.lastChild.textContent = stateWords[state]
    } }
  const id = { key: 'id', title: t('fleet.col.id'), sort: true,
    make(cell) { const a = document.createElement('a'); a.tabIndex = -1; cell.append(a) },
    fill(cell, i) {
      const id = fleet.ids[i]
      if (cell.said === id) return
      cell.said = id
      cell.firstChild.textContent = id
      cell.firstChild.href = href('/devices/' + encodeURIComponent(id))
    } }
  const battery = { key: 'battery', title: t('fleet.col.battery'), sort: true,
    make(cell) { const bar = document.createElement('i'); bar.append(document.createElement('b')); cell.append(bar, document.createElement('span')) },
    fill(cell, i) {
      const v = fleet.battery[i], low = fleet.problems[i] & problems.low_battery
      if (cell.said === v && cell.low === low) return
      cell.said = v
      cell.low = low
      cell.firstChild.hidden = v < 0
      cell.firstChild.firstChild.style.width = Math.max(0, v) + '%'
      cell.firstChild.className = low ? 'low' : ''
      cell.lastChild.textContent = v < 0 ? '–' : v + ' %'
    } }
  const wrong = { key: 'problems', title: t('fleet.col.problems'), sort: true, falls: true, make() {},
    fill(cell, i) {
      const bits = fleet.problems[i] & ~saidBy[fleet.state[i]], n = fleet.failures[i]
      if (cell.said === bits && cell.failures === n) return
      cell.said = bits
      cell.failures = n
      const words = bits ? wrongOf(i) : []
      cell.textContent = words.length ? '▲ ' + words.join(' · ') : ''
    }, hover: cell => cell.textContent }
  return [mark, id, wrong, battery,
    { ...plain('heard'), fill: (cell, i) => text(cell, fleet.heard[i] ? relative(fleet.heard[i] * 1000) : t('fleet.never')),
      hover: (_, i) => fleet.heard[i] ? absolute(fleet.heard[i] * 1000) : '' },
    { ...plain('venue'), fill: (cell, i) => text(cell, board.names[fleet.venues[fleet.venue[i]]] ?? fleet.venues[fleet.venue[i]] ?? '') },
    { ...plain('kind'), fill: (cell, i) => text(cell, shortKind(kinds[fleet.kind[i]])) },
    { ...plain('firmware'), fill: (cell, i) => text(cell, fleet.firmwares[fleet.firmware[i]] || '–') }]
}

// Who comes back from a device finds the list and the map where they left them.
let left = /** @type {null | {search: string, top: number, active: number, place: any}} */ (null)

let board = /** @type {Board} */ (/** @type {any} */ (null)) // of the page that shows; there is never more than one

/** @param {{query: Record<string, string>}} props */
export default function Fleet({ query }) {
  const [b] = useState(() => (board = new Board()))
  const [tab, setTab] = useState(query.view === 'map' ? 'map' : 'list')
  const [phone, setPhone] = useState(narrow.matches)
  const [saving, setSaving] = useState(false)
  const [saved, setSaved] = useState(savedFilters)
  const venues = useVenues(b)
  const names = useMemo(() => Object.fromEntries((venues ?? []).map(v => [v.id, v.name])), [venues])
  const filter = filterOf(query), key = JSON.stringify(filter)
  const sort = sortKeys.includes((query.sort ?? '').replace(/^-/, '')) ? query.sort : 'id'
  // What comes late, such as a map that comes to rest, must not lead back to this page.
  const [, setQuery] = useQuery()
  const set = (change, replace = true) => setQuery(change, { replace })

  useEffect(() => {
    board = b
    const change = () => setPhone(narrow.matches)
    narrow.addEventListener('change', change)
    return () => { narrow.removeEventListener('change', change); b.end() }
  }, [])
  useMemo(() => b.set(filter, sort, names), [key, sort, names])
  const venue = useRef(filter.venue)
  useEffect(() => {
    if (venue.current !== filter.venue && !filter.box) b.map?.fit()
    venue.current = filter.venue
  }, [filter.venue])

  b.version.value // counts
  const state = fleetState.value, { view } = b, filtered = key !== '{}'
  const actions = html`
    <${Button} icon="export" label=${t('fleet.csv.label')} onClick=${() => download(b)} disabled=${!view.count}>${t('fleet.csv')}<//>
    ${can('admin') && html`<${Button} icon="bulk" label=${t('fleet.bulk', { n: view.count, count: number(view.count) })} onClick=${() => go('/bulk', filter)} disabled=${!view.count}>${t('fleet.bulk', { n: view.count, count: number(view.count) })}<//>`}`
  return html`<${Page} title=${t('fleet.title')} wide class="fleet-page" actions=${actions}
      sub=${state.ready && html`<span role="status">${filtered ? t('fleet.of', { shown: number(view.count), all: number(fleet.n) }) : t('fleet.devices', { n: fleet.n, count: number(fleet.n) })}${view.unplaced > 0 && html`<span title=${t('map.unplaced.text')}> · ${t('map.unplaced', { n: view.unplaced, count: number(view.unplaced) })}</span>`}</span>`}>
    <div class="fleet">
      <${Bar} query=${query} filter=${filter} sort=${sort} set=${set} venues=${venues} phone=${phone} />
      <${Chips} view=${view} filter=${filter} set=${set} saved=${saved} onForget=${name => setSaved(keep(saved.filter(f => f.name !== name)))} onSave=${filtered && (() => setSaving(true))} />
      ${state.problem && html`<${ProblemBox} problem=${state.problem} retry=${reloadFleet} />`}
      ${phone && html`<${Tabs} label=${t('fleet.views')} value=${tab} onChange=${v => { setTab(v) }} tabs=${[{ value: 'list', word: t('fleet.list') }, { value: 'map', word: t('fleet.map') }]} />`}
      <div class=${'fleet-both ' + (phone ? 'only-' + tab : '')}>
        <${List} board=${b} sort=${sort} set=${set} ready=${state.ready} filtered=${filtered} phone=${phone} problem=${state.problem} />
        <${MapPane} board=${b} filter=${filter} set=${set} venues=${venues} shown=${!phone || tab === 'map'} />
      </div>
      <${FeedDrawer} board=${b} />
    </div>
    ${saving && html`<${SaveDialog} onClose=${() => setSaving(false)} onSave=${name => { setSaved(keep([...saved.filter(f => f.name !== name), { name, query: { ...filter, ...(sort !== 'id' && { sort }) } }])); setSaving(false) }} />`}
  <//>`
}

/* The filter */

function Bar({ query, filter, sort, set, venues, phone }) {
  const rare = Boolean(filter.service || filter.firmware || filter.battery)
  const [more, setMore] = useState(rare)
  const [typed, setTyped] = useState(filter.q ?? '')
  const timer = useRef(0)
  useEffect(() => { if ((filter.q ?? '') !== typed.trim()) setTyped(filter.q ?? '') }, [filter.q])
  const type = value => {
    setTyped(value)
    clearTimeout(timer.current)
    timer.current = setTimeout(() => set({ q: value.trim() }), 120)
  }
  useEffect(() => () => clearTimeout(timer.current), [])
  const pick = (name, word, options) => html`<${Select} label=${word} value=${filter[name] ?? ''} onChange=${v => set({ [name]: v })} options=${[['', t('fleet.any')], ...options]} />`
  const clear = () => go('/', query.sort ? { sort: query.sort } : {})
  const some = filterKeys.some(k => filter[k])
  return html`<form class="fleet-bar" role="search" onSubmit=${e => e.preventDefault()}>
    <${Field} label=${t('fleet.search')} type="search" value=${typed} onInput=${type} placeholder=${t('fleet.search.hint')} autocomplete="off" spellcheck="false" class="fleet-q" />
    ${(!phone || more) && html`
      ${pick('venue', t('fleet.col.venue'), (venues ?? []).map(v => [v.id, v.name]))}
      ${pick('kind', t('fleet.col.kind'), kinds.map(k => [k, tCode('kind', k)]))}
      ${pick('state', t('fleet.col.state'), states.map(s => [s, tCode('state', s)]))}`}
    ${more && html`
      ${pick('service', t('fleet.service'), services.map(s => [s, tCode('state', s)]))}
      ${pick('battery', t('fleet.battery_below'), ['10', '20', '30', '50', '80'].map(n => [n, n + ' %']))}
      ${pick('firmware', t('fleet.firmware'), fleet.firmwares.filter(Boolean).map(f => [f, f]))}`}
    ${phone && more && html`<${Select} label=${t('fleet.sort')} value=${sort} onChange=${v => set({ sort: v === 'id' ? '' : v })} options=${['id', '-heard', 'heard', 'battery', 'state', 'problems', 'venue', '-failures'].map(k => [k, t('fleet.col.' + k.replace('-', '')) + (k.startsWith('-') || k === 'problems' ? ' ↓' : ' ↑')])} />`}
    <div class="fleet-bar-end"><${Button} kind="quiet" icon="filter" label=${t(more ? 'fleet.fewer_filters' : 'fleet.more_filters')} onClick=${() => setMore(!more)} aria-expanded=${String(more)}>${t(more ? 'fleet.fewer_filters' : 'fleet.more_filters')}<//>
    ${some && html`<${Button} kind="quiet" icon="x" label=${t('fleet.clear')} onClick=${clear}>${t('fleet.clear')}<//>`}</div>
  </form>`
}

function Chips({ view, filter, set, saved, onForget, onSave }) {
  const chip = (value, word, n) => html`<button type="button" key=${value} class=${'chip' + (n ? '' : ' none')} aria-pressed=${String(filter.problem === value)}
    onClick=${() => set({ problem: filter.problem === value ? '' : value }, false)}>${word}<span class="count">${number(n)}</span></button>`
  return html`<div class="fleet-chips" role="group" aria-label=${t('fleet.chips')}>
    ${chip('any', t('fleet.chip.any'), view.problemAny)}
    ${chips.map(p => {
      const n = view.problemCounts[problemNames.indexOf(p)]
      return (usual.includes(p) || n > 0 || filter.problem === p) && chip(p, p === 'unlock_failures' ? t('fleet.problem.unlock_failures.from', { n: fleet.failing }) : t('fleet.problem.' + p), n)
    })}
    ${saved.map(f => html`<span class="chip own" key=${'own ' + f.name}><${Link} to="/" query=${f.query}>${f.name}<//><button type="button" aria-label=${t('fleet.forget', { name: f.name })} title=${t('fleet.forget', { name: f.name })} onClick=${() => onForget(f.name)}><${Icon} name="x" /></button></span>`)}
    ${onSave && html`<${Button} kind="quiet" small icon="plus" onClick=${onSave}>${t('fleet.save')}<//>`}
  </div>`
}

const store = 'unlatch.fleet.filters'

function savedFilters() {
  try {
    const all = JSON.parse(localStorage.getItem(store) ?? '[]')
    return Array.isArray(all) ? all.filter(f => typeof f?.name === 'string' && f.query) : []
  } catch { return [] }
}

function keep(all) {
  try { localStorage.setItem(store, JSON.stringify(all)) } catch { /* a private window keeps nothing */ }
  return all
}

function SaveDialog({ onClose, onSave }) {
  const [name, setName] = useState('')
  return html`<${Dialog} title=${t('fleet.save.title')} onClose=${onClose}>
    <form class="stack" onSubmit=${e => { e.preventDefault(); if (name.trim()) onSave(name.trim()) }}>
      <${Field} label=${t('fleet.save.name')} value=${name} onInput=${setName} maxlength="40" required autofocus hint=${t('fleet.save.text')} />
      <div class="dialog-foot"><span class="grow"></span><${Button} type="submit" kind="primary" disabled=${!name.trim()}>${t('fleet.save.do')}<//></div>
    </form>
  <//>`
}

/* The list */

function List({ board: b, sort, set, ready, filtered, phone, problem }) {
  const box = useRef(/** @type {any} */ (null))
  const sorting = useRef(sort)
  sorting.current = sort
  const latest = useRef(set)
  latest.current = set
  const search = useRef('')
  if (route.value.path === '/') search.current = location.search
  useEffect(() => {
    const rows = b.rows = new Rows(box.current, {
      columns: columns(), label: t('fleet.table'),
      height: () => narrow.matches ? 60 : document.documentElement.dataset.density === 'roomy' ? 44 : 36,
      rowAt: place => b.view.rows[place],
      onOpen: open,
      onActive: row => b.map?.light(row, true),
      onHover: row => b.map?.light(row >= 0 ? row : b.picked.peek()),
      onSort: by => {
        const now = sorting.current
        latest.current({ sort: now === by ? '-' + by : now === '-' + by ? '' : by === 'id' ? '' : by })
      },
    })
    rows.show(b.view.count)
    rows.sorted(b.sort)
    if (left?.search === location.search) {
      if (left.active >= 0) rows.move(left.active, false)
      box.current.scrollTop = left.top
      rows.again()
    }
    return () => {
      left = { search: search.current, top: rows.element.scrollTop, active: rows.active, place: left?.place }
      rows.remove()
      b.rows = null
    }
  }, [])
  useEffect(() => { b.rows?.relabel(columns(), t('fleet.table')) }, [language.value])
  useEffect(() => { b.rows?.resize() }, [phone, density.value])
  useEffect(() => { box.current.style.setProperty('--marks', `url(${marksOf()})`) }, [isDark()])
  const empty = ready && b.view.count === 0
  // Others than its problem find devices: then none of these has it. All is well only where
  // nothing at all is wrong anywhere.
  const { problem: asked } = b.filter, alone = Object.keys(b.filter).length === 1
  const well = empty && fleet.n > 0 && asked && b.view.candidates > 0
  const all = asked === 'any' && alone
  return html`<section class="fleet-list" aria-label=${t('fleet.list')}>
    <div class="fleet-scroll" ref=${box} hidden=${!ready || empty}></div>
    ${!ready && !problem && html`<${Spinner} text=${t('fleet.loading')} />`}
    ${empty && (well ? html`<${Empty} icon="ok" title=${t(all ? 'fleet.well' : 'fleet.well.no_' + asked)} text=${t(all ? 'fleet.well.text' : alone ? 'fleet.well.others' : 'fleet.well.filter')}><${Button} onClick=${() => set({ problem: '' }, false)}>${t('fleet.well.all')}<//><//>`
      : filtered ? html`<${Empty} icon="filter" title=${t('fleet.none')} text=${t('fleet.none.text')}><${Button} onClick=${() => go('/')}>${t('fleet.clear')}<//><//>`
      : html`<${Empty} icon="lock" title=${t('fleet.empty')} text=${t('fleet.empty.text')}>${can('admin') && html`<${Link} to="/import" class="button primary">${t('fleet.empty.act')}<//>`}<//>`)}
  </section>`
}

/* The map */

function MapPane({ board: b, filter, set, venues, shown }) {
  const box = useRef(/** @type {any} */ (null))
  const ground = useGround(venues)
  const only = Boolean(filter.box)
  const latest = useRef({ only, set })
  latest.current = { only, set }
  useEffect(() => {
    const map = b.map = new FleetMap(box.current, fleet, b.view, {
      onPick: row => b.pick(row), onOpen: open,
      onHover: row => b.rows?.light(row >= 0 ? row : b.picked.peek()),
      onMove: seen => { if (latest.current.only) latest.current.set({ box: seen }) },
      words: { label: t('map.label'), zoomIn: t('map.zoom_in'), zoomOut: t('map.zoom_out') }, language: language.peek(),
    })
    const there = left?.search === location.search ? left.place : null, asked = filter.box && boxOf(filter.box)
    if (there) map.back(there)
    else if (asked) map.show(asked)
    map.loaded()
    return () => {
      if (left) left.place = map.place()
      map.remove()
      b.map = null
    }
  }, [])
  useEffect(() => { b.map?.setLanguage(language.value) }, [language.value])
  useEffect(() => { if (ground) b.map?.setGround(ground.settings, venues ?? [], ground.maps, ground.bases) }, [ground])
  useEffect(() => { if (shown) b.map?.appeared() }, [shown])
  b.version.value
  devices.value
  const row = b.picked.value
  return html`<section class="fleet-map" aria-label=${t('fleet.map')}>
    <div class="map-box"><div class="map" ref=${box}></div>
    <div class="map-tools">
      <${Button} small icon="full" label=${t('map.fit')} onClick=${() => { if (only) set({ box: '' }); setTimeout(() => b.map?.fit()) }}>${t('map.fit')}<//>
      <button type="button" class="chip" aria-pressed=${String(only)} onClick=${() => set({ box: only ? '' : b.map?.box() })}>${t('map.only_here')}</button>
    </div>
    ${ground?.settings?.attribution && html`<p class="map-credit">${ground.settings.attribution}</p>`}
    ${row >= 0 && row < fleet.n && html`<${Picked} board=${b} row=${row} />`}</div>
    <ul class="map-legend" aria-label=${t('map.legend')}>${states.map((s, i) => b.view.stateCounts[i] > 0 && html`<li key=${s}><button type="button" aria-pressed=${String(filter.state === s)} onClick=${() => set({ state: filter.state === s ? '' : s })}>
      <img src=${(isDark(), markOf(s))} alt="" width="18" height="18" />${tCode('state', s)}<span class="count">${number(b.view.stateCounts[i])}</span></button></li>`)}</ul>
  </section>`
}

function Picked({ board: b, row }) {
  const d = fleet.row(row), wrong = wrongOf(row)
  return html`<aside class=${'map-card' + (b.map?.high(row) ? ' low' : '')} aria-label=${t('map.card')}>
    <header><img src=${(isDark(), markOf(d.state))} alt="" width="20" height="20" /><strong>${d.id}</strong><span>${tCode('state', d.state)}</span>
      <${Button} kind="quiet" small icon="x" label=${t('part.close')} onClick=${() => b.pick(-1)} /></header>
    <p class="quiet">${tCode('kind', d.kind)} · ${b.names[d.venue] ?? d.venue}${d.battery != null && ` · ${t('map.battery')} ${d.battery} %`} · ${d.heard ? html`${t('map.heard')} ${when(d.heard * 1000)}` : t('fleet.never')}</p>
    ${wrong.length > 0 && html`<p class="wrong">▲ ${wrong.join(' · ')}</p>`}
    <${Link} to=${'/devices/' + encodeURIComponent(d.id)} class="button primary small">${t('map.open')}<//>
  </aside>`
}

/* What is loaded once */

function useVenues(b) {
  const [venues, setVenues] = useState(/** @type {any[] | null} */ (null))
  useEffect(() => {
    let gone = false
    get('/venues').then(a => { if (!gone) setVenues(a.venues ?? []) }, () => { if (!gone) setVenues([]) }) // ids stand for names then
    return () => { gone = true }
  }, [])
  return venues
}

const drawings = ['campus', 'station']
const most = 60 // venues whose maps are asked for

// useGround loads what lies under the devices. What is not there, or not for this role,
// is left out: the map is the list's companion and never stands in its way.
function useGround(venues) {
  const [ground, setGround] = useState(/** @type {any} */ (null))
  useEffect(() => {
    if (!venues) return
    let gone = false
    const or = (promise, other) => promise.catch(() => other)
    Promise.all([
      or(get('/settings'), null),
      Promise.all(drawings.map(name => or(fetch(new URL(`../base/${name}.json`, import.meta.url)).then(r => r.ok ? r.json() : null), null))),
      Promise.all(venues.slice(0, most).map(v => or(get(`/venues/${encodeURIComponent(v.id)}/map`), null))),
    ]).then(([settings, bases, maps]) => {
      if (!gone) setGround({ settings: settings?.map ?? null, bases: bases.filter(Boolean), maps: Object.fromEntries(maps.map((m, i) => [venues[i].id, m]).filter(([, m]) => m)) })
    })
    return () => { gone = true }
  }, [venues])
  return ground
}

/* What leaves the page */

function download(b) {
  const iso = s => s ? new Date(s * 1000).toISOString() : ''
  const of = name => ({ title: t('fleet.col.' + name) })
  exportCSV('fleet', [
    { ...of('id'), csv: i => fleet.ids[i] }, { ...of('kind'), csv: i => kinds[fleet.kind[i]] }, { ...of('venue'), csv: i => fleet.venues[fleet.venue[i]] ?? '' },
    { ...of('service'), csv: i => services[fleet.service[i]] }, { ...of('state'), csv: i => states[fleet.state[i]] }, { ...of('since'), csv: i => iso(fleet.since[i]) },
    { ...of('battery'), csv: i => fleet.battery[i] < 0 ? '' : fleet.battery[i] }, { ...of('heard'), csv: i => iso(fleet.heard[i]) },
    { ...of('problems'), csv: i => problemNames.filter(p => fleet.problems[i] & problems[p]).join(' ') }, { ...of('failures'), csv: i => fleet.failures[i] },
    { ...of('orders'), csv: i => fleet.orders[i] }, { ...of('firmware'), csv: i => fleet.firmwares[fleet.firmware[i]] ?? '' },
    { ...of('lat'), csv: i => Number.isNaN(fleet.lat[i]) ? '' : fleet.lat[i].toFixed(6) }, { ...of('lng'), csv: i => Number.isNaN(fleet.lng[i]) ? '' : fleet.lng[i].toFixed(6) },
  ], Array.from(b.view.rows.subarray(0, b.view.count)))
}
