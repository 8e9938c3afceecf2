// What lies under the devices: a graticule everywhere, the drawn campus and forecourt
// where the demo's venues stand, an operator's own GeoJSON, and the venues' fences. All
// of it is drawn on one canvas; nothing is fetched from anywhere but this server.
import { L } from './leaflet.js'
import { into, outOf } from './datum.js'
import { effect } from './html.js'
import { isDark } from './look.js'

export const earth = 40075016.686 // metres round the equator, WGS-84's semi-major axis

/** mercator gives Web Mercator as a share of the world, 0 to 1, y downwards. @param {number} lat @param {number} lng @returns {[number, number]} */
export function mercator(lat, lng) {
  const s = Math.sin(Math.max(-85.0511, Math.min(85.0511, lat)) * Math.PI / 180)
  return [lng / 360 + 0.5, 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI)]
}

/** onTheme calls back now and whenever light and dark change places. @param {() => void} fn @returns {() => void} cancel */
export const onTheme = fn => effect(() => { isDark(); fn() })

/** brush is the way to draw on a canvas; every browser that runs this has it. @param {HTMLCanvasElement} canvas */
export const brush = canvas => /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))

/**
 * CanvasLayer is a canvas over the whole map, a little larger than it, that follows drags
 * and zooms. A child gives paint(ctx, frame): frame.x(u) and frame.y(v) turn shares of
 * the world into pixels.
 */
export const CanvasLayer = L.Layer.extend({
  options: { pane: 'tilePane', pad: 0.15 },

  onAdd(map) {
    this.canvas = L.DomUtil.create('canvas', 'map-canvas leaflet-zoom-animated')
    this.canvas.setAttribute('aria-hidden', 'true')
    if (this.options.zIndex) this.canvas.style.zIndex = this.options.zIndex
    this.getPane().appendChild(this.canvas)
    this.place()
    return this
  },

  onRemove() {
    cancelAnimationFrame(this.frame)
    this.frame = 0
    this.canvas.remove()
  },

  getEvents() {
    return { moveend: this.place, move: this.drag, zoomanim: this.animate, resize: this.place, viewreset: this.place }
  },

  // drag paints again before a drag shows what lies beyond the canvas.
  drag() {
    if (this._map._animatingZoom || !this.corner) return
    const size = this._map.getSize()
    const now = this._map.containerPointToLayerPoint([0, 0]).subtract(this.corner)
    if (now.x < 0 || now.y < 0 || now.x > 2 * this.options.pad * size.x || now.y > 2 * this.options.pad * size.y) this.place()
  },

  animate(e) {
    const scale = this._map.getZoomScale(e.zoom, this.zoom)
    L.DomUtil.setTransform(this.canvas, this._map._latLngToNewLayerPoint(this.northWest, e.zoom, e.center), scale)
  },

  // place lays the canvas over what is in sight and paints it at once.
  place() {
    const map = this._map
    if (!map || map._animatingZoom) return
    const size = map.getSize(), pad = size.multiplyBy(this.options.pad).round(), ratio = Math.min(devicePixelRatio || 1, 2)
    this.corner = map.containerPointToLayerPoint([-pad.x, -pad.y]).round()
    this.zoom = map.getZoom()
    this.northWest = map.layerPointToLatLng(this.corner)
    this.width = size.x + 2 * pad.x
    this.height = size.y + 2 * pad.y
    const { canvas } = this
    if (canvas.width !== Math.round(this.width * ratio) || canvas.height !== Math.round(this.height * ratio)) {
      canvas.width = Math.round(this.width * ratio)
      canvas.height = Math.round(this.height * ratio)
      canvas.style.width = this.width + 'px'
      canvas.style.height = this.height + 'px'
    }
    this.ratio = ratio
    L.DomUtil.setPosition(canvas, this.corner)
    this.now()
  },

  /** dirty asks for one painting in the next frame, however often it is called. */
  dirty() {
    if (this.frame || !this._map) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      if (this._map && !this._map._animatingZoom) this.now()
    })
  },

  now() {
    const ctx = brush(this.canvas)
    const world = 256 * 2 ** this.zoom, origin = this._map.getPixelOrigin().add(this.corner)
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
    ctx.clearRect(0, 0, this.width, this.height)
    this.paint(ctx, { world, left: origin.x, top: origin.y, x: u => u * world - origin.x, y: v => v * world - origin.y,
      width: this.width, height: this.height, zoom: this.zoom, ratio: this.ratio })
  },
})

