// The fleet's columns and views: filter, sort, counts and patches, without a browser.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const source = readFileSync(new URL('../web/lib/fleet.js', import.meta.url), 'utf8')
const { Columns, View, filterOf, kinds, problems, problemNames, sortKeys, states } = await import('data:text/javascript,' + encodeURIComponent(source))

// snapshot makes an answer of GET /fleet from rows; what a row leaves out is usual.
function snapshot(...rows) {
  const usual = { kind: 0, venue: 0, service: 0, state: 0, battery: 80, lat: 31_000_000, lng: 121_000_000, heard: 1000, firmware: 0, outlets: 1, orders: 0, problems: 0, failures: 0, since: 900 }
  const s = { cursor: 'a1', venues: ['campus', 'station'], firmwares: ['1.0', '1.10', '1.9'], n: rows.length, id: rows.map(r => r.id) }
  for (const k of Object.keys(usual)) s[k] = rows.map(r => k in r ? r[k] : usual[k])
  return s
}

function loaded(...rows) {
  const c = new Columns()
  c.load(snapshot(...rows))
  return c
}

function ids(c, filter = {}, sort = 'id', names = {}) {
  const v = new View()
  v.apply(c, filter, sort, names)
  return Array.from(v.rows.subarray(0, v.count), i => c.ids[i])
}

const some = () => loaded(
  { id: 'Bike-1', battery: 10, problems: problems.low_battery, heard: 50 },
  { id: 'bike-2', battery: -1, state: 8, lat: null, lng: null, heard: 0, firmware: 1 },
  { id: 'bike-3', battery: 55, state: 5, problems: problems.offline | problems.evidence_gap, heard: 10, firmware: 2 },
  { id: 'pump-1', kind: 1, venue: 1, battery: -1, state: 7, problems: problems.stopped, service: 1, lat: 31_500_000, lng: 121_500_000, heard: 99 })

test('a filter is the conjunction of its parts', () => {
  const c = some()
  for (const [filter, want] of [
    [{}, ['Bike-1', 'bike-2', 'bike-3', 'pump-1']],
    [{ q: 'BIKE-' }, ['Bike-1', 'bike-2', 'bike-3']],
    [{ q: 'stat' }, ['pump-1']], // the venue's id
    [{ venue: 'station' }, ['pump-1']],
    [{ kind: 'lock', state: 'offline' }, ['bike-3']],
    [{ service: 'maintenance' }, ['pump-1']],
    [{ problem: 'evidence_gap' }, ['bike-3']],
    [{ problem: 'any' }, ['Bike-1', 'bike-3', 'pump-1']],
    [{ battery: '56' }, ['Bike-1', 'bike-3']], // one that never told is not below anything
    [{ firmware: '1.10' }, ['bike-2']],
    [{ box: '31.4,121.4,31.6,121.6' }, ['pump-1']],
    [{ venue: 'gone' }, []],
    [{ kind: 'pump', problem: 'offline' }, []],
  ]) assert.deepEqual(ids(c, filter), want, JSON.stringify(filter))
})

test('every filter picks what the server’s picks', () => {
  const { venues, devices, filters } = JSON.parse(readFileSync(new URL('../../live/testdata/filter.json', import.meta.url), 'utf8'))
  const names = Object.keys(venues), firmwares = [...new Set(devices.map(d => d.firmware))]
  const s = snapshot(...devices.map(d => ({ ...d, venue: names.indexOf(d.venue), firmware: firmwares.indexOf(d.firmware) })))
  const c = new Columns()
  c.load({ ...s, venues: names, firmwares })
  for (const { filter, picks } of filters) {
    assert.deepEqual(filterOf(filter), filter, 'the address says the same')
    assert.deepEqual(ids(c, filter, 'id', venues), picks, JSON.stringify(filter))
  }
})

test('free text finds a venue by its name', () => {
  assert.deepEqual(ids(some(), { q: 'willow' }, 'id', { station: 'Willow Road' }), ['pump-1'])
})

test('every order of sorting holds every row, and what is not known stands last both ways', () => {
  const c = some()
  for (const k of sortKeys) for (const sign of ['', '-']) assert.equal(new Set(ids(c, {}, sign + k)).size, 4, sign + k)
  assert.deepEqual(ids(c, {}, 'battery'), ['Bike-1', 'bike-3', 'bike-2', 'pump-1'])
  assert.deepEqual(ids(c, {}, '-battery'), ['bike-3', 'Bike-1', 'bike-2', 'pump-1'])
  assert.deepEqual(ids(c, {}, '-heard'), ['pump-1', 'Bike-1', 'bike-3', 'bike-2'])
  assert.deepEqual(ids(c, {}, '-id'), ['pump-1', 'bike-3', 'bike-2', 'Bike-1'])
  assert.deepEqual(ids(c, {}, 'firmware'), ['Bike-1', 'pump-1', 'bike-3', 'bike-2'], '1.9 is before 1.10')
  assert.deepEqual(ids(c, {}, 'state'), ['pump-1', 'bike-3', 'bike-2', 'Bike-1'], 'the gravest first')
})

