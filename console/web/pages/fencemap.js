// A map that a geofence is drawn on, and a plan laid over. Leaflet moves; the ground is
// the fleet's own.
import { html, useEffect, useRef } from '../lib/html.js'
import { get } from '../lib/api.js'
import { L } from '../lib/leaflet.js'
import { into, outOf } from '../lib/datum.js'
import { Drawing, GroundLayer, onTheme } from '../lib/ground.js'
import { language, t } from '../lib/words.js'
import { escaped } from './basemaps.js'

// pin is a marker with a name, which Leaflet gives to pictures alone.
function pin(at, icon, word, more) {
  const m = L.marker(at, { icon, ...more })
  m.on('add', () => m.getElement()?.setAttribute(more.keyboard === false ? 'title' : 'aria-label', word))
  return m
}

const mark = (name, text = '') => L.divIcon({ className: '', html: Object.assign(document.createElement('div'), { className: name, textContent: text }), iconSize: [18, 18], iconAnchor: [9, 9] })

/**
 * @param {{venue: any, shapes: import('./area.js').Shape[], active: number, drawing: boolean, onShapes: (shapes: import('./area.js').Shape[]) => void, onActive: (i: number) => void,
 *   place?: [number, number] | null, onPlace?: (at: [number, number]) => void, corners?: Array<[number, number]> | null, onCorners?: (corners: Array<[number, number]>) => void,
 *   image?: string | null, layer?: any, layerDatum?: string, fit: number}} props
 *   Positions are WGS-84, [lat, lng]. drawing: a press adds a point to the active shape. fit: show everything again when it changes.
 */
export function FenceMap(props) {
  const box = useRef(/** @type {any} */ (null)), held = useRef(/** @type {any} */ ({}))
  held.current.props = props
  useEffect(() => {
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
    const map = L.map(box.current, { attributionControl: false, zoomControl: false, maxZoom: 22, minZoom: 2, zoomSnap: .5, zoomAnimation: !calm, fadeAnimation: !calm, doubleClickZoom: false })
    map.setView([30, 110], 4)
    L.control.zoom({ zoomInTitle: t('fence.zoom_in'), zoomOutTitle: t('fence.zoom_out') }).addTo(map)
    L.control.scale({ imperial: false }).addTo(map)
    const ground = new GroundLayer({ pane: 'tilePane' })
    ground.language = language.peek()
    ground.addTo(map)
    const top = L.layerGroup().addTo(map)
    const h = held.current
    Object.assign(h, { map, ground, top, datum: 'wgs84', bases: [], overlay: null, tiles: null })
    map.on('click', e => {
      const p = h.props
      if (!p.drawing || !p.onShapes) return
      const at = back(h, e.latlng)
      const shapes = p.shapes.length ? p.shapes : [{ ring: [], holes: [] }]
      const i = Math.min(p.active, shapes.length - 1)
      p.onShapes(shapes.map((s, n) => n === i ? { ...s, ring: [...s.ring, at] } : s))
    })
    const cancel = onTheme(() => ground.dirty())
    const sized = new ResizeObserver(() => map.invalidateSize({ pan: false }))
    sized.observe(box.current)
    let gone = false
    Promise.all([get('/settings').catch(() => null), ...['campus', 'station'].map(name => fetch(new URL(`../base/${name}.json`, import.meta.url)).then(r => r.json()).catch(() => null))]).then(([settings, ...bases]) => {
      if (gone) return
      h.bases = bases.filter(Boolean)
      if (settings?.map?.tiles) {
        h.datum = settings.map.datum
        h.tiles = L.tileLayer(settings.map.tiles, { maxZoom: 22, maxNativeZoom: 18 }).addTo(map)
        if (settings.map.attribution) L.control.attribution({ prefix: false }).addAttribution(escaped(settings.map.attribution)).addTo(map)
        ground.plain = true
      }
      paint(h)
      show(h)
    })
    return () => { gone = true; cancel(); sized.disconnect(); map.remove(); held.current = {} }
  }, [])
  useEffect(() => { if (held.current.map) paint(held.current) })
  useEffect(() => { if (held.current.map) show(held.current) }, [props.fit])
  return html`<div class=${'map-box' + (props.drawing ? ' drawing' : '')} ref=${box} role="application" aria-label=${t('fence.map')}></div>`
}

