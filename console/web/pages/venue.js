// One venue: its facts, its map, its prices, and stopping it.
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js'
import { call, can, get, post, put } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { at, number, when } from '../lib/format.js'
import { Link, useQuery } from '../lib/router.js'
import { Badge, Button, Card, Check, CurlButton, Empty, Field, Loaded, Page, ProblemBox, Select, Tabs, confirmAct, toast, useLoad } from '../lib/ui.js'
import { fetchFile, reloadVenues } from './office.js'
import { areaOf, shapesIn, shapesOf, squareMetres } from './area.js'
import { save } from './archive.js'
import { FenceMap } from './fencemap.js'
import { sentences } from './pricewords.js'
import { VenueState, Zones } from './venues.js'
import '../words/venues.js'
import '../words/tariffs.js'

/** What put-venue takes, of what get-venue gives. */
const factsOf = v => Object.fromEntries(['name', 'time_zone', 'open', 'lat', 'lng', 'start_radius_m', 'opening_hours', 'geofence', 'kiosk_only', 'phone'].filter(k => v[k] !== undefined && v[k] !== '').map(k => [k, v[k]]))

/** @param {{params: {id: string}, query: Record<string, string>}} props */
export default function Venue({ params, query }) {
  const [, setQuery] = useQuery()
  const load = useLoad(abort => get('/venues/' + params.id, {}, abort), [params.id])
  const tab = query.tab ?? 'facts'
  const v = load.data
  const saved = fresh => { load.set(fresh); reloadVenues() }
  return html`<${Page} title=${v?.name ?? params.id} sub=${v && html`<${VenueState} venue=${v} />`} back=${html`<${Link} to="/venues" class="button quiet bare" aria-label=${t('venue.title')}>←<//>`}
      actions=${v && html`<${Link} class="button" to="/" query=${{ venue: v.id }}>${t('venue.devices')}<//><${Link} class="button" to="/orders" query=${{ venue: v.id }}>${t('venue.orders')}<//>`}>
    <${Tabs} label=${v?.name} value=${tab} onChange=${to => setQuery({ tab: to === 'facts' ? '' : to })} tabs=${['facts', 'map', 'prices', 'stop'].map(value => ({ value, word: t('venue.tab.' + value) }))} />
    <${Loaded} load=${load}>${venue => html`
      ${tab === 'facts' && html`<${Facts} key=${venue.id} venue=${venue} saved=${saved} />`}
      ${tab === 'map' && html`<${Maps} key=${venue.id} venue=${venue} saved=${saved} />`}
      ${tab === 'prices' && html`<${Prices} venue=${venue} />`}
      ${tab === 'stop' && html`<${Stop} venue=${venue} reload=${load.reload} />`}`}<//>
  <//>`
}

