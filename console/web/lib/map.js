// The map of the fleet: Leaflet for panning and zooming, and one canvas of our own for
// all devices. Positions are Float32 metres round the fleet's middle, looks are drawn
// once, hits are found in a grid, and a frame is drawn only when something changed.
import { L } from './leaflet.js'
import { cornersOf, into, outOf } from './datum.js'
import { states, worse } from './fleet.js'
import { brush, CanvasLayer, Drawing, GroundLayer, earth, mercator, onTheme } from './ground.js'
import { isDark } from './look.js'

// Every state has a colour and a shape of its own; words stand in the list and the card.
const looks = {
  light: { available: '#12804a', in_use: '#1f5fc4', reserved: '#7a3fb5', unresolved: '#b85c00', blocked: '#b85c00', offline: '#5b6660', maintenance: '#5b6660', stopped: '#c01f1f', never_heard: '#5b6660', out_of_service: '#5b6660', retired: '#5b6660', ring: '#ffffff', mark: '#c01f1f' },
  dark: { available: '#3ecf8e', in_use: '#6aa7ff', reserved: '#c79bff', unresolved: '#ffb04a', blocked: '#ffb04a', offline: '#a9b5ae', maintenance: '#a9b5ae', stopped: '#ff6b61', never_heard: '#a9b5ae', out_of_service: '#a9b5ae', retired: '#a9b5ae', ring: '#0f1412', mark: '#ff6b61' },
}

/**
 * drawState draws a state's shape round the middle of a square. The list's badges use
 * the same shapes, so that a row is found again on the map.
 * @param {CanvasRenderingContext2D} ctx @param {string} state @param {number} r radius, pixels @param {any} c colours
 */
export function drawState(ctx, state, r, c) {
  ctx.lineJoin = 'round'
  ctx.lineCap = 'round'
  const colour = c[state], thick = Math.max(1.4, r * 0.24)
  const disc = () => { ctx.beginPath(); ctx.arc(0, 0, r, 0, 7) }
  const poly = (n, turn, size = r) => {
    ctx.beginPath()
    for (let i = 0; i < n; i++) ctx.lineTo(size * Math.cos(turn + i * 2 * Math.PI / n), size * Math.sin(turn + i * 2 * Math.PI / n))
    ctx.closePath()
  }
  const solid = () => { ctx.lineWidth = 2.2; ctx.strokeStyle = c.ring; ctx.stroke(); ctx.fillStyle = colour; ctx.fill() }
  const hollow = dash => {
    ctx.fillStyle = c.ring
    ctx.fill()
    ctx.setLineDash(dash)
    ctx.lineWidth = thick
    ctx.strokeStyle = colour
    ctx.stroke()
    ctx.setLineDash([])
  }
  const line = (...p) => {
    ctx.beginPath()
    for (let i = 0; i < p.length; i += 2) ctx.lineTo(p[i] * r, p[i + 1] * r)
    ctx.lineWidth = thick
    ctx.stroke()
  }
  ctx.strokeStyle = c.ring
  switch (state) {
    case 'available': disc(); solid(); ctx.strokeStyle = c.ring; return line(-0.42, 0.05, -0.1, 0.36, 0.45, -0.32)
    case 'in_use': disc(); solid(); ctx.beginPath(); ctx.moveTo(-0.3 * r, -0.5 * r); ctx.lineTo(0.55 * r, 0); ctx.lineTo(-0.3 * r, 0.5 * r); ctx.closePath(); ctx.fillStyle = c.ring; return ctx.fill()
    case 'reserved': disc(); solid(); ctx.strokeStyle = c.ring; return line(0, -0.5, 0, 0.05, 0.4, 0.25)
    case 'unresolved': poly(4, 0, r * 1.2); solid(); ctx.strokeStyle = c.ring; line(0, -0.5, 0, 0.12); return line(0, 0.52, 0, 0.53)
    case 'blocked': poly(4, Math.PI / 4, r * 1.2); solid(); ctx.strokeStyle = c.ring; line(-0.2, -0.4, -0.2, 0.4); return line(0.25, -0.4, 0.25, 0.4)
    case 'offline': disc(); hollow([]); ctx.strokeStyle = colour; return line(-0.62, -0.62, 0.62, 0.62)
    case 'maintenance': poly(4, Math.PI / 4, r * 1.15); hollow([]); ctx.strokeStyle = colour; return line(-0.35, 0.35, 0.35, -0.35)
    case 'out_of_service': poly(4, Math.PI / 4, r * 1.15); hollow([]); ctx.strokeStyle = colour; line(-0.35, 0.35, 0.35, -0.35); return line(-0.35, -0.35, 0.35, 0.35)
    case 'retired': poly(4, Math.PI / 4, r * 1.15); hollow([]); ctx.strokeStyle = colour; return line(-0.4, 0, 0.4, 0)
    case 'stopped': poly(8, Math.PI / 8, r * 1.15); solid(); ctx.strokeStyle = c.ring; return line(-0.5, 0, 0.5, 0)
    case 'never_heard': disc(); return hollow([thick, thick * 1.4])
  }
}