const palettes = {
  light: { open: '#eef0ea', grid: '#d9ddd4', gridText: '#6b756c', ground: '#e6ebdd', lawn: '#cfe0bd', water: '#a9cfe0', shore: '#86b3c8', path: '#f8f5ec', pathEdge: '#d8d2c0',
    road: '#ffffff', roadEdge: '#c3c6c2', mark: '#ffffff', roadMark: '#c9b26b', plaza: '#f1e9d8', track: '#d99a7c', pitch: '#b3d49a', court: '#a8c6b0', building: '#d9cfc0', buildingEdge: '#ab9d88',
    shadow: 'rgba(60,50,30,.16)', rack: '#b7b2a5', tree: '#8db77a', treeEdge: '#74a062', forecourt: '#dedfdc', canopy: 'rgba(196,66,52,.20)', canopyEdge: '#c44234', island: '#9a9d9b',
    tank: '#8d9391', text: '#3c352a', halo: 'rgba(255,255,255,.85)', waterText: '#235a72', fence: '#5a4bb0', own: '#8f8672' },
  dark: { open: '#121614', grid: '#222925', gridText: '#8a968f', ground: '#1a201b', lawn: '#20301f', water: '#173545', shore: '#24506a', path: '#353a35', pathEdge: '#23282a',
    road: '#3d4341', roadEdge: '#23282a', mark: '#8d958f', roadMark: '#87783f', plaza: '#38372f', track: '#5a3a2e', pitch: '#29452a', court: '#25423a', building: '#39362f', buildingEdge: '#5c574b',
    shadow: 'rgba(0,0,0,.35)', rack: '#55564f', tree: '#2c4a2b', treeEdge: '#3b5f39', forecourt: '#2b302e', canopy: 'rgba(226,98,80,.18)', canopyEdge: '#b9574a', island: '#5d625f',
    tank: '#596360', text: '#d9d3c6', halo: 'rgba(18,22,20,.85)', waterText: '#8cc0da', fence: '#a79bff', own: '#8b8570' },
}

// order is how classes lie above each other; each with how it is painted.
const order = ['ground', 'lawn', 'water', 'plaza', 'forecourt', 'track', 'pitch', 'court', 'road', 'path', 'mark', 'rack', 'building', 'island', 'tank', 'canopy', 'tree']

/**
 * Drawing is a GeoJSON collection turned into paths, in metres round its own middle.
 * Known classes (property class) look as in the drawn campus; others by their geometry.
 */
export class Drawing {
  /** @param {any} geojson @param {string} datum that it is drawn in @param {string} onto datum of the map */
  constructor(geojson, datum, onto) {
    const features = geojson.type === 'FeatureCollection' ? geojson.features ?? [] : geojson.type === 'Feature' ? [geojson] : [{ type: 'Feature', properties: {}, geometry: geojson }]
    const place = ([lng, lat]) => mercator(.../** @type {[number, number]} */ (into(onto, .../** @type {[number, number]} */ (outOf(datum, lat, lng)))))
    this.labels = []
    /** @type {Map<string, {kind: string, path: Path2D, width: number, dash: number}>} */
    this.paths = new Map()
    let west = Infinity, east = -Infinity, north = Infinity, south = -Infinity
    const points = []
    each(features, (_, p) => {
      const [u, v] = place(p)
      points.push([u, v])
      west = Math.min(west, u); east = Math.max(east, u); north = Math.min(north, v); south = Math.max(south, v)
    })
    this.empty = points.length === 0
    this.u = (west + east) / 2
    this.v = (north + south) / 2
    const lat = Math.atan(Math.sinh(Math.PI * (1 - 2 * this.v))) * 180 / Math.PI
    this.perMetre = 1 / (earth * Math.cos(lat * Math.PI / 180)) // of the world
    this.west = west; this.east = east; this.north = north; this.south = south
    const local = p => { const [u, v] = place(p); return [(u - this.u) / this.perMetre, (v - this.v) / this.perMetre] }
    for (const f of features) this.add(f, local)
    this.list = [...this.paths.values()].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
  }

