// Where a device stands, chosen on the drawn map: press, drag the pin, or type.
import { html, useEffect, useRef, useState } from '../lib/html.js'
import { Button, Field, Select } from '../lib/ui.js'
import { get } from '../lib/api.js'
import { language, t } from '../lib/words.js'

const bounds = { lat: 90, lng: 180 }

/** @param {string} text @param {'lat' | 'lng'} axis */
export const isDegrees = (text, axis) => /^-?\d{1,3}(\.\d{1,8})?$/.test(text.trim()) && Math.abs(Number(text)) <= bounds[axis]

/** @param {{spot: import('@preact/signals').Signal<{lat: string, lng: string, datum: string}>, venue: string}} props */
export function Place({ spot, venue }) {
  const box = useRef(/** @type {any} */ (null)), pin = useRef(/** @type {any} */ (null))
  const [problem, setProblem] = useState('')
  const { lat, lng, datum } = spot.value, valid = isDegrees(lat, 'lat') && isDegrees(lng, 'lng')
  const set = change => { spot.value = { ...spot.value, ...change } }
  const put = at => set({ lat: at.lat.toFixed(6), lng: at.lng.toFixed(6), datum: 'wgs84' })

  useEffect(() => {
    let gone = false, remove = () => {}
    const setUp = async () => {
      const [{ L }, { Drawing, GroundLayer }, known] = await Promise.all([import('../lib/leaflet.js'), import('../lib/ground.js'), get('/venues/' + encodeURIComponent(venue)).catch(() => null)])
      if (gone || !box.current) return
      const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
      const map = L.map(box.current, { attributionControl: false, maxZoom: 22, zoomAnimation: !calm, fadeAnimation: !calm })
      const start = isDegrees(spot.peek().lat, 'lat') && isDegrees(spot.peek().lng, 'lng') ? [Number(spot.peek().lat), Number(spot.peek().lng)] : known?.lat != null ? [known.lat, known.lng] : null
      map.setView(start ?? [30, 110], start ? 18 : 3)
      const ground = new GroundLayer({ pane: 'tilePane' })
      ground.language = language.peek()
      ground.addTo(map)
      for (const name of ['campus', 'station']) {
        fetch(new URL(`../base/${name}.json`, import.meta.url)).then(r => r.json()).then(drawn => { ground.drawings.push(new Drawing(drawn, 'wgs84', 'wgs84')); ground.dirty() }, () => {})
      }
      const look = document.createElement('span')
      look.className = 'place-pin'
      const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg'), path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
      svg.setAttribute('viewBox', '0 0 24 24')
      path.setAttribute('d', 'M12 21s7-6.3 7-11.5a7 7 0 0 0-14 0C5 14.7 12 21 12 21zM12 11.500a2 2 0 1 0 0-4 2 2 0 0 0 0 4z')
      svg.append(path)
      look.append(svg)
      pin.current = L.marker(start ?? map.getCenter(), { draggable: true, keyboard: false, icon: L.divIcon({ html: look, className: '', iconSize: [30, 30], iconAnchor: [15, 28] }) }).addTo(map)
      pin.current.on('dragend', () => put(pin.current.getLatLng()))
      map.on('click', e => { pin.current.setLatLng(e.latlng); put(e.latlng) })
      const sized = new ResizeObserver(() => map.invalidateSize({ pan: false }))
      sized.observe(box.current)
      remove = () => { sized.disconnect(); map.remove() }
    }
    setUp().catch(e => { console.error(e); if (!gone) setProblem(String(e.message ?? e)) })
    return () => { gone = true; remove() }
  }, [])

  useEffect(() => { // typed
    if (!valid || datum !== 'wgs84' || !pin.current) return
    const map = pin.current._map, to = [Number(lat), Number(lng)]
    pin.current.setLatLng(to)
    if (!map.getBounds().pad(-0.1).contains(to)) map.setView(to, Math.max(map.getZoom(), 17), { animate: false })
  }, [lat, lng, datum])

  const here = () => navigator.geolocation?.getCurrentPosition(p => {
    put({ lat: p.coords.latitude, lng: p.coords.longitude })
    pin.current?._map.setView([p.coords.latitude, p.coords.longitude], 19)
  }, () => setProblem(t('device.place.denied')), { enableHighAccuracy: true, timeout: 10_000 })

  return html`<div class="stack">
    <div class="place-map" ref=${box} role="application" aria-label=${t('device.map')}></div>
    <div class="row"><span class="hint grow">${t('device.place.pick')}</span><${Button} small icon="pin" onClick=${here}>${t('device.place.here')}<//></div>
    ${problem && html`<p class="field-problem" role="alert">${problem}</p>`}
    <div class="place-pair"><${Degrees} label=${t('device.lat')} value=${lat} axis="lat" onInput=${v => set({ lat: v })} /><${Degrees} label=${t('device.lng')} value=${lng} axis="lng" onInput=${v => set({ lng: v })} /></div>
    <${Select} label=${t('device.datum')} value=${datum} onChange=${v => set({ datum: v })} options=${[['wgs84', t('device.datum.wgs84')], ['gcj02', t('device.datum.gcj02')]]} />
  </div>`
}

function Degrees({ label, value, axis, onInput }) {
  const bad = value !== '' && !isDegrees(value, axis)
  return html`<${Field} label=${label} value=${value} onInput=${(v, e) => { e.currentTarget.setCustomValidity(isDegrees(v, axis) ? '' : t('device.place.invalid')); onInput(v) }} inputmode="decimal" autocomplete="off" required problem=${bad ? t('device.place.invalid') : null} unit="°" />`
}