function stateColours() { return looks[isDark() ? 'dark' : 'light'] }

const marks = new Map()

/** markOf is a state's shape as the address of a small picture, for the legend. @param {string} state */
export function markOf(state) { return strip(state, [state]) }

/** marksOf is all shapes in a row, 20 pixels each in the order of states, for lists that change often. */
export function marksOf() { return strip('', states) }

function strip(name, which) {
  const c = stateColours(), key = name + c.ring
  if (!marks.has(key)) {
    const canvas = document.createElement('canvas')
    canvas.width = 40 * which.length
    canvas.height = 40
    const ctx = brush(canvas)
    for (const [i, state] of which.entries()) {
      ctx.setTransform(2, 0, 0, 2, 20 + 40 * i, 20)
      drawState(ctx, state, 7.4, c)
    }
    marks.set(key, canvas.toDataURL())
  }
  return marks.get(key)
}

const sheets = new Map()

// Sprites are all looks on one canvas: a column per state, rows for small and large,
// plain and marked, lock and pump.
function drawSprites(ratio) {
  const c = stateColours(), key = `${ratio}${c.ring}`
  if (sheets.has(key)) return sheets.get(key)
  const cell = 28, sheet = document.createElement('canvas')
  sheet.width = cell * states.length * ratio
  sheet.height = cell * 8 * ratio
  const ctx = brush(sheet)
  for (const [s, state] of states.entries()) {
    for (let row = 0; row < 8; row++) {
      const large = row & 1, marked = row & 2, pump = row & 4, r = large ? 8 : 4.8
      ctx.setTransform(ratio, 0, 0, ratio, (s + 0.5) * cell * ratio, (row + 0.5) * cell * ratio)
      if (pump && large) { // a pump stands in a frame, a lock does not
        ctx.beginPath()
        ctx.roundRect(-11.5, -11.5, 23, 23, 5)
        ctx.fillStyle = c.ring
        ctx.fill()
        ctx.lineWidth = 1.6
        ctx.strokeStyle = c[state]
        ctx.stroke()
      }
      drawState(ctx, state, r, c)
      if (marked) {
        const off = large ? 8 : 4.5
        ctx.beginPath()
        ctx.arc(off, -off, large ? 3.6 : 2.6, 0, 7)
        ctx.lineWidth = 1.5
        ctx.strokeStyle = c.ring
        ctx.stroke()
        ctx.fillStyle = c.mark
        ctx.fill()
      }
    }
  }
  const sprites = { sheet, cell }
  sheets.set(key, sprites)
  return sprites
}

const heap = 56, crowd = 12 // side of a cell in pixels, and how many devices it shows one by one