function Facts({ venue, saved }) {
  const mine = can('admin')
  const [f, setForm] = useState(() => ({ name: venue.name, zone: venue.time_zone, open: venue.open, phone: venue.phone ?? '', hours: venue.opening_hours ?? '', radius: String(venue.start_radius_m ?? 0), kiosk: !!venue.kiosk_only,
    lat: venue.lat == null ? '' : String(venue.lat), lng: venue.lng == null ? '' : String(venue.lng), reason: '' }))
  const set = change => setForm(o => ({ ...o, ...change }))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  const lat = Number(f.lat || 0), lng = Number(f.lng || 0), radius = Number(f.radius || 0)
  const wrong = { lat: !(Math.abs(lat) <= 90), lng: !(Math.abs(lng) <= 180), radius: !(Number.isInteger(radius) && radius >= 0 && radius <= 100_000), name: !f.name.trim() }
  const body = { ...factsOf(venue), name: f.name.trim(), time_zone: f.zone.trim(), open: f.open, lat, lng, start_radius_m: radius, opening_hours: f.hours.trim(), phone: f.phone.trim(), kiosk_only: f.kiosk }
  const changed = ['name', 'time_zone', 'open', 'lat', 'lng', 'start_radius_m', 'opening_hours', 'phone', 'kiosk_only'].filter(k => (body[k] || '') !== (venue[k] || ''))
  const save = async e => {
    e.preventDefault()
    if (Object.values(wrong).some(Boolean)) return
    if (venue.open && !f.open && await confirmAct({ title: t('venue.close_title', { name: venue.name }), text: t('venue.close_text'), word: t('venue.close'), run: async () => true }) === undefined) return
    setBusy(true)
    setProblem(null)
    try { saved(await put('/venues/' + venue.id, { ...body, ...(f.reason && { reason: f.reason }) })); set({ reason: '' }); toast(t('office.saved')) } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  return html`<form class="stack" onSubmit=${save}>
    <${Card} title=${t('venue.tab.facts')} actions=${html`<code class="quiet">${venue.id}</code>`}>
      <fieldset class="plain" disabled=${!mine}>
        <div class="fields">
          <${Field} label=${t('venue.name')} value=${f.name} onInput=${name => set({ name })} maxlength="100" problem=${wrong.name && t('venue.wrong_name')} />
          <${Field} label=${t('venue.zone')} value=${f.zone} onInput=${zone => set({ zone })} list="zones" spellcheck="false" /><${Zones} />
          <${Field} label=${t('venue.phone')} value=${f.phone} onInput=${phone => set({ phone })} type="tel" maxlength="40" hint=${t('venue.phone_hint')} />
          <${Field} label=${t('venue.radius')} value=${f.radius} onInput=${r => set({ radius: r })} inputmode="numeric" unit=${t('office.metres')} hint=${t('venue.radius_hint')} problem=${wrong.radius && t('venue.wrong_radius')} />
          <${Field} label=${t('venue.lat')} value=${f.lat} onInput=${v => set({ lat: v })} inputmode="decimal" problem=${wrong.lat && t('venue.wrong_degrees')} />
          <${Field} label=${t('venue.lng')} value=${f.lng} onInput=${v => set({ lng: v })} inputmode="decimal" problem=${wrong.lng && t('venue.wrong_degrees')} />
        </div>
        <h3>${t('venue.when')}</h3>
        <${Check} label=${t('venue.open_field')} hint=${t('venue.open_hint')} checked=${f.open} onChange=${open => set({ open })} />
        <${Field} label=${t('venue.hours')} value=${f.hours} onInput=${hours => set({ hours })} maxlength="500" spellcheck="false" hint=${t('venue.hours_hint')} class="hours" />
        <h3>${t('venue.how')}</h3>
        <${Check} label=${t('venue.kiosk')} hint=${t('venue.kiosk_hint')} checked=${f.kiosk} onChange=${kiosk => set({ kiosk })} />
      </fieldset>
      <${ProblemBox} problem=${problem} />
      ${mine ? html`<div class="filters save-line"><${Field} label=${`${t('office.reason')} (${t('office.optional')})`} value=${f.reason} onInput=${reason => set({ reason })} maxlength="500" />
        <${Button} type="submit" kind="primary" busy=${busy} disabled=${!changed.length}>${t('office.save')}<//><${CurlButton} method="PUT" path=${'/venues/' + venue.id} body=${body} />
        ${changed.length > 0 && html`<${Badge} state="warn" word=${t('venue.unsaved')} />`}</div>` : html`<p class="quiet">${t('office.not_allowed')}</p>`}
    <//></form>`
}

function Maps({ venue, saved }) {
  const mine = can('admin')
  const load = useLoad(abort => get(`/venues/${venue.id}/map`, {}, abort).catch(p => { if (p.status === 404 || p.status === 405) return { absent: p }; throw p }), [venue.id])
  const [shapes, setShapes] = useState(() => shapesOf(venue.geofence)), [active, setActive] = useState(0), [drawing, setDrawing] = useState(false)
  const [place, setPlace] = useState(/** @type {[number, number]} */ ([venue.lat ?? 0, venue.lng ?? 0]))
  const [plan, setPlan] = useState(/** @type {any} */ (null)), [layer, setLayer] = useState(/** @type {any} */ (undefined)), [layerDatum, setDatum] = useState('')
  const [fit, setFit] = useState(0), [sent, setSent] = useState(0), [image, setImage] = useState('')
  const [busy, setBusy] = useState(''), [problem, setProblem] = useState(/** @type {any} */ (null))
  const map = load.data && !load.data.absent ? load.data : null
  const corners = plan ?? map?.plan?.corners ?? null
  const shownLayer = layer === undefined ? map?.geojson : layer
  const area = useMemo(() => areaOf(shapes), [shapes])
  const dirty = JSON.stringify(area?.coordinates ?? null) !== JSON.stringify(venue.geofence?.coordinates ?? null) || place[0] !== (venue.lat ?? 0) || place[1] !== (venue.lng ?? 0)
  useEffect(() => { if (map) setFit(n => n + 1) }, [!!map])
  // The picture is read anew after another one was sent, whatever a cache holds.
  useEffect(() => {
    if (!map?.image) return
    let gone = false, url = ''
    fetchFile(`/venues/${venue.id}/map/image`).then(blob => { if (!gone) setImage(url = URL.createObjectURL(blob)) }, p => { if (!gone) setProblem(p) })
    return () => { gone = true; setImage(''); URL.revokeObjectURL(url) }
  }, [map?.image, sent])
  const points = shapes.reduce((n, s) => n + s.ring.length, 0)
  const keep = async (name, fn) => { setBusy(name); setProblem(null); try { await fn() } catch (p) { setProblem(p) } finally { setBusy('') } }
  const saveFence = () => keep('fence', async () => {
    const { geofence, ...rest } = factsOf(venue)
    saved(await put('/venues/' + venue.id, { ...rest, lat: place[0], lng: place[1], ...(area && { geofence: area }) }))
    setDrawing(false)
    toast(t('fence.saved'))
  })
  const saveMap = change => put(`/venues/${venue.id}/map`, { ...(map?.plan && { plan: map.plan }), ...(map?.geojson && { geojson: map.geojson, datum: map.datum ?? 'wgs84' }), reason: t('fence.reason'), ...change })
  const read = async (file, fn) => {
    if (!file) return
    setProblem(null)
    try { fn(JSON.parse(await file.text())) } catch (e) { setProblem(new Error(t('fence.bad_geojson', { name: file.name }))) }
  }
  return html`<div class="stack">
    <${Card} title=${t('fence.title')} actions=${html`<span class="quiet">${area ? t('fence.size', { n: area.coordinates.length, points: number(points), m: number(Math.round(squareMetres(shapes))) }) : t('fence.none')}</span>`}>
      <p class="quiet">${t('fence.text')}</p>
      ${mine && html`<div class="actions fence-tools">
        <${Button} small kind=${drawing ? 'primary' : undefined} icon="edit" aria-pressed=${String(drawing)} onClick=${() => { if (!drawing && !shapes.length) setShapes([{ ring: [], holes: [] }]); setDrawing(!drawing) }}>${t(drawing ? 'fence.draw_done' : 'fence.draw')}<//>
        <${Button} small icon="plus" onClick=${() => { setShapes([...shapes.filter(s => s.ring.length), { ring: [], holes: [] }]); setActive(shapes.filter(s => s.ring.length).length); setDrawing(true) }}>${t('fence.another')}<//>
        <${Button} small icon="left" disabled=${!shapes[active]?.ring.length} onClick=${() => setShapes(shapes.map((s, i) => i === active ? { ...s, ring: s.ring.slice(0, -1) } : s))}>${t('fence.undo')}<//>
        <${Button} small icon="trash" disabled=${!shapes[active]} onClick=${() => { setShapes(shapes.filter((_, i) => i !== active)); setActive(0) }}>${t('fence.drop')}<//>
        <${FileButton} small icon="upload" accept=".json,.geojson,application/geo+json" onFile=${file => read(file, geo => { setShapes(shapesIn(geo)); setActive(0); setDrawing(false); setFit(n => n + 1) })}>${t('fence.import')}<//>
        <${Button} small icon="import" disabled=${!area} onClick=${() => save(JSON.stringify({ type: 'Feature', properties: { venue: venue.id, name: venue.name }, geometry: area }, null, 2), `${venue.id}-geofence.geojson`, 'application/geo+json')}>${t('fence.export')}<//>
        <${Button} small icon="full" onClick=${() => setFit(n => n + 1)}>${t('fence.show')}<//>
      </div>`}
      <${FenceMap} venue=${venue} shapes=${shapes} active=${active} drawing=${drawing} onShapes=${mine ? setShapes : undefined} onActive=${setActive} place=${place} onPlace=${mine ? setPlace : undefined}
        corners=${corners} onCorners=${mine ? setPlan : undefined} image=${image} layer=${shownLayer} layerDatum=${layerDatum || map?.datum} fit=${fit} />
      <p class="hint">${t(drawing ? 'fence.hint_draw' : 'fence.hint_move')}</p>
      <${ProblemBox} problem=${problem} />
      ${mine && html`<div class="actions"><${Button} kind="primary" busy=${busy === 'fence'} disabled=${!dirty} onClick=${saveFence}>${t('fence.save')}<//>
        <${Button} disabled=${!dirty} onClick=${() => { setShapes(shapesOf(venue.geofence)); setPlace([venue.lat ?? 0, venue.lng ?? 0]); setDrawing(false) }}>${t('fence.discard')}<//>${dirty && html`<${Badge} state="warn" word=${t('venue.unsaved')} />`}</div>`}
    <//>
    <div class="halves">
      <${Card} title=${t('plan.title')}>
        <p class="quiet">${t('plan.text')}</p>
        ${load.problem || load.data?.absent ? html`<${ProblemBox} problem=${load.problem ?? load.data.absent} retry=${load.reload} />` : html`
          ${map?.image && html`<p><${Badge} state="ok" word=${t('plan.there')} /></p>`}
          ${mine && html`<div class="actions"><${FileButton} icon="upload" accept="image/png,image/jpeg" busy=${busy === 'image'} onFile=${file => keep('image', async () => {
              if (file.size > 4 << 20) throw new Error(t('plan.too_large'))
              const form = new FormData()
              form.append('image', file, file.name)
              await call('POST', `/venues/${venue.id}/map/image`, { body: form })
              // Beside the venue at first; the corners are dragged from there.
              if (!corners) { const [a, b] = place; const c = /** @type {any} */ ([[a + .001, b - .0015], [a - .001, b + .0015]]); await saveMap({ plan: { corners: c } }); setPlan(c) }
              setSent(n => n + 1)
              load.reload()
              toast(t('plan.sent'))
            })}>${t(map?.image ? 'plan.other' : 'plan.choose')}<//>
            ${map?.image && html`<${Button} kind="primary" disabled=${!plan} busy=${busy === 'plan'} onClick=${() => keep('plan', async () => { await saveMap({ plan: { corners: plan } }); setPlan(null); load.reload(); toast(t('office.saved')) })}>${t('plan.save')}<//>`}</div>`}
          ${corners && map?.image && html`<p class="hint">${t('plan.corners')} <code>${corners.map(c => c.map(v => v.toFixed(5)).join(', ')).join(' · ')}</code></p>`}`}
      <//>
      <${Card} title=${t('layer.title')}>
        <p class="quiet">${t('layer.text')}</p>
        ${load.problem || load.data?.absent ? null : html`
          ${shownLayer && html`<p><${Badge} state=${layer === undefined ? 'ok' : 'warn'} word=${layer === undefined ? t('layer.there') : t('venue.unsaved')} /> <span class="quiet">${t('layer.n', { n: (shownLayer.features ?? [shownLayer]).length })}</span></p>`}
          ${mine && html`<div class="filters"><${Select} inline label=${t('layer.datum')} value=${layerDatum || map?.datum || 'wgs84'} onChange=${setDatum} options=${[['wgs84', 'WGS-84'], ['gcj02', 'GCJ-02'], ['bd09', 'BD-09']]} /></div>
          <div class="actions"><${FileButton} icon="upload" accept=".json,.geojson,application/geo+json" onFile=${file => read(file, geo => { if (!geo?.type) throw new Error('none'); setLayer(geo.type === 'FeatureCollection' ? geo : { type: 'FeatureCollection', features: [geo.type === 'Feature' ? geo : { type: 'Feature', properties: {}, geometry: geo }] }) })}>${t('layer.choose')}<//>
            <${Button} kind="primary" busy=${busy === 'layer'} disabled=${layer === undefined && !layerDatum} onClick=${() => keep('layer', async () => { await saveMap({ geojson: layer === undefined ? map?.geojson : layer, datum: layerDatum || map?.datum || 'wgs84' }); setLayer(undefined); setDatum(''); load.reload(); toast(t('office.saved')) })}>${t('office.save')}<//>
            ${map?.geojson && html`<${Button} icon="trash" busy=${busy === 'layer'} onClick=${() => keep('layer', async () => { await put(`/venues/${venue.id}/map`, { ...(map.plan && { plan: map.plan }), reason: t('fence.reason') }); setLayer(undefined); load.reload() })}>${t('layer.drop')}<//>`}
            ${map?.geojson && html`<${Button} icon="import" onClick=${() => save(JSON.stringify(map.geojson, null, 2), venue.id + '-layer.geojson', 'application/geo+json')}>${t('fence.export')}<//>`}</div>`}`}
      <//>
    </div>
  </div>`
}

function FileButton({ icon, accept, onFile, busy, small, children }) {
  const input = useRef(/** @type {any} */ (null))
  return html`<${Button} icon=${icon} busy=${busy} small=${small} onClick=${() => input.current.click()}>${children}<//><input ref=${input} type="file" accept=${accept} hidden aria-label=${children} onChange=${e => { const file = e.currentTarget.files[0]; e.currentTarget.value = ''; if (file) onFile(file) }} />`
}

function Prices({ venue }) {
  const load = useLoad(abort => get(`/venues/${venue.id}/prices`, {}, abort), [venue.id])
  const one = (v, state, word) => html`<li class="version" key=${v.id + v.version}><div class="version-head"><${Badge} state=${state} word=${word} /><strong>${v.name}</strong><span class="quiet">${t('tariff.version', { n: v.version })}</span></div>
    <ul class="sentences">${sentences(v).map(s => html`<li>${s}</li>`)}</ul><span class="quiet">${t(state === 'ok' ? 'tariff.since' : 'tariff.from')} ${at(v.effective_at, venue.time_zone)} (${when(v.effective_at)})</span></li>`
  return html`<${Loaded} load=${load}>${list => list.kinds.length === 0 ? html`<${Empty} icon="tariff" title=${t('tariff.none')} text=${t('tariff.none_text')}><${Link} class="button primary" to="/tariffs" query=${{ draft: 'new' }}>${t('tariff.new')}<//><//>`
    : html`<div class="cards">${list.kinds.map(k => html`<${Card} key=${k.kind + k.group} title=${tCode('kind', k.kind) + (k.group ? ' · ' + t('tariff.group_of', { group: k.group }) : '')}>
      <ol class="versions">${k.now ? one(k.now, 'ok', t('tariff.in_force')) : html`<li class="version"><${Badge} state="warn" word=${t('tariff.no_price_now')} /></li>`}${(k.ahead ?? []).map(v => one(v, 'reserved', t('tariff.coming')))}</ol><//>`)}</div>
      <p class="after"><${Link} to="/tariffs" query=${{ venue: venue.id }}>${t('venue.all_tariffs')}<//></p>`}<//>`
}

// Two steps: the first counts and gives a word that holds for thirty seconds, the second
// sends it back.
function Stop({ venue, reload }) {
  const [reason, setReason] = useState(''), [ready, setReady] = useState(/** @type {any} */ (null)), [left, setLeft] = useState(0)
  const [busy, setBusy] = useState(''), [problem, setProblem] = useState(/** @type {any} */ (null)), [stopped, setStopped] = useState(/** @type {any} */ (null))
  useEffect(() => {
    if (!ready) return
    const until = Date.now() + Math.min(30_000, Math.max(0, Date.parse(ready.expires_at) - Date.now()) || 30_000)
    const tick = () => { const s = Math.ceil((until - Date.now()) / 1000); setLeft(s); if (s <= 0) setReady(null) }
    tick()
    const timer = setInterval(tick, 500)
    return () => clearInterval(timer)
  }, [ready])
  const step = async confirm => {
    setBusy(confirm ? 'stop' : 'count')
    setProblem(null)
    try {
      const answer = await post(`/venues/${venue.id}/stop`, { reason: reason.trim(), ...(confirm && { confirm: ready.confirm }) })
      if (answer.stopped) { setStopped(answer); setReady(null); reload() } else setReady(answer)
    } catch (p) { setProblem(p); setReady(null) } finally { setBusy('') }
  }
  if (!can('field')) return html`<${Empty} icon="stop" title=${t('part.role')} />`
  return html`<div class="halves">
    <${Card} title=${t('stop.title')} class="danger-card">
      <p>${t('stop.text')}</p>
      ${venue.stopped && html`<p class="note"><${Badge} state="stopped" word=${t('venue.stopped')} /> ${t('stop.in_force')}</p>`}
      ${stopped && html`<div class="problem" role="status"><div><strong>${t('stop.done', { n: stopped.devices })}</strong><p>${t('stop.done_text')}</p></div></div>`}
      <form class="stack" onSubmit=${e => { e.preventDefault(); if (!ready && reason.trim()) step(false) }}>
        <${Field} label=${t('office.reason')} value=${reason} onInput=${v => { setReason(v); setReady(null) }} maxlength="200" required disabled=${!!busy} hint=${t('stop.reason_hint')} />
        <${ProblemBox} problem=${problem} />
        ${!ready && html`<${Button} type="submit" icon="stop" busy=${busy === 'count'} disabled=${!reason.trim()}>${t('stop.first')}<//>`}
        ${ready && html`<div class="stack" role="alert"><p class="big">${t('stop.counts', { n: ready.devices })} ${ready.running > 0 ? t('stop.running', { n: ready.running }) : t('stop.none_running')}</p>
          <div class="actions"><${Button} kind="danger" icon="stop" busy=${busy === 'stop'} onClick=${() => step(true)}>${t('stop.second', { n: ready.devices })}<//><${Button} onClick=${() => setReady(null)}>${t('office.cancel')}<//><span class="quiet">${t('stop.left', { n: left })}</span></div></div>`}
      </form>
    <//>
    <${Card} title=${t('interlock.title')}>
      <p>${t('interlock.text')}</p><p class="quiet">${t('interlock.how')}</p>
      <div class="actions"><${Button} icon="stop" onClick=${async () => {
        const path = `/venues/${venue.id}/interlock`
        const done = await confirmAct({ title: t('interlock.title'), text: t('interlock.sure', { name: venue.name }), danger: true, reason: true, typed: venue.id, word: t('interlock.go'), curl: { method: 'POST', path, body: {} }, run: r => post(path, { reason: r }) })
        if (done) { setStopped(done); reload() }
      }}>${t('interlock.go')}<//><${CurlButton} method="POST" path=${`/venues/${venue.id}/interlock`} body=${{ reason: 'gas alarm' }} /></div>
    <//>
  </div>`
}
