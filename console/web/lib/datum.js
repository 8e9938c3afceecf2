// Where a position is drawn. The server keeps WGS-84 and nothing else; a base map that is
// drawn in GCJ-02 or BD-09 stands 100 to 700 m beside it. So the layer shifts points into
// the base map's datum, and never shifts tiles.
//
// WGS-84 to GCJ-02 is the published reverse-engineered polynomial on the Krasovsky 1940
// ellipsoid, as api/geo.go has it. GCJ-02 to BD-09 is the published formula of Baidu's
// second shift: a rotation and a scale that ripple with 3000 pi / 180, plus 0.0065 and 0.006
// degrees. Outside of the box that the public implementations share, GCJ-02 is WGS-84;
// they let Baidu's shift apply everywhere, and so does this.

export const datums = ['wgs84', 'gcj02', 'bd09']

const axis = 6378245 // metres
const eccentricity = 0.006693421622965943 // squared
const { sin, cos, sqrt, abs, atan2, PI } = Math
const turn = PI * 3000 / 180

function outside(lat, lng) {
  return lng < 72.004 || lng > 137.8347 || lat < 0.8293 || lat > 55.8271
}

function offset(lat, lng) {
  const x = lng - 105, y = lat - 35
  const ripple = (20 * sin(6 * x * PI) + 20 * sin(2 * x * PI)) * 2 / 3
  const north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + ripple +
    (20 * sin(y * PI) + 40 * sin(y / 3 * PI)) * 2 / 3 + (160 * sin(y / 12 * PI) + 320 * sin(y * PI / 30)) * 2 / 3
  const east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + ripple +
    (20 * sin(x * PI) + 40 * sin(x / 3 * PI)) * 2 / 3 + (150 * sin(x / 12 * PI) + 300 * sin(x / 30 * PI)) * 2 / 3
  const radians = lat / 180 * PI
  const magic = 1 - eccentricity * sin(radians) * sin(radians)
  const root = sqrt(magic)
  return [north * 180 / (axis * (1 - eccentricity) / (magic * root) * PI), east * 180 / (axis / root * cos(radians) * PI)]
}

/** WGS-84 to GCJ-02; degrees, [lat, lng]. @param {number} lat @param {number} lng @returns {[number, number]} */
export function toGCJ02(lat, lng) {
  if (outside(lat, lng)) return [lat, lng]
  const [north, east] = offset(lat, lng)
  return [lat + north, lng + east]
}

/**
 * GCJ-02 to WGS-84 by fixed-point iteration; five rounds leave less than a millimetre, as in api/geo.go.
 * @param {number} lat @param {number} lng @returns {[number, number]}
 */
export function fromGCJ02(lat, lng) {
  if (outside(lat, lng)) return [lat, lng]
  let a = lat, b = lng
  for (let i = 0; i < 5; i++) {
    const [north, east] = offset(a, b)
    a = lat - north
    b = lng - east
  }
  return [a, b]
}

/** WGS-84 to BD-09; degrees. @param {number} lat @param {number} lng @returns {[number, number]} */
export function toBD09(lat, lng) {
  const [y, x] = toGCJ02(lat, lng)
  const z = sqrt(x * x + y * y) + 0.00002 * sin(y * turn)
  const angle = atan2(y, x) + 0.000003 * cos(x * turn)
  return [z * sin(angle) + 0.006, z * cos(angle) + 0.0065]
}

/**
 * BD-09 to WGS-84; degrees. The published way back is off by up to a metre, so this one
 * iterates on the way there, as fromGCJ02 does.
 * @param {number} lat @param {number} lng @returns {[number, number]}
 */
export function fromBD09(lat, lng) {
  let a = lat, b = lng
  for (let i = 0; i < 6; i++) {
    const [y, x] = toBD09(a, b)
    a += lat - y
    b += lng - x
  }
  return [a, b]
}

/**
 * into shifts a WGS-84 position into a base map's datum. A datum that is not known is an
 * error: a wrong one misplaces by hundreds of metres without a sign.
 * @param {string} datum wgs84, gcj02 or bd09 @param {number} lat @param {number} lng @returns {[number, number]}
 */
export function into(datum, lat, lng) {
  switch (datum) {
    case 'wgs84': return [lat, lng]
    case 'gcj02': return toGCJ02(lat, lng)
    case 'bd09': return toBD09(lat, lng)
  }
  throw new RangeError(`datum ${datum}: use one of ${datums.join(', ')}`)
}

/** outOf is the way back from a base map's datum to WGS-84. @param {string} datum @param {number} lat @param {number} lng @returns {[number, number]} */
export function outOf(datum, lat, lng) {
  switch (datum) {
    case 'wgs84': return [lat, lng]
    case 'gcj02': return fromGCJ02(lat, lng)
    case 'bd09': return fromBD09(lat, lng)
  }
  throw new RangeError(`datum ${datum}: use one of ${datums.join(', ')}`)
}

/**
 * cornersOf are a plan's corners where a base map shows them. They are WGS-84 whatever a
 * venue's map says: its datum is that of its GeoJSON alone.
 * @param {{plan: {corners: number[][]}, datum?: string}} map of GET /venues/{id}/map @param {string} datum of the base map
 */
export const cornersOf = (map, datum) => map.plan.corners.map(([lat, lng]) => into(datum, lat, lng))

/** metres is the great-circle distance of two WGS-84 positions on IUGG's mean radius. */
export function metres(lat1, lng1, lat2, lng2) {
  const rad = PI / 180
  const a = sin((lat2 - lat1) * rad / 2), b = sin((lng2 - lng1) * rad / 2)
  const h = a * a + cos(lat1 * rad) * cos(lat2 * rad) * b * b
  return 2 * 6371008.8 * Math.asin(sqrt(Math.min(h, 1)))
}