/** FleetLayer draws the rows of a View; it never asks for more than typed arrays. */
export const FleetLayer = CanvasLayer.extend({
  options: { pane: 'overlayPane', pad: 0.1 },

  initialize(columns, view, options) {
    L.setOptions(this, options)
    this.columns = columns
    this.view = view
    this.datum = 'wgs84'
    this.xy = new Float32Array(0) // metres east and south of the middle, by row; NaN = not placed
    this.u = this.v = 0.5 // the middle, as shares of the world
    this.placed = 0
    this.next = new Int32Array(0)
    this.spots = new Float32Array(0)
    this.drawn = new Uint32Array(0)
    this.clusters = []
    this.paintMS = 0
  },

  /** reproject takes over all positions: after a load, or when the datum changes. */
  reproject() {
    const { columns: c } = this
    let n = 0, u = 0, v = 0
    for (let i = 0; i < c.n; i++) {
      if (c.lat[i] !== c.lat[i]) continue
      const [x, y] = this.shifted(c.lat[i], c.lng[i])
      u += x; v += y; n++
    }
    if (n) { this.u = u / n; this.v = v / n }
    if (this.xy.length < 2 * c.n) this.xy = new Float32Array(2 * c.n)
    for (let i = 0; i < c.n; i++) this.put(i)
    this.placed = n
    this.dirty()
  },

  /** moved takes over the positions of some rows. @param {number[]} rows */
  moved(rows) {
    const { columns: c } = this
    if (this.xy.length < 2 * c.n) {
      const grown = new Float32Array(2 * Math.max(c.n, c.kind.length))
      grown.set(this.xy)
      this.xy = grown
    }
    for (const i of rows) this.put(i)
    // What changes by itself is drawn twice a second; what a hand does, in the next frame.
    this.later ||= setTimeout(() => { this.later = 0; this.dirty() }, 500)
  },

  onRemove() {
    clearTimeout(this.later)
    CanvasLayer.prototype.onRemove.call(this)
  },

  put(i) {
    const lat = this.columns.lat[i]
    if (lat !== lat) { this.xy[2 * i] = this.xy[2 * i + 1] = NaN; return }
    const [u, v] = this.shifted(lat, this.columns.lng[i])
    this.xy[2 * i] = (u - this.u) * earth
    this.xy[2 * i + 1] = (v - this.v) * earth
  },

  shifted(lat, lng) {
    if (this.datum === 'wgs84') return mercator(lat, lng)
    const [a, b] = into(this.datum, lat, lng)
    return mercator(a, b)
  },

  /** where is a row on Leaflet's own plane; null when it is not placed. @param {number} i */
  where(i) {
    const x = this.xy[2 * i], y = this.xy[2 * i + 1]
    if (x !== x || i >= this.columns.n) return null
    const lng = (this.u + x / earth - 0.5) * 360, lat = Math.atan(Math.sinh(Math.PI * (1 - 2 * (this.v + y / earth)))) * 180 / Math.PI
    return L.latLng(lat, lng)
  },

  /** bounds of the view's placed rows; null when none is. */
  bounds() {
    const { view, xy } = this
    let west = Infinity, east = -Infinity, north = Infinity, south = -Infinity
    for (let j = 0; j < view.count; j++) {
      const x = xy[2 * view.rows[j]], y = xy[2 * view.rows[j] + 1]
      if (x !== x) continue
      west = Math.min(west, x); east = Math.max(east, x); north = Math.min(north, y); south = Math.max(south, y)
    }
    return west > east ? null : L.latLngBounds(this.back(west, south), this.back(east, north))
  },

  back(x, y) {
    return L.latLng(Math.atan(Math.sinh(Math.PI * (1 - 2 * (this.v + y / earth)))) * 180 / Math.PI, (this.u + x / earth - 0.5) * 360)
  },

  paint(ctx, frame) {
    const started = performance.now()
    const { view, columns: c, xy } = this
    const k = frame.world / earth, left = frame.x(this.u), top = frame.y(this.v)
    const { width, height } = frame
    // Cells hang on the world, not on the window, so that heaps stay together in a drag.
    const shiftX = ((frame.left % heap) + heap) % heap, shiftY = ((frame.top % heap) + heap) % heap
    const across = Math.ceil((width + shiftX) / heap) + 1, down = Math.ceil((height + shiftY) / heap) + 1
    if (this.next.length < view.count) {
      this.next = new Int32Array(view.rows.length)
      this.spots = new Float32Array(2 * view.rows.length)
      this.drawn = new Uint32Array(view.rows.length)
    }
    const { next, spots, drawn } = this
    const head = new Int32Array(across * down).fill(-1), counts = new Uint32Array(across * down)
    let shown = 0
    for (let j = 0; j < view.count; j++) {
      const i = view.rows[j], x = left + xy[2 * i] * k, y = top + xy[2 * i + 1] * k
      if (!(x > -12 && y > -12 && x < width + 12 && y < height + 12)) continue
      const cell = Math.max(0, Math.floor((x + shiftX) / heap)) + across * Math.max(0, Math.floor((y + shiftY) / heap))
      spots[2 * shown] = x
      spots[2 * shown + 1] = y
      drawn[shown] = i
      next[shown] = head[cell]
      head[cell] = shown++
      counts[cell]++
    }
    this.head = head
    this.across = across
    this.shift = [shiftX, shiftY]
    this.shown = shown
    this.clusters = []
    const { sheet, cell: side } = drawSprites(frame.ratio), large = frame.zoom >= 17 ? 1 : 0, single = frame.zoom >= 20
    const px = side * frame.ratio
    for (let cell = 0; cell < head.length; cell++) {
      if (head[cell] < 0) continue
      if (!single && counts[cell] > 3 && this.crowded(cell, counts[cell])) {
        this.clusters.push(this.cluster(cell, counts[cell]))
        continue
      }
      for (let s = head[cell]; s >= 0; s = next[s]) {
        const i = drawn[s], row = large | (c.problems[i] & ~3 ? 2 : 0) | (c.kind[i] ? 4 : 0)
        ctx.drawImage(sheet, c.state[i] * px, row * px, px, px, Math.round(spots[2 * s]) - side / 2, Math.round(spots[2 * s + 1]) - side / 2, side, side)
      }
    }
    if (this.clusters.length) this.paintClusters(ctx)
    this.paintMS = performance.now() - started
  },

  // crowded: too many for a cell, or so near to each other that they hide each other.
  crowded(cell, count) {
    if (count > crowd) return true
    let west = Infinity, east = -Infinity, north = Infinity, south = -Infinity
    for (let s = this.head[cell]; s >= 0; s = this.next[s]) {
      const x = this.spots[2 * s], y = this.spots[2 * s + 1]
      west = Math.min(west, x); east = Math.max(east, x); north = Math.min(north, y); south = Math.max(south, y)
    }
    return (east - west + 10) * (south - north + 10) < count * 70
  },

  cluster(cell, count) {
    const { columns: c } = this
    let x = 0, y = 0, bad = 0, worst = 0
    for (let s = this.head[cell]; s >= 0; s = this.next[s]) {
      const i = this.drawn[s]
      x += this.spots[2 * s]
      y += this.spots[2 * s + 1]
      if (c.problems[i]) bad++
      if (s === this.head[cell] || worse(c.state[i], worst)) worst = c.state[i]
    }
    const r = 12 + Math.min(14, 4.2 * Math.log10(count)), room = heap / 2 - r
    const middleX = (cell % this.across + 0.5) * heap - this.shift[0], middleY = (Math.floor(cell / this.across) + 0.5) * heap - this.shift[1]
    // Inside its cell, so that no two heaps cover each other.
    return { cell, count, bad, worst, r, x: Math.max(middleX - room, Math.min(middleX + room, x / count)), y: Math.max(middleY - room, Math.min(middleY + room, y / count)) }
  },

  // A heap is a count in a ring; the ring's red part is the share with a problem, and a
  // notch says so without colour.
  paintClusters(ctx) {
    const c = stateColours()
    ctx.textAlign = 'center'
    ctx.textBaseline = 'middle'
    for (const { x, y, r, count, bad } of this.clusters) {
      ctx.beginPath()
      ctx.arc(x, y, r, 0, 7)
      ctx.fillStyle = c.ring
      ctx.globalAlpha = 0.94
      ctx.fill()
      ctx.globalAlpha = 1
      ctx.lineWidth = 3
      ctx.strokeStyle = c.available
      ctx.stroke()
      if (bad) {
        const share = Math.max(0.06, bad / count) * 2 * Math.PI
        ctx.beginPath()
        ctx.arc(x, y, r, -Math.PI / 2, -Math.PI / 2 + share)
        ctx.lineWidth = 5
        ctx.strokeStyle = c.mark
        ctx.stroke()
      }
      ctx.font = `600 ${r > 18 ? 12 : 11}px system-ui, sans-serif`
      ctx.fillStyle = isDark() ? '#e9efec' : '#17201b'
      ctx.fillText(count < 10_000 ? String(count) : Math.round(count / 1000) + 'k', x, y)
    }
  },

  /** at finds what lies at a point of the window: a heap, a row or nothing. @param {any} point of the container */
  at(point, reach = 15) {
    if (!this.head || !this._map) return null
    const p = this._map.containerPointToLayerPoint(point).subtract(this.corner)
    for (const h of this.clusters) if ((p.x - h.x) ** 2 + (p.y - h.y) ** 2 <= (h.r + 3) ** 2) return { heap: h }
    const heaps = new Set(this.clusters.map(h => h.cell))
    let best = -1, near = reach * reach
    const cx = Math.floor((p.x + this.shift[0]) / heap), cy = Math.floor((p.y + this.shift[1]) / heap)
    for (let y = cy - 1; y <= cy + 1; y++) {
      for (let x = cx - 1; x <= cx + 1; x++) {
        const cell = x + y * this.across
        if (x < 0 || y < 0 || x >= this.across || cell >= this.head.length || heaps.has(cell)) continue
        for (let s = this.head[cell]; s >= 0; s = this.next[s]) {
          const d = (this.spots[2 * s] - p.x) ** 2 + (this.spots[2 * s + 1] - p.y) ** 2
          if (d < near) { near = d; best = this.drawn[s] }
        }
      }
    }
    return best < 0 ? null : { row: best }
  },

  /** spread gives the bounds of a heap's devices. */
  spread(h) {
    const bounds = L.latLngBounds([])
    for (let s = this.head[h.cell]; s >= 0; s = this.next[s]) bounds.extend(this.where(this.drawn[s]))
    return bounds
  },
})

