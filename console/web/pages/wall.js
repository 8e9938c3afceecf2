// The pump wall: a tile for each side of each pump of a venue, with litres and yuan as
// they run. What runs is not proven; the bill is what the pump signs at the end.
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js'
import { can, get, pages, post } from '../lib/api.js'
import { age, clock, money, number, relative, tick } from '../lib/format.js'
import { useKeys } from '../lib/keys.js'
import { fleet, fleetState, needFleet, onUpdate, stream } from '../lib/live.js'
import { Link, useQuery } from '../lib/router.js'
import { Badge, Button, confirmAct, Dialog, Empty, Field, Icon, Loaded, Page, ProblemBox, Select, toast, useLoad } from '../lib/ui.js'
import { addWords, has, t } from '../lib/words.js'
import words from '../words/wall.js'

addWords(words)

const staleAfter = 5000 // ms without a new figure of a pump at work; its link may be lost

/** Tone and icon of a side's state. @type {Record<string, [string, string]>} */
const looks = {
  idle: ['off', 'minus'], calling: ['warn', 'nozzle'], authorised: ['busy', 'check'], started: ['busy', 'nozzle'], fuelling: ['busy', 'drop'], suspended: ['warn', 'pause'], complete: ['ok', 'check'],
  starting: ['busy', 'clock'], in_use: ['busy', 'moving'], reserved: ['busy', 'reserved'], stopped: ['bad', 'stop'], fault: ['bad', 'bad'], offline: ['bad', 'offline'], never_heard: ['off', 'unknown'],
  unresolved: ['bad', 'unknown'], await_closed: ['warn', 'clock'], maintenance: ['warn', 'fault'], out_of_service: ['bad', 'blocked'], retired: ['off', 'minus'], unusable: ['off', 'minus'], missing: ['bad', 'unknown'], removed: ['off', 'minus'],
}
const busy = new Set(['calling', 'authorised', 'started', 'fuelling', 'suspended', 'complete', 'starting', 'in_use'])
const trouble = state => ['bad', 'warn'].includes(looks[state]?.[0]) && !busy.has(state)

/** The state of a side: what keeps it from work first, then what it does. */
function stateOf(device, outlet) {
  if (device.stopped) return 'stopped'
  if (device.service !== 'in_service') return looks[device.service] ? device.service : 'unusable'
  if (outlet.block) return outlet.block === 'await_closed' ? 'await_closed' : 'unresolved'
  if (outlet.availability === 'non_contactable') return device.heard_at ? 'offline' : 'never_heard'
  const shown = outlet.live?.state
  if (shown === 'fault') return 'fault'
  if (outlet.order) return busy.has(shown) ? shown : outlet.availability === 'in_use' ? 'in_use' : 'starting'
  if (outlet.availability === 'reserved') return 'reserved'
  if (shown === 'calling') return 'calling'
  return { missing: 'missing', removed: 'removed', non_operational: 'unusable' }[outlet.availability] ?? 'idle'
}

export default function Wall() {
  const [query, setQuery] = useQuery()
  const tv = query.tv === '1'
  const load = useLoad(async abort => {
    const [{ venues }] = await Promise.all([get('/venues', {}, abort), needFleet()])
    if (!fleetState.peek().ready) throw fleetState.peek().problem
    const pumps = new Set()
    for (let i = 0; i < fleet.n; i++) if (fleet.kind[i] === 1) pumps.add(fleet.venues[fleet.venue[i]])
    return venues.filter(v => pumps.has(v.id))
  }, [])
  if (load.data === undefined) return html`<${Page} wide title=${t('wall.title')}><${Loaded} load=${load}>${() => null}<//><//>`
  return html`<${Loaded} load=${load}>${venues => {
    if (!venues.length) return html`<${Page} title=${t('wall.title')}><${Empty} icon="pump" title=${t('wall.none')} text=${t('wall.none_text')} /><//>`
    const venue = venues.find(v => v.id === query.venue) ?? venues[0]
    return html`<${Station} key=${venue.id} venue=${venue} venues=${venues} tv=${tv} query=${query} setQuery=${setQuery} reload=${load.reload} />`
  }}<//>`
}