const there = (h, [lat, lng]) => into(h.datum, lat, lng)
const back = (h, { lat, lng }) => { const [a, b] = outOf(h.datum, lat, lng); return /** @type {[number, number]} */ ([round(a), round(b)]) }
const round = v => Math.round(v * 1e7) / 1e7

// paint lays everything down anew: a fence has some dozen points.
function paint(h) {
  const { props, map, top, ground } = h
  top.clearLayers()
  const near = h.bases.filter(b => props.place && Math.abs(b.venue.lat - props.place[0]) < .05 && Math.abs(b.venue.lng - props.place[1]) < .05)
  ground.drawings = [...h.tiles ? [] : near.map(b => new Drawing(b, 'wgs84', h.datum)), ...props.layer ? [new Drawing(props.layer, props.layerDatum ?? 'wgs84', h.datum)] : []]
  ground.dirty()
  const corners = props.corners?.map(c => there(h, c))
  const source = props.image && corners ? props.image : ''
  if (h.overlay && h.source !== source) { h.overlay.remove(); h.overlay = null }
  h.source = source
  if (source) {
    if (h.overlay) h.overlay.setBounds(L.latLngBounds(corners))
    else h.overlay = L.imageOverlay(source, corners, { opacity: .75, pane: 'overlayPane' }).addTo(map)
  }
  props.shapes.forEach((shape, i) => {
    const on = i === props.active
    const line = L.polygon(shape.ring.map(p => there(h, p)), { color: on ? '#0d8f76' : '#7a8583', weight: on ? 3 : 2, fillOpacity: on ? .12 : .06, dashArray: on ? null : '6 5', interactive: !props.drawing }).addTo(top)
    line.on('click', e => { L.DomEvent.stopPropagation(e); props.onActive(i) })
    if (!on || !props.onShapes) return
    const change = ring => props.onShapes(props.shapes.map((s, n) => n === i ? { ...s, ring } : s))
    shape.ring.forEach((p, n) => {
      const m = pin(there(h, p), mark('vertex'), t('fence.point', { n: n + 1 }), { draggable: true, keyboard: true }).addTo(top)
      m.on('drag', () => line.setLatLngs(shape.ring.map((q, k) => k === n ? m.getLatLng() : there(h, q))))
      m.on('dragend', () => change(shape.ring.map((q, k) => k === n ? back(h, m.getLatLng()) : q)))
      m.on('contextmenu dblclick', e => { L.DomEvent.stopPropagation(e); change(shape.ring.filter((_, k) => k !== n)) })
      m.on('keydown', e => { if (['Delete', 'Backspace'].includes(e.originalEvent.key)) { e.originalEvent.preventDefault(); change(shape.ring.filter((_, k) => k !== n)) } })
      if (shape.ring.length < 2 || props.drawing) return
      const next = shape.ring[(n + 1) % shape.ring.length], half = /** @type {[number, number]} */ ([(p[0] + next[0]) / 2, (p[1] + next[1]) / 2])
      const between = pin(there(h, half), mark('vertex half'), t('fence.between'), { draggable: true, keyboard: false }).addTo(top)
      between.on('dragend', () => change([...shape.ring.slice(0, n + 1), back(h, between.getLatLng()), ...shape.ring.slice(n + 1)]))
    })
  })
  if (props.place && (props.place[0] || props.place[1])) {
    const m = pin(there(h, props.place), mark('here'), t('fence.place'), { draggable: !!props.onPlace, title: t('fence.place') }).addTo(top)
    m.on('dragend', () => props.onPlace?.(back(h, m.getLatLng())))
  }
  corners?.forEach((c, n) => {
    const m = pin(c, mark('corner', n ? '↘' : '↖'), t('fence.corner'), { draggable: !!props.onCorners }).addTo(top)
    m.on('dragend', () => props.onCorners?.((props.corners ?? []).map((q, k) => k === n ? back(h, m.getLatLng()) : q)))
  })
}

// show moves to where there is something.
function show(h) {
  const { props, map } = h
  const points = [...props.shapes.flatMap(s => s.ring), ...props.corners ?? []].map(p => there(h, p))
  if (points.length > 1) map.fitBounds(L.latLngBounds(points), { padding: [40, 40], maxZoom: 19 })
  else if (props.place && (props.place[0] || props.place[1])) map.setView(there(h, props.place), 17)
}