/**
 * FleetMap is the map of a page. Nothing of it is kept after remove.
 * @typedef {{onPick: (row: number) => void, onOpen: (row: number) => void, onHover: (row: number) => void, onMove?: (box: string) => void,
 *   words: {label: string, zoomIn: string, zoomOut: string}, language: string}} MapOptions
 */
export class FleetMap {
  /** @param {HTMLElement} element @param {import('./fleet.js').Columns} columns @param {import('./fleet.js').View} view @param {MapOptions} options */
  constructor(element, columns, view, options) {
    this.options = options
    this.columns = columns
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
    const map = this.map = L.map(element, { zoomControl: false, attributionControl: false, minZoom: 2, maxZoom: 22, zoomSnap: 0.5, zoomDelta: 1, fadeAnimation: !calm,
      zoomAnimation: !calm, inertia: !calm, worldCopyJump: true })
    map.setView([20, 105], 3)
    L.control.zoom({ position: 'topright', zoomInTitle: options.words.zoomIn, zoomOutTitle: options.words.zoomOut }).addTo(map)
    L.control.scale({ imperial: false, maxWidth: 120 }).addTo(map)
    element.setAttribute('role', 'application')
    element.setAttribute('aria-label', options.words.label)
    // What an operator adds lies above the ground: tiles, then plans, then drawings and fences.
    this.ground = new GroundLayer({ pane: 'tilePane', zIndex: 1 })
    this.plans = new GroundLayer({ pane: 'tilePane', zIndex: 40 })
    this.plans.plain = true
    for (const layer of [this.ground, this.plans]) {
      layer.language = options.language
      layer.addTo(map)
    }
    this.fleet = new FleetLayer(columns, view)
    this.fleet.addTo(map)
    this.ring = L.DomUtil.create('div', 'map-ring leaflet-zoom-hide', map.getPane('markerPane'))
    this.ring.hidden = true
    this.datum = 'wgs84'
    this.lit = -1
    this.fitted = false
    /** @type {any[]} */ this.venues = []
    /** @type {any[]} */ this.extra = []
    map.on('moveend', () => { this.aim(); if (this.touched) options.onMove?.(this.box()) })
    map.on('zoomend', () => this.aim())
    map.on('dragstart', () => { this.touched = true })
    for (const type of ['wheel', 'keydown', 'pointerdown']) element.addEventListener(type, () => { this.touched = true }, { passive: true })
    map.on('mousemove', e => this.over(e.containerPoint))
    map.on('mouseout', () => this.over(null))
    map.on('click', e => {
      const hit = this.fleet.at(e.containerPoint, e.originalEvent.pointerType === 'touch' ? 24 : 15)
      if (hit?.heap) this.into(hit.heap)
      else options.onPick(hit ? hit.row : -1)
    })
    map.on('dblclick', e => { const hit = this.fleet.at(e.containerPoint); if (hit && 'row' in hit) options.onOpen(hit.row) })
    map.doubleClickZoom.disable()
    map.on('keypress', e => { if (e.originalEvent.key === 'Enter' && this.lit >= 0) options.onOpen(this.lit) })
    this.cancel = onTheme(() => { for (const layer of [this.ground, this.plans, this.fleet]) layer.dirty() })
    this.touched = false // by a hand; until then the map fits itself to its room
    this.sized = new ResizeObserver(() => {
      map.invalidateSize({ animate: false })
      if (!this.touched && this.fitted) this.fit(false)
    })
    this.sized.observe(element)
  }