/** Devices of a venue, kept new by updates; while the stream is away, by asking. */
function usePumps(venue) {
  const [state, setState] = useState({ devices: /** @type {Map<string, any> | null} */ (null), problem: /** @type {any} */ (null) })
  const again = useRef(new Map())
  const put = found => setState(s => {
    const devices = new Map(s.devices ?? [])
    for (const d of found) if (d.kind === 'pump' && d.venue === venue) devices.set(d.id, d)
    return { devices, problem: null }
  })
  const readAll = async () => {
    try {
      const found = []
      for await (const page of pages('/devices', { venue, kind: 'pump', limit: 100 })) found.push(...page.devices)
      put(found)
      if (!found.length) setState({ devices: new Map(), problem: null })
    } catch (problem) { setState(s => ({ ...s, problem })) }
  }
  // One device is read again at most twice a second, whatever is told of it.
  const readOne = id => {
    if (again.current.has(id)) return
    again.current.set(id, setTimeout(async () => {
      again.current.delete(id)
      try { put([await get('/devices/' + encodeURIComponent(id))]) } catch { readAll() }
    }, 500))
  }
  useEffect(() => {
    readAll()
    const known = id => setState(s => { if (s.devices?.has(id)) readOne(id); return s })
    const cancel = [
      onUpdate('device', rows => rows.forEach(r => known(r.id))), onUpdate('order', o => known(o.device)), onUpdate('resync', readAll),
      onUpdate('pump', p => setState(s => {
        const d = s.devices?.get(p.device)
        if (!d) return s
        const told = new Map(p.outlets.map(o => [o.outlet, o.live]))
        const outlets = d.outlets.map(o => {
          const l = told.get(o.outlet)
          return l ? { ...o, live: { state: l.state, millilitres: l.ml, amount_fen: l.fen, at: l.at } } : o
        })
        // A nozzle that went up or came back moves an order; its state is read anew.
        if (outlets.some((o, i) => o.live?.state !== d.outlets[i].live?.state)) readOne(d.id)
        return { ...s, devices: new Map(s.devices).set(d.id, { ...d, outlets }) }
      })),
    ]
    const poll = setInterval(() => { if (stream.peek() !== 'live' && !document.hidden) readAll() }, 2000)
    return () => { cancel.forEach(c => c()); clearInterval(poll); again.current.forEach(clearTimeout) }
  }, [venue])
  return { ...state, reload: readAll }
}

/** The last settled sale of each side, by device and outlet. */
function useLastSales(venue) {
  const [sales, setSales] = useState(/** @type {Map<string, any>} */ (new Map()))
  useEffect(() => {
    let timer = /** @type {any} */ (0), over = false
    const read = async () => {
      timer = 0
      try {
        const { orders } = await get('/orders', { venue, state: 'settled', limit: 100 })
        const found = new Map()
        for (const o of orders) if (o.fuel && !found.has(o.device + '/' + o.outlet)) found.set(o.device + '/' + o.outlet, o)
        if (!over) setSales(found)
      } catch { /* tiles do without */ }
    }
    read()
    const soon = () => { timer ||= setTimeout(read, 1500) }
    const cancel = onUpdate('order', o => { if (o.venue === venue && ['settled', 'ended'].includes(o.state)) soon() })
    const poll = setInterval(() => { if (stream.peek() !== 'live') soon() }, 8000)
    return () => { over = true; cancel(); clearTimeout(timer); clearInterval(poll) }
  }, [venue])
  return sales
}

/** What the running orders were allowed: grade and most Fen, by order; each is read once. */
function useLimits(sides) {
  const [limits, setLimits] = useState(/** @type {Map<string, any>} */ (new Map()))
  const asked = useRef(new Set())
  useEffect(() => {
    for (const { outlet } of sides) {
      const id = outlet.order
      if (!id || asked.current.has(id)) continue
      asked.current.add(id)
      get('/orders/' + id).then(o => setLimits(m => new Map(m).set(id, { grade: o.fuel?.grade ?? o.preset?.grade, fen: o.fuel?.limit_fen || o.hold_fen })), () => {})
    }
  }, [sides])
  return limits
}