  add(f, local) {
    const { properties: p = {}, geometry: g } = f
    if (!g) return
    const kind = order.includes(p?.class) ? p.class : /Polygon/.test(g.type) ? 'ownArea' : /Line/.test(g.type) ? 'ownLine' : 'ownPoint'
    const width = Number(p?.width) || 1.5, dash = Number(p?.dash) || 0, radius = Number(p?.radius) || 2
    const key = [kind, /Line/.test(g.type) ? width : 'area', dash].join()
    if (!this.paths.has(key)) this.paths.set(key, { kind, path: new Path2D(), width: /Line/.test(g.type) ? width : 0, dash })
    const path = /** @type {{path: Path2D}} */ (this.paths.get(key)).path
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity
    const run = (list, closed) => {
      list.forEach((q, i) => {
        const [x, y] = local(q)
        x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y)
        if (i) path.lineTo(x, y)
        else path.moveTo(x, y)
      })
      if (closed) path.closePath()
    }
    const dot = q => { const [x, y] = local(q); path.moveTo(x + radius, y); path.arc(x, y, radius, 0, 7); x0 = x1 = x; y0 = y1 = y }
    switch (g.type) {
      case 'Polygon': g.coordinates.forEach(r => run(r, true)); break
      case 'MultiPolygon': g.coordinates.forEach(q => q.forEach(r => run(r, true))); break
      case 'LineString': run(g.coordinates, false); break
      case 'MultiLineString': g.coordinates.forEach(r => run(r, false)); break
      case 'Point': dot(g.coordinates); break
      case 'MultiPoint': g.coordinates.forEach(dot); break
    }
    const name = { en: p?.name_en ?? p?.name, 'zh-CN': p?.name_zh ?? p?.name }
    if (name.en) this.labels.push({ name, x: (x0 + x1) / 2, y: (y0 + y1) / 2, room: x1 - x0, kind })
  }

  /** @param {CanvasRenderingContext2D} ctx @param {any} frame @param {any} c palette @param {string} language */
  paint(ctx, frame, c, language) {
    if (this.empty) return
    const k = this.perMetre * frame.world // pixels a metre
    if (frame.x(this.east) < 0 || frame.x(this.west) > frame.width || frame.y(this.south) < 0 || frame.y(this.north) > frame.height) return
    const at = () => ctx.setTransform(k * frame.ratio, 0, 0, k * frame.ratio, frame.x(this.u) * frame.ratio, frame.y(this.v) * frame.ratio)
    at()
    ctx.lineJoin = 'round'
    // Edges of every road lie under all of them, so that crossings stay open.
    for (const part of this.list) this.stroke(ctx, part, c, k, true)
    for (const part of this.list) this.stroke(ctx, part, c, k, false)
    ctx.setTransform(frame.ratio, 0, 0, frame.ratio, 0, 0)
    if (k < 0.5) return
    ctx.textAlign = 'center'
    ctx.textBaseline = 'middle'
    ctx.lineJoin = 'round'
    for (const { name, x, y, room, kind } of this.labels) {
      const text = name[language] ?? name.en
      const px = frame.x(this.u) + x * k, py = frame.y(this.v) + y * k
      if (px < -80 || py < -20 || px > frame.width + 80 || py > frame.height + 20) continue
      ctx.font = `${kind === 'building' ? 500 : 600} ${k > 2.4 ? 12.5 : 11}px system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif`
      if (kind !== 'canopy' && ctx.measureText(text).width > room * k - 4) continue
      const up = kind === 'canopy' ? py - 30 * k : py
      ctx.strokeStyle = c.halo
      ctx.lineWidth = 3
      ctx.strokeText(text, px, up)
      ctx.fillStyle = kind === 'water' ? c.waterText : kind === 'canopy' ? c.canopyEdge : c.text
      ctx.fillText(text, px, up)
    }
  }

  stroke(ctx, { kind, path, width, dash }, c, k, under) {
    const line = 1 / k // one pixel
    ctx.setLineDash(dash && !under ? [dash, dash] : [])
    ctx.lineCap = kind === 'rack' || kind === 'mark' ? 'butt' : 'round'
    const fill = (colour, edge) => {
      ctx.fillStyle = colour
      ctx.fill(path)
      if (edge) { ctx.strokeStyle = edge; ctx.lineWidth = line; ctx.stroke(path) }
    }
    const draw = (colour, wide) => { ctx.strokeStyle = colour; ctx.lineWidth = Math.max(wide, line); ctx.stroke(path) }
    if (under) {
      if (['ground', 'lawn'].includes(kind)) fill(c[kind])
      if (kind === 'water') fill(c.water, c.shore)
      if (kind === 'path' && k > 0.4) draw(c.pathEdge, width + 2 * line)
      if (kind === 'road') draw(c.roadEdge, width + 2 * line)
      return
    }
    switch (kind) {
      case 'path': case 'road': return draw(c[kind], width)
      case 'mark': return k > 0.5 ? draw(dash ? c.roadMark : c.mark, width) : undefined
      case 'rack': return k > 0.8 ? draw(c.rack, width) : undefined
      case 'plaza': case 'track': case 'pitch': case 'court': case 'forecourt': case 'island': case 'tank': return fill(c[kind])
      case 'building':
        if (k > 0.6) {
          ctx.save()
          ctx.translate(2.6, 2.6)
          ctx.fillStyle = c.shadow
          ctx.fill(path)
          ctx.restore()
        }
        return fill(c.building, c.buildingEdge)
      case 'canopy': return fill(c.canopy, c.canopyEdge)
      case 'tree': return k > 0.5 ? fill(c.tree, k > 1.5 ? c.treeEdge : undefined) : undefined
      case 'ownArea': ctx.globalAlpha = 0.18; fill(c.own); ctx.globalAlpha = 1; return draw(c.own, line * 1.5)
      case 'ownLine': return draw(c.own, Math.max(width, 2 * line))
      case 'ownPoint': return fill(c.own)
    }
  }
}