  remove() {
    this.cancel()
    this.sized.disconnect()
    this.map.remove()
  }

  /** box is what the map shows, in WGS-84, as a filter has it. */
  box() {
    const b = this.map.getBounds()
    const [south, west] = outOf(this.datum, b.getSouth(), b.getWest()), [north, east] = outOf(this.datum, b.getNorth(), b.getEast())
    return [south, west, north, east].map(x => x.toFixed(5)).join(',')
  }

  /** show goes to a box in WGS-84. @param {{south: number, west: number, north: number, east: number}} box */
  show({ south, west, north, east }) {
    this.map.fitBounds([into(this.datum, south, west), into(this.datum, north, east)], { animate: false })
    this.fitted = true
  }

  /** place is where one looks, to come back to. */
  place() { return { center: this.map.getCenter(), zoom: this.map.getZoom() } }

  /** back goes to such a place. @param {{center: any, zoom: number}} place */
  back({ center, zoom }) {
    this.map.setView(center, zoom, { animate: false })
    this.fitted = this.touched = true
  }

  over(point) {
    const hit = point && this.fleet.at(point), row = hit && 'row' in hit ? hit.row : -1
    this.map.getContainer().classList.toggle('on-device', Boolean(hit))
    if (row === this.hovered) return
    this.hovered = row
    this.options.onHover(row)
  }