function Station({ venue, venues, tv, query, setQuery, reload }) {
  const { devices, problem, reload: again } = usePumps(venue.id)
  const sales = useLastSales(venue.id)
  const prices = useLoad(abort => get(`/venues/${venue.id}/prices`, {}, abort), [venue.id])
  const [stopping, setStopping] = useState(false)
  const root = useRef(/** @type {any} */ (null))
  const may = can('field')
  const sides = useMemo(() => [...(devices?.values() ?? [])].sort((a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }))
    .flatMap(d => d.outlets.map(o => ({ device: d, outlet: o, state: stateOf(d, o) }))), [devices])
  const busyCount = sides.filter(s => busy.has(s.state)).length, badCount = sides.filter(s => trouble(s.state)).length
  const show = query.show ?? ''
  const limits = useLimits(sides)
  const shown = sides.filter(s => show === 'busy' ? busy.has(s.state) : show === 'bad' ? trouble(s.state) : true)
  useKeys([...(may ? [{ keys: 's', words: 'wall.key_stop', run: () => setStopping(true) }] : []), { keys: 'v', words: 'wall.key_tv', run: () => setQuery({ tv: tv ? '' : '1' }) }], [tv, may])
  useAwake(tv)
  const fuel = prices.data?.kinds.find(k => k.kind === 'pump' && !k.group)?.now?.fuel
  const names = Object.fromEntries((fuel?.grades ?? []).map(g => [g.grade, g.name]))
  const full = () => document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()
  return html`<${Page} wide title=${tv ? venue.name : t('wall.title')} sub=${html`<span class="wall-sums"><span>${t('wall.sides_n', { n: sides.length })}</span>${busyCount > 0 && html`<span class="busy">${t('wall.busy_n', { n: busyCount })}</span>`}${badCount > 0 && html`<span class="bad">${t('wall.bad_n', { n: badCount })}</span>`}</span>`}
    actions=${html`${tv && html`<${Clock} zone=${venue.time_zone} /><${Button} kind="quiet" icon="full" label=${t('wall.full')} onClick=${full} />`}
      <${Button} icon=${tv ? 'x' : 'wall'} onClick=${() => setQuery({ tv: tv ? '' : '1' })}>${tv ? t('wall.tv_end') : t('wall.tv')}<//>
      ${may && html`<${Button} kind="danger" icon="stop" onClick=${() => setStopping(true)}>${t('wall.stop_all')}<//>`}`}>
    <div ref=${root} class=${'wall' + (tv ? ' tv' : '')}>
      ${!tv && html`<div class="filters">
        ${venues.length > 1 && html`<${Select} inline label=${t('wall.venue')} value=${venue.id} onChange=${v => setQuery({ venue: v })} options=${venues.map(v => [v.id, v.name])} />`}
        <div class="segments" role="group" aria-label=${t('wall.only')}>${[['', t('wall.all')], ['busy', t('wall.only_busy')], ['bad', t('wall.only_bad')]].map(([v, word]) => html`<button type="button" key=${v} aria-pressed=${String(show === v)} onClick=${() => setQuery({ show: v })}>${word}</button>`)}</div>
        ${venues.length === 1 && html`<span class="quiet wall-venue">${venue.name}</span>`}
        <span class="grow"></span><${Prices} fuel=${fuel} /></div>`}
      ${tv && html`<${Prices} fuel=${fuel} />`}
      <${ProblemBox} problem=${problem} retry=${again} />
      ${venue.stopped && html`<div class="problem" role="alert"><${Icon} name="stop" /><div><strong>${t('wall.venue_stopped')}</strong><p>${t('wall.venue_stopped_text')}</p></div></div>`}
      ${!devices ? !problem && html`<div class="tiles">${[1, 2, 3, 4, 5, 6].map(n => html`<div class="tile ghost" key=${n}></div>`)}</div>`
        : shown.length ? html`<ul class="tiles" style=${tv ? { '--columns': columnsOf(shown.length) } : undefined}>${shown.map(s => html`<${Tile} key=${s.device.id + '/' + s.outlet.outlet} side=${s} names=${names} limit=${limits.get(s.outlet.order)} sale=${sales.get(s.device.id + '/' + s.outlet.outlet)} may=${may} tv=${tv} done=${again} />`)}</ul>`
        : html`<${Empty} icon=${show === 'bad' ? 'ok' : 'pump'} title=${sides.length ? t('wall.nothing_such') : t('wall.none')} />`}
    </div>
    ${stopping && html`<${StopAll} venue=${venue} close=${done => { setStopping(false); if (done) { again(); reload() } }} />`}
  <//>`
}