// each walks every position of features.
function each(features, fn) {
  const walk = (f, c) => typeof c?.[0] === 'number' ? fn(f, c) : Array.isArray(c) && c.forEach(d => walk(f, d))
  for (const f of features) walk(f, f.geometry?.coordinates)
}

/** GroundLayer paints the graticule, drawings and fences. */
export const GroundLayer = CanvasLayer.extend({
  initialize(options) {
    L.setOptions(this, options)
    /** @type {Drawing[]} */ this.drawings = []
    /** @type {Array<{rings: Array<Array<[number, number]>>, name: string, at: [number, number]}>} */ this.fences = []
    this.plain = false // tiles lie below: no ground of our own
    this.language = 'en'
  },

  paint(ctx, frame) {
    const c = palettes[isDark() ? 'dark' : 'light']
    if (!this.plain) {
      ctx.fillStyle = c.open
      ctx.fillRect(0, 0, frame.width, frame.height)
      this.graticule(ctx, frame, c)
    }
    for (const d of this.drawings) d.paint(ctx, frame, c, this.language)
    if (!this.plain) this.degrees(ctx, frame, c)
    this.paintFences(ctx, frame, c)
  },

  // graticule draws lines of whole steps of degrees, at least 110 pixels apart.
  graticule(ctx, frame, c) {
    const perDegree = frame.world / 360
    const step = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30].find(s => s * perDegree > 110) ?? 30
    const latOf = y => Math.atan(Math.sinh(Math.PI * (1 - 2 * (y + frame.top) / frame.world))) * 180 / Math.PI
    const west = (frame.left / frame.world - 0.5) * 360, east = west + frame.width / perDegree
    const north = Math.min(85, latOf(0)), south = Math.max(-85, latOf(frame.height))
    this.grid = { digits: Math.max(0, Math.ceil(-Math.log10(step))), lngs: [], lats: [] }
    for (let i = Math.ceil(west / step); i * step < east; i++) this.grid.lngs.push([i * step, Math.round(frame.x(i * step / 360 + 0.5)) + 0.5])
    for (let i = Math.ceil(south / step); i * step < north; i++) this.grid.lats.push([i * step, Math.round(frame.y(mercator(i * step, 0)[1])) + 0.5])
    ctx.lineWidth = 1
    ctx.strokeStyle = c.grid
    ctx.setLineDash([])
    ctx.beginPath()
    for (const [, x] of this.grid.lngs) { ctx.moveTo(x, 0); ctx.lineTo(x, frame.height) }
    for (const [, y] of this.grid.lats) { ctx.moveTo(0, y); ctx.lineTo(frame.width, y) }
    ctx.stroke()
  },

  // degrees writes the graticule's figures above the drawings, at the edges that hold no buttons.
  degrees(ctx, frame, c) {
    const size = this._map.getSize(), left = (frame.width - size.x) / 2, top = (frame.height - size.y) / 2
    ctx.font = '10px ui-monospace, "SF Mono", Menlo, Consolas, monospace'
    ctx.textAlign = 'left'
    ctx.textBaseline = 'alphabetic'
    ctx.lineWidth = 3
    ctx.lineJoin = 'round'
    ctx.strokeStyle = c.halo
    ctx.fillStyle = c.gridText
    const write = (degrees, x, y) => {
      const text = degrees.toFixed(this.grid.digits) + '°'
      ctx.strokeText(text, x, y)
      ctx.fillText(text, x, y)
    }
    for (const [lng, x] of this.grid.lngs) if (Math.abs(lng) <= 180 && x > left + 150) write(lng, x + 4, top + size.y - 5)
    for (const [lat, y] of this.grid.lats) if (y > top + 70 && y < top + size.y - 40) write(lat, left + 4, y - 3)
  },

  paintFences(ctx, frame, c) {
    ctx.strokeStyle = c.fence
    ctx.lineWidth = 2
    ctx.setLineDash([7, 5])
    /** @type {Array<[number, number, number]>} */
    const written = [] // left, right, y: a name that would stand on another one is left out
    for (const { rings, name, at } of this.fences) {
      ctx.beginPath()
      let left = Infinity, right = -Infinity, top = Infinity
      for (const ring of rings) {
        ring.forEach(([u, v], i) => {
          const x = frame.x(u), y = frame.y(v)
          left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y)
          if (i) ctx.lineTo(x, y)
          else ctx.moveTo(x, y)
        })
        ctx.closePath()
      }
      ctx.stroke()
      const x = rings.length ? (left + right) / 2 : frame.x(at[0]), y = rings.length ? top - 9 : frame.y(at[1]) - 36
      if (frame.zoom > 18 || (rings.length && right - left < 40)) continue
      if (!rings.length && (frame.zoom < 9 || frame.zoom > 15)) continue
      ctx.font = '600 12px system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
      ctx.textAlign = 'center'
      ctx.textBaseline = 'middle'
      const half = ctx.measureText(name).width / 2 + 4
      if (written.some(([l, r, h]) => x + half > l && x - half < r && Math.abs(h - y) < 15)) continue
      written.push([x - half, x + half, y])
      ctx.save()
      ctx.setLineDash([])
      ctx.lineJoin = 'round'
      ctx.lineWidth = 3
      ctx.strokeStyle = c.halo
      ctx.strokeText(name, x, y)
      ctx.fillStyle = c.fence
      ctx.fillText(name, x, y)
      ctx.restore()
    }
    ctx.setLineDash([])
  },
})