  into(h) {
    const b = this.fleet.spread(h)
    const zoom = Math.min(22, Math.max(this.map.getBoundsZoom(b.pad(0.2)), this.map.getZoom() + 1))
    this.map.setView(b.getCenter(), zoom)
  }

  /** loaded: every position is new. */
  loaded() {
    this.fleet.reproject()
    this.aim()
    if (!this.fitted && this.fit()) this.fitted = true
  }

  /** patched: some rows are new. @param {number[]} rows */
  patched(rows) {
    this.fleet.moved(rows)
    if (rows.includes(this.lit)) this.aim()
  }

  /** filtered: the view is another one. */
  filtered() { this.fleet.dirty() }

  /** fit shows every placed device of the view; else the venues. @returns {boolean} whether there was anything */
  fit(animate = this.fitted) {
    let b = this.fleet.bounds()
    if (!b) {
      const at = this.venues.filter(v => v.lat || v.lng).map(v => into(this.datum, v.lat, v.lng))
      if (at.length) b = L.latLngBounds(at)
    }
    if (!b) return false
    const size = this.map.getSize()
    this.blind = !size.x || !size.y // out of sight: nothing can be fitted into nothing
    if (this.blind) return false
    this.map.fitBounds(b, { padding: [36, 36], maxZoom: 18.5, animate })
    return true
  }

