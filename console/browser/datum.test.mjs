// Datums, by the vectors that the public implementations test themselves with.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

// As text: the file is a module of the browser and has no package.json that says so.
const source = readFileSync(new URL('../web/lib/datum.js', import.meta.url), 'utf8')
const { cornersOf, toGCJ02, fromGCJ02, toBD09, fromBD09, into, outOf, metres, datums } = await import('data:text/javascript,' + encodeURIComponent(source))

// [lat, lng] in WGS-84 and GCJ-02: Shanghai, Shenzhen, Beijing (as in api/geo_test.go), and Beijing again.
const gcj = [
  [[31.1774276, 121.5272106], [31.17530398364597, 121.531541859215]],
  [[22.543847, 113.912316], [22.540796131694766, 113.9171764808363]],
  [[39.911954, 116.377817], [39.91334545536069, 116.38404722455657]],
  [[39.915, 116.404], [39.91640428150164, 116.41024449916938]],
]
// WGS-84 and BD-09.
const bd = [[[39.915, 116.404], [39.922699552216216, 116.41662724378733]]]

test('WGS-84 becomes GCJ-02 and comes back within a centimetre', () => {
  for (const [w, g] of gcj) {
    assert.ok(metres(...toGCJ02(...w), ...g) < 0.01, `${w} became ${toGCJ02(...w)}, want ${g}`)
    assert.ok(metres(...fromGCJ02(...g), ...w) < 0.01, `${g} came back as ${fromGCJ02(...g)}, want ${w}`)
    assert.ok(metres(...w, ...g) > 100, 'the two are hardly apart: the vector proves nothing')
  }
})

test('WGS-84 becomes BD-09 and comes back within a centimetre', () => {
  for (const [w, b] of bd) {
    assert.ok(metres(...toBD09(...w), ...b) < 0.01, `${w} became ${toBD09(...w)}, want ${b}`)
    assert.ok(metres(...fromBD09(...b), ...w) < 0.01, `${b} came back as ${fromBD09(...b)}, want ${w}`)
  }
})

test('every datum comes back over the whole box', () => {
  for (const datum of datums) {
    for (let lat = 2; lat < 54; lat += 3.7) {
      for (let lng = 74; lng < 136; lng += 4.3) {
        const back = outOf(datum, ...into(datum, lat, lng))
        assert.ok(metres(lat, lng, ...back) < 0.01, `${datum} ${lat},${lng} came back as ${back}`)
      }
    }
  }
})

test('GCJ-02 is plain outside of China', () => {
  for (const p of [[48.8566, 2.3522], [-33.8688, 151.2093], [0, 0]]) assert.deepEqual(toGCJ02(...p), p)
})

test('a datum that is not known is an error, not a place', () => {
  assert.throws(() => into('bd-09', 31, 121), /wgs84, gcj02, bd09/)
  assert.throws(() => outOf('', 31, 121), RangeError)
})

test('a plan’s corners are WGS-84, whatever datum the venue’s drawing has', () => {
  const [[w, g]] = gcj
  for (const datum of ['wgs84', 'gcj02', undefined]) {
    const map = { plan: { corners: [w, w] }, ...(datum && { datum }) }
    for (const at of cornersOf(map, 'gcj02')) assert.ok(metres(...at, ...g) < 0.01, `a drawing in ${datum}: the plan stands at ${at}, want ${g}`)
    assert.deepEqual(cornersOf(map, 'wgs84'), [w, w])
  }
})
