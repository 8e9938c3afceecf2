// A geofence: a GeoJSON MultiPolygon (RFC 7946) of rings of [longitude, latitude] in
// WGS-84. While it is drawn a fence is a list of rings of [lat, lng], without the
// repeated last point; holes are kept with their polygon and are not drawn.

/** @typedef {{ring: Array<[number, number]>, holes: number[][][]}} Shape */

/** Shapes of an area as the API gives it. @param {any} area @returns {Shape[]} */
export function shapesOf(area) {
  return (area?.coordinates ?? []).map(([outer, ...holes]) => ({ ring: open(outer), holes }))
}

const open = ring => {
  const points = ring.map(([lng, lat]) => /** @type {[number, number]} */ ([lat, lng]))
  const [first, last] = [points[0], points.at(-1)]
  if (points.length > 1 && first[0] === last[0] && first[1] === last[1]) points.pop()
  return points
}

/** The area that the API takes; null where nothing encloses anything. @param {Shape[]} shapes */
export function areaOf(shapes) {
  const whole = shapes.filter(s => s.ring.length > 2)
  if (!whole.length) return null
  return { type: 'MultiPolygon', coordinates: whole.map(s => [[...s.ring, s.ring[0]].map(([lat, lng]) => [round(lng), round(lat)]), ...s.holes]) }
}

const round = v => Math.round(v * 1e7) / 1e7 // a centimetre

/**
 * Shapes of any GeoJSON: a geometry, a feature or a collection. What is not a polygon
 * is left out. Throws where there is no polygon or a number is none.
 * @param {any} geo
 * @returns {Shape[]}
 */
export function shapesIn(geo) {
  const found = []
  const walk = g => {
    switch (g?.type) {
      case 'FeatureCollection': g.features?.forEach(walk); break
      case 'Feature': walk(g.geometry); break
      case 'GeometryCollection': g.geometries?.forEach(walk); break
      case 'Polygon': found.push(g.coordinates); break
      case 'MultiPolygon': found.push(...g.coordinates); break
    }
  }
  walk(geo)
  const fine = p => Array.isArray(p) && p.length >= 2 && Math.abs(p[0]) <= 180 && Math.abs(p[1]) <= 90
  if (!found.length || !found.every(polygon => polygon?.length && polygon.every(ring => Array.isArray(ring) && ring.length > 3 && ring.every(fine)))) {
    throw new Error('no polygon')
  }
  return shapesOf({ coordinates: found.map(p => p.map(ring => ring.map(([lng, lat]) => [lng, lat]))) })
}

/** The enclosed area in square metres, on a sphere flattened at the shape. @param {Shape[]} shapes */
export function squareMetres(shapes) {
  let sum = 0
  for (const { ring } of shapes) {
    if (ring.length < 3) continue
    const k = Math.cos(ring[0][0] * Math.PI / 180) * 111_320 * 110_574
    let twice = 0
    ring.forEach(([lat, lng], i) => {
      const [lat2, lng2] = ring[(i + 1) % ring.length]
      twice += (lng - ring[0][1]) * (lat2 - ring[0][0]) - (lng2 - ring[0][1]) * (lat - ring[0][0])
    })
    sum += Math.abs(twice) / 2 * k
  }
  return sum
}