  /** appeared: the map was out of sight, such as on a tab. */
  appeared() {
    this.map.invalidateSize({ animate: false })
    if (!this.fitted || this.blind) this.fitted = this.fit()
  }

  /** high tells whether a row stands in the upper half of what is in sight. @param {number} row */
  high(row) {
    const at = this.fleet.where(row)
    return Boolean(at) && this.map.latLngToContainerPoint(at).y < this.map.getSize().y / 2
  }

  /** light puts a ring round a row; with follow the map goes there when it is out of sight. @param {number} row @param {boolean} [follow] */
  light(row, follow) {
    this.lit = row
    const at = row >= 0 ? this.fleet.where(row) : null
    if (at && follow && !this.map.getBounds().pad(-0.05).contains(at)) this.map.panTo(at)
    this.aim()
  }

  /** go brings a row to the middle, near enough to stand alone. @param {number} row */
  go(row) {
    const at = this.fleet.where(row)
    if (at) this.map.setView(at, Math.max(this.map.getZoom(), 18))
    this.light(row)
  }

  aim() {
    const at = this.lit >= 0 ? this.fleet.where(this.lit) : null
    this.ring.hidden = !at
    if (at) L.DomUtil.setPosition(this.ring, this.map.latLngToLayerPoint(at).round())
  }

  setLanguage(language) {
    for (const layer of [this.ground, this.plans]) {
      layer.language = language
      layer.dirty()
    }
  }

  /**
   * setGround says what lies below: settings of the installation and the venues with their maps.
   * @param {{tiles?: string, attribution?: string, datum?: string} | null} settings
   * @param {any[]} venues of GET /venues
   * @param {Record<string, any>} maps by venue, of GET /venues/{id}/map
   * @param {any[]} bases the drawn ones
   */
  setGround(settings, venues, maps, bases) {
    const { map } = this
    const datum = settings?.datum ?? 'wgs84', moved = datum !== this.datum
    this.datum = datum
    for (const layer of this.extra) layer.remove()
    this.extra = []
    if (settings?.tiles) this.extra.push(L.tileLayer(settings.tiles, { maxZoom: 22, maxNativeZoom: 18, zIndex: 10 }).addTo(map))
    this.ground.plain = Boolean(settings?.tiles)
    this.ground.drawings = []
    this.plans.drawings = []
    if (!settings?.tiles) {
      // The drawn places are the demo's: they show where its venues stand, and nowhere else.
      for (const b of bases) if (venues.some(v => Math.abs(v.lat - b.venue.lat) < 1e-6 && Math.abs(v.lng - b.venue.lng) < 1e-6)) this.ground.drawings.push(new Drawing(b, 'wgs84', datum))
    }
    for (const [id, m] of Object.entries(maps)) {
      if (m.geojson) this.plans.drawings.push(new Drawing(m.geojson, m.datum ?? 'wgs84', datum))
      if (m.plan?.corners) {
        const corners = cornersOf(m, datum)
        this.extra.push(L.imageOverlay(`/v1/operator/venues/${encodeURIComponent(id)}/map/image`, corners, { pane: 'tilePane', zIndex: 20, alt: '' }).addTo(map))
      }
    }
    this.plans.fences = venues.filter(v => v.lat || v.lng || v.geofence).map(v => ({ name: v.name,
      at: mercator(.../** @type {[number, number]} */ (into(datum, v.lat ?? 0, v.lng ?? 0))),
      rings: (v.geofence?.coordinates ?? []).flat().map(ring => ring.map(([lng, lat]) => mercator(.../** @type {[number, number]} */ (into(datum, lat, lng))))) }))
    this.venues = venues
    this.ground.dirty()
    this.plans.dirty()
    if (moved) {
      this.fleet.datum = datum
      this.fleet.reproject()
      this.fitted = this.fit()
    } else if (!this.fitted) this.fitted = this.fit()
    this.aim()
  }
}