// columnsOf lays n tiles out so that they fill a screen of 16 to 9.
const columnsOf = n => Math.max(2, Math.ceil(Math.sqrt(n * 1.07)))

function Prices({ fuel }) {
  if (!fuel) return null
  return html`<ul class="prices" aria-label=${t('wall.prices')}>${fuel.grades.map(g => html`<li key=${g.grade}><b>${g.name}</b> ${t('wall.per_litre', { price: '¥' + number(g.unit_price / 1000, g.unit_price % 10 ? 3 : 2) })}</li>`)}</ul>`
}

function Clock({ zone }) {
  const [now, setNow] = useState(Date.now())
  useEffect(() => { const timer = setInterval(() => setNow(Date.now()), 1000); return () => clearInterval(timer) }, [])
  return html`<span class="wall-clock" aria-hidden="true">${clock(now, zone)}</span>`
}

// useAwake keeps a screen on a wall from going dark.
function useAwake(on) {
  useEffect(() => {
    if (!on || !navigator.wakeLock) return
    let lock = /** @type {any} */ (null), over = false
    const take = async () => { try { lock = await navigator.wakeLock.request('screen'); if (over) lock.release() } catch { /* hidden, or low battery */ } }
    const back = () => { if (!document.hidden) take() }
    take()
    document.addEventListener('visibilitychange', back)
    return () => { over = true; lock?.release(); document.removeEventListener('visibilitychange', back) }
  }, [on])
}