test('a sort by a great number stays exact', () => {
  const c = loaded({ id: 'a', heard: 4_000_000_001 }, { id: 'b', heard: 4_000_000_000 }, { id: 'c', heard: 4_000_000_002 })
  assert.deepEqual(ids(c, {}, 'heard'), ['b', 'a', 'c'])
  assert.deepEqual(ids(c, {}, '-heard'), ['c', 'a', 'b'])
})

test('counts of problems are those under the rest of the filter', () => {
  const v = new View()
  v.apply(some(), { kind: 'lock', problem: 'low_battery' })
  const count = name => v.problemCounts[problemNames.indexOf(name)]
  assert.deepEqual([v.count, count('low_battery'), count('offline'), count('stopped'), v.problemAny], [1, 1, 1, 0, 2])
})

test('what is not placed is counted', () => {
  const v = new View()
  v.apply(some(), {})
  assert.equal(v.unplaced, 1)
  v.apply(some(), { kind: 'pump' })
  assert.equal(v.unplaced, 0)
})

test('an update changes its row in place and tells which', () => {
  const c = some()
  assert.deepEqual(c.patch([{ id: 'bike-3', state: 0, problems: 0, battery: null, lat: 31_250_000, venue: 'station', firmware: '2.0' }]), [2])
  const r = c.row(2)
  assert.deepEqual([r.state, r.problems, r.battery, r.lat, r.venue, r.firmware, r.heard], ['available', 0, null, 31.25, 'station', '2.0', 10])
  assert.deepEqual(ids(c, { firmware: '2.0' }), ['bike-3'])
})

test('a device that appears stands where its id belongs', () => {
  const c = some()
  const rows = Array.from({ length: 200 }, (_, i) => ({ id: `bike-2${String(i).padStart(3, '0')}`, state: 1, battery: 5 }))
  assert.deepEqual(c.patch(rows).length, 200)
  const all = ids(c)
  assert.equal(all.length, 204)
  assert.deepEqual(all.slice(1, 4), ['bike-2', 'bike-2000', 'bike-2001'])
  assert.deepEqual(all.slice(-2), ['bike-3', 'pump-1'])
  assert.equal(c.row(c.find('bike-2007')).lat, null)
})

test('a filter out of an address keeps only what means something', () => {
  assert.deepEqual(filterOf({ q: ' a ', kind: 'boat', state: 'offline', problem: 'none', battery: '-3', box: '1,2,3', venue: 'x', sort: 'id', other: '1' }), { q: 'a', state: 'offline', venue: 'x' })
  assert.deepEqual(filterOf({ box: '31,121,32,122', battery: '20', problem: 'any' }), { box: '31,121,32,122', battery: '20', problem: 'any' })
})

test('50,000 devices are filtered and sorted rightly, whichever way round', () => {
  const rows = Array.from({ length: 50_000 }, (_, i) => ({ id: 'bike-' + String(i).padStart(6, '0'), venue: i % 2, state: i * 7 % states.length, battery: i * 37 % 101, heard: (i * 7919) % 100_000, problems: i % 5 ? 0 : 4 }))
  // By the plain way; how long it takes is perf.mjs's.
  const c = loaded(...rows)
  for (const [filter, passes, sort, key] of [
    [{}, () => true, 'battery', r => r.battery], [{ q: '99' }, r => r.id.includes('99'), '-heard', r => -r.heard],
    [{ problem: 'any', venue: 'campus' }, r => r.problems && !r.venue, 'problems', r => -r.problems], [{ battery: '20' }, r => r.battery < 20, 'venue', r => r.venue],
  ]) assert.deepEqual(ids(c, filter, sort), rows.filter(passes).sort((a, b) => key(a) - key(b) || (a.id < b.id ? -1 : 1)).map(r => r.id), sort)
})

test('a kind that the console does not know is shown as itself, and never as a lock', () => {
  const c = new Columns()
  c.load({ ...snapshot({ id: 'bike-1' }, { id: 'drum-1', kind: 2 }), kinds: ['lock', 'pump', 'washer'] })
  assert.deepEqual(['bike-1', 'drum-1'].map(id => c.row(c.find(id)).kind), ['lock', 'washer'])
  // Another snapshot may count otherwise; the stream names it.
  c.load({ ...snapshot({ id: 'drum-1', kind: 3 }, { id: 'locker-1', kind: 2 }), kinds: ['lock', 'pump', 'locker', 'washer'] })
  c.patch([{ id: 'drum-2', kind: 'washer' }, { id: 'locker-1', kind: 'locker', battery: 7 }])
  assert.deepEqual(c.ids.map(id => c.row(c.find(id)).kind), ['washer', 'locker', 'washer'])
  assert.deepEqual(ids(c, { kind: 'washer' }), ['drum-1', 'drum-2'])
  assert.deepEqual(filterOf({ kind: 'washer' }), { kind: 'washer' })
  kinds.splice(2)
})