function Tile({ side: { device, outlet, state }, names, limit, sale, may, tv, done }) {
  const now = tick.value
  const [tone, icon] = looks[state] ?? ['off', 'unknown']
  const live = outlet.live
  const running = outlet.order && live && busy.has(state) && state !== 'starting'
  const old = running && Math.max(now, Date.now()) - new Date(live.at).getTime()
  const stale = running && state !== 'complete' && Number(old) > staleAfter
  const figures = running ? { ml: live.millilitres, fen: live.amount_fen } : sale ? { ml: sale.fuel.millilitres, fen: sale.charged_fen } : null
  const name = `${device.id} · ${t('wall.side', { n: outlet.outlet })}`
  const word = has('wall.s_' + state) ? t('wall.s_' + state) : state
  const stop = () => confirmAct({
    title: t('wall.stop_device', { device: device.id }), text: t('wall.stop_text', { device: device.id }), reason: true, danger: true,
    run: reason => post(`/devices/${device.id}/stop`, { reason }), curl: { method: 'POST', path: `/devices/${device.id}/stop`, body: {} },
  }).then(d => { if (d !== undefined) { toast(t('wall.stopped_one', { device: device.id })); done() } })
  const grades = [...new Set(outlet.nozzles?.map(n => n.grade) ?? [])]
  return html`<li class=${`tile ${tone} ${running ? 'running' : ''} ${state === 'fuelling' && !stale ? 'flows' : ''}`} aria-label=${name}>
    <div class="tile-head"><${Link} to=${'/devices/' + device.id} class="tile-name" aria-label=${t('wall.open', { device: device.id })}>${device.id}<//><span class="quiet">${t('wall.side', { n: outlet.outlet })}</span><span class="grow"></span><${Badge} tone=${tone} icon=${icon} word=${word} /></div>
    <div class=${'tile-figures' + (running ? '' : ' last')}>${figures ? html`
      <div class="tile-figure"><span>${number(figures.ml / 1000, 2)}</span><small>${t('wall.litres')}</small></div>
      <div class="tile-figure"><span>${number(Math.floor(figures.fen / 100))}.${String(figures.fen % 100).padStart(2, '0')}</span><small>${t('wall.yuan')}</small></div>`
      : html`<div class="tile-none quiet">${t('wall.no_sale')}</div>`}</div>
    ${running && limit?.fen > 0 && html`<div class="tile-bar" aria-hidden="true"><i style=${{ width: Math.min(100, 100 * live.amount_fen / limit.fen) + '%' }}></i></div>`}
    <div class="tile-foot"><span class="grow clip quiet">${stale ? html`<span class="stale"><${Icon} name="offline" /> ${t('wall.stale', { age: age(Number(old) / 1000) })}</span>`
      : ['offline', 'stopped'].includes(state) ? (device.stopped && state === 'stopped' ? device.stopped : t('wall.silent', { age: age((now - new Date(device.heard_at).getTime()) / 1000) }))
      : running ? html`${limit?.grade ? names[limit.grade] ?? limit.grade : ''}${limit?.fen > 0 && html` · ${t('wall.preset', { most: limit.fen % 100 ? money(limit.fen) : '¥' + number(limit.fen / 100) })}`}`
      : sale ? html`${relative(sale.done_at ?? sale.created_at)}${sale.fuel.grade && ` · ${names[sale.fuel.grade] ?? sale.fuel.grade}`}` : grades.map(g => names[g] ?? g).join(' · ')}</span>
      ${!tv && outlet.order && html`<${Link} to=${'/orders/' + outlet.order} class="button quiet small bare" aria-label=${t('wall.order_of', { name })} title=${t('wall.order_of', { name })}><${Icon} name="order" /><//>`}
      ${!tv && may && !device.stopped && html`<${Button} small kind="quiet" icon="stop" class="tile-stop" aria-label=${t('wall.stop_device', { device: device.id })} onClick=${stop}>${t('wall.stop')}<//>`}</div>
  </li>`
}

/** Stops every pump of a venue: first it is counted, then it is confirmed. Enter goes on at each step. */
function StopAll({ venue, close }) {
  const [why, setWhy] = useState(t('wall.emergency')), [counted, setCounted] = useState(/** @type {any} */ (null))
  const [working, setWorking] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null)), [left, setLeft] = useState(0)
  const path = `/venues/${venue.id}/stop`
  useEffect(() => {
    if (!counted) return
    const until = Date.now() + 30_000, ends = Math.min(until, new Date(counted.expires_at).getTime() || until)
    const show = () => setLeft(Math.max(0, Math.ceil((ends - Date.now()) / 1000)))
    show()
    const timer = setInterval(show, 250)
    return () => clearInterval(timer)
  }, [counted])
  const form = useRef(/** @type {any} */ (null)), countedAt = useRef(0)
  useEffect(() => { if (counted) form.current?.querySelector('button.danger')?.focus() }, [counted])
  const step = async e => {
    e.preventDefault()
    // A key that is held down counts once: the second step wants a second press.
    if (working || Date.now() - countedAt.current < 500) return
    setWorking(true)
    setProblem(null)
    try {
      if (!counted || left === 0) {
        const answer = await post(path, { reason: why.trim() })
        countedAt.current = Date.now()
        setLeft(30)
        setCounted(answer)
      } else {
        const answer = await post(path, { reason: why.trim(), confirm: counted.confirm })
        toast(t('wall.done', { n: answer.devices }))
        return close(true)
      }
    } catch (p) { setProblem(p) }
    setWorking(false)
  }
  const over = counted && left === 0
  return html`<${Dialog} title=${t('wall.stop_all_title', { venue: venue.name })} onClose=${() => { if (!working) close(false) }}><form class="stack" ref=${form} onSubmit=${step}>
    <p class="quiet">${counted ? t('wall.step_2') : t('wall.step_1')}</p>
    ${counted ? html`<ul class="stop-list"><li><${Icon} name="pump" /><b>${t('wall.would', { n: counted.devices })}</b></li><li><${Icon} name="drop" />${t('wall.would_running', { n: counted.running })}</li><li><${Icon} name="staff" />${t('wall.would_hand')}</li></ul>
        <p class=${over ? 'bad-text' : 'quiet'} role="status">${over ? t('wall.over') : t('wall.left', { n: left })}</p>`
      : html`<p>${t('wall.stop_all_text')}</p><${Field} label=${t('wall.why')} value=${why} onInput=${setWhy} maxlength="500" required autofocus />`}
    <${ProblemBox} problem=${problem} />
    <div class="dialog-foot"><span class="grow"></span><${Button} onClick=${() => close(false)} disabled=${working}>${t('ui.cancel')}<//>
      ${counted && !over ? html`<${Button} key="now" type="submit" kind="danger" icon="stop" busy=${working}>${t('wall.now')}<//>`
        : html`<${Button} key="count" type="submit" kind="danger" busy=${working} disabled=${!why.trim()}>${t('wall.count')}<//>`}</div>
  </form><//>`
}
