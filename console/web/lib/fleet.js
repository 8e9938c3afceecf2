// The fleet as the console holds it: one typed column per property, no object per device,
// so that 50,000 devices are filtered and sorted between two frames. Pure: no DOM, no
// network, no clock. lib/live.js fills it, pages/fleet.js reads it.

/** What a device may be; others are appended as the server names them. */
export const kinds = ['lock', 'pump']
export const services = ['in_service', 'maintenance', 'out_of_service', 'retired']
export const states = ['available', 'in_use', 'reserved', 'unresolved', 'blocked', 'offline', 'maintenance', 'stopped', 'never_heard', 'out_of_service', 'retired']

/** @type {Record<string, number>} the bits of column problems */
export const problems = { offline: 1, unresolved: 2, low_battery: 4, evidence_gap: 8, unlock_failures: 16, clock_drift: 32, outside: 64,
  open_item: 128, stopped: 256, out_of_service: 512, rekey: 1024, maintenance: 2048, jammed: 4096 }
export const problemNames = Object.keys(problems) // by bit

// gravity orders states from what needs somebody first to what is well.
const gravity = new Uint8Array(states.length)
for (const [i, s] of ['stopped', 'unresolved', 'offline', 'blocked', 'out_of_service', 'never_heard', 'maintenance', 'retired', 'in_use', 'reserved', 'available'].entries()) gravity[states.indexOf(s)] = i

/** worse tells which of two states is drawn above the other. @param {number} a @param {number} b */
export const worse = (a, b) => gravity[a] < gravity[b]

// columns are the typed ones: name, array, what an absent value becomes.
/** @type {Array<[string, any, number]>} */
const columns = [['kind', Uint8Array, 0], ['service', Uint8Array, 0], ['state', Uint8Array, 8], ['outlets', Uint8Array, 1], ['venue', Uint16Array, 0],
  ['firmware', Uint16Array, 0], ['battery', Int8Array, -1], ['lat', Float64Array, NaN], ['lng', Float64Array, NaN], ['heard', Uint32Array, 0],
  ['since', Uint32Array, 0], ['orders', Uint16Array, 0], ['failures', Uint16Array, 0], ['problems', Uint32Array, 0]]
const scaled = new Set(['lat', 'lng']) // degrees * 1e6 on the wire
const named = { service: services, state: states }

// unpadded takes the zeros away that stand before a number.
const unpadded = id => id.replace(/(^|\D)0+(?=\d)/g, '$1')

/** Columns holds every device that the signed-in member may see, row by row in the server's order of ids. */
export class Columns {
  constructor() {
    this.n = 0
    /** @type {string[]} */ this.ids = []
    /** @type {string[]} ids in lower case, for searching */ this.lower = []
    /** @type {string[]} the same without the zeros before a number: bike-017 is found as bike-17 */ this.short = []
    /** from how many failures of a day on they are a problem */ this.failing = 3
    /** @type {string[]} */ this.venues = []
    /** @type {string[]} */ this.firmwares = []
    /** @type {Map<string, number>} */ this.index = new Map()
    this.kind = new Uint8Array(0); this.service = new Uint8Array(0); this.state = new Uint8Array(0); this.outlets = new Uint8Array(0)
    this.venue = new Uint16Array(0); this.firmware = new Uint16Array(0)
    /** percent, -1 = never told */ this.battery = new Int8Array(0)
    /** degrees WGS-84, NaN = not placed */ this.lat = new Float64Array(0); this.lng = new Float64Array(0)
    /** unix seconds, 0 = never */ this.heard = new Uint32Array(0); this.since = new Uint32Array(0)
    this.orders = new Uint16Array(0); this.failures = new Uint16Array(0)
    /** bits, see problems */ this.problems = new Uint32Array(0)
    /** place of each row in the order of ids, and back */ this.rank = new Uint32Array(0); this.byRank = new Uint32Array(0)
    this.unranked = false
  }

  /** load replaces everything by an answer of GET /fleet. @param {any} s */
  load(s) {
    const n = s.id.length
    this.n = n
    this.ids = s.id
    this.venues = [...(s.venues ?? [])]
    this.firmwares = [...(s.firmwares ?? [])]
    this.failing = s.failures_per_day ?? this.failing
    this.lower = new Array(n)
    this.short = new Array(n)
    this.index = new Map()
    for (let i = 0; i < n; i++) {
      this.lower[i] = s.id[i].toLowerCase()
      this.short[i] = unpadded(this.lower[i])
      this.index.set(s.id[i], i)
    }
    const kindOf = Array.from(s.kinds ?? kinds, k => this.intern(kinds, k))
    for (const [name, Type, absent] of columns) {
      const from = name === 'kind' ? Array.from(s.kind ?? [], k => kindOf[k]) : s[name] ?? [], to = new Type(n)
      for (let i = 0; i < n; i++) {
        const v = from[i]
        to[i] = v === null || v === undefined ? absent : scaled.has(name) ? v / 1e6 : v
      }
      this[name] = to
    }
    this.rank = new Uint32Array(n)
    this.byRank = new Uint32Array(n)
    for (let i = 0; i < n; i++) this.rank[i] = this.byRank[i] = i
    this.unranked = false
  }

  /**
   * patch takes the rows of a device update; a device that is not known yet is appended.
   * A column that a row leaves out stays as it is.
   * @param {any[]} rows @returns {number[]} the rows that were touched
   */
  patch(rows) {
    const touched = [], words = this.words()
    for (const r of rows) {
      let i = this.index.get(r.id)
      if (i === undefined) i = this.append(r.id)
      for (const [name, , absent] of columns) {
        if (!(name in r)) continue
        const v = r[name]
        if (v === null) this[name][i] = absent
        else if (name in words) this[name][i] = typeof v === 'string' ? this.intern(words[name], v) : v
        else if (typeof v === 'string') this[name][i] = named[name].indexOf(v)
        else this[name][i] = scaled.has(name) ? v / 1e6 : v
      }
      touched.push(i)
    }
    return touched
  }

  /** @param {string} id */
  append(id) {
    const i = this.n++
    if (i >= this.kind.length) {
      const room = Math.max(64, i * 2)
      for (const [name, Type, absent] of columns) {
        const grown = new Type(room).fill(absent)
        grown.set(this[name])
        this[name] = grown
      }
    }
    this.ids.push(id)
    this.lower.push(id.toLowerCase())
    this.short.push(unpadded(id.toLowerCase()))
    this.index.set(id, i)
    this.unranked = true
    return i
  }

  /** words are the lists that columns of words count in. @returns {Record<string, string[]>} */
  words() { return { kind: kinds, venue: this.venues, firmware: this.firmwares } }

  /** @param {string[]} names @param {string} name */
  intern(names, name) {
    const i = names.indexOf(name)
    return i >= 0 ? i : names.push(name) - 1
  }

  // ranked sorts the ids again once some were appended out of their order.
  ranked() {
    if (!this.unranked) return
    const order = Array.from({ length: this.n }, (_, i) => i).sort((a, b) => this.ids[a] < this.ids[b] ? -1 : 1)
    this.byRank = Uint32Array.from(order)
    this.rank = new Uint32Array(this.n)
    for (let i = 0; i < this.n; i++) this.rank[order[i]] = i
    this.unranked = false
  }

  /** @param {string} id @returns {number} its row, or -1 */
  find(id) { return this.index.get(id) ?? -1 }

  /** row gives one device as an object, in the words of the API. @param {number} i */
  row(i) {
    const placed = !Number.isNaN(this.lat[i])
    return { id: this.ids[i], kind: kinds[this.kind[i]], venue: this.venues[this.venue[i]] ?? '', service: services[this.service[i]], state: states[this.state[i]],
      battery: this.battery[i] < 0 ? null : this.battery[i], lat: placed ? this.lat[i] : null, lng: placed ? this.lng[i] : null,
      heard: this.heard[i], firmware: this.firmwares[this.firmware[i]] ?? '', outlets: this.outlets[i], orders: this.orders[i],
      problems: this.problems[i], failures: this.failures[i], since: this.since[i] }
  }

  * rows() { for (let i = 0; i < this.n; i++) yield this.row(i) }
}

/** problemsOf names the bits. @param {number} bits @returns {string[]} */
export function problemsOf(bits) { return problemNames.filter(name => bits & problems[name]) }

/** The keys of a filter as they stand in the URL; all are text. The server's live.Filter means the same by them: live/testdata/filter.json. */
export const filterKeys = ['q', 'venue', 'kind', 'state', 'service', 'problem', 'battery', 'firmware', 'box']
export const sortKeys = ['id', 'state', 'kind', 'venue', 'battery', 'heard', 'since', 'firmware', 'failures', 'orders', 'problems']

/**
 * Filter is what of the fleet is looked at.
 * @typedef {{q?: string, venue?: string, kind?: string, state?: string, service?: string, problem?: string, battery?: string, firmware?: string, box?: string}} Filter
 * battery: below so many percent; box: south,west,north,east in degrees; problem 'any': whatever is wrong
 */

/** filterOf takes the filter out of a URL's query; what means nothing is left out. @param {Record<string, string>} query @returns {Filter} */
export function filterOf(query) {
  /** @type {any} */ const f = {}
  for (const k of filterKeys) {
    const v = (query[k] ?? '').trim()
    if (v) f[k] = v
  }
  if (f.kind && !kinds.includes(f.kind)) delete f.kind
  if (f.state && !states.includes(f.state)) delete f.state
  if (f.service && !services.includes(f.service)) delete f.service
  if (f.problem && f.problem !== 'any' && !(f.problem in problems)) delete f.problem
  if (f.battery && !(/^\d{1,3}$/.test(f.battery) && Number(f.battery) >= 1 && Number(f.battery) <= 101)) delete f.battery
  if (f.box && !boxOf(f.box)) delete f.box
  return f
}

/** boxOf reads south,west,north,east; null when it is no box. @param {string} text */
export function boxOf(text) {
  const [south, west, north, east, more] = text.split(',').map(Number)
  return more === undefined && south < north && west < east ? { south, west, north, east } : null
}

/**
 * View is the filtered and sorted fleet: rows is an index array into the columns, valid up
 * to count. One View is kept and used again; apply allocates nothing once it has grown.
 */
export class View {
  constructor() {
    this.rows = new Uint32Array(0)
    this.count = 0
    this.unplaced = 0
    /** how many devices the filter finds but for its problem */ this.candidates = 0
    /** how many devices have each problem, under the same filter but for its problem */ this.problemCounts = new Uint32Array(problemNames.length)
    this.problemAny = 0
    /** how many of the rows are in each state */ this.stateCounts = new Uint32Array(states.length)
    this.passed = new Uint8Array(0) // by row: in this view
    this.keys = new Float64Array(0)
    this.filterMS = this.sortMS = 0
  }

  /**
   * apply filters and sorts. venueNames maps ids to names, which q searches too.
   * @param {Columns} c @param {Filter} f @param {string} [sort] key, with - before it to turn it round; default id
   * @param {Record<string, string>} [venueNames]
   */
  apply(c, f, sort = 'id', venueNames = {}) {
    const before = performance.now()
    this.filter(c, f, venueNames)
    const between = performance.now()
    this.sort(c, sort, venueNames)
    this.filterMS = between - before
    this.sortMS = performance.now() - between
  }

  /** @param {Columns} c @param {Filter} f @param {Record<string, string>} venueNames */
  filter(c, f, venueNames) {
    const n = c.n
    if (this.rows.length < n) {
      this.rows = new Uint32Array(n)
      this.passed = new Uint8Array(n)
      this.keys = new Float64Array(n)
    }
    const { rows, passed, problemCounts, stateCounts } = this
    problemCounts.fill(0)
    stateCounts.fill(0)
    passed.fill(0)
    const venue = f.venue ? c.venues.indexOf(f.venue) : -1, kind = f.kind ? kinds.indexOf(f.kind) : -1, state = f.state ? states.indexOf(f.state) : -1
    const service = f.service ? services.indexOf(f.service) : -1, firmware = f.firmware ? c.firmwares.indexOf(f.firmware) : -1
    const nothing = (f.venue && venue < 0) || (f.firmware && firmware < 0) // of another installation, or gone
    const below = f.battery ? Number(f.battery) : 0, box = f.box ? boxOf(f.box) : null
    const want = f.problem === 'any' ? 0xffffffff : f.problem ? problems[f.problem] : 0
    const q = f.q ? f.q.toLowerCase() : ''
    const venueHit = Uint8Array.from(c.venues, v => q !== '' && (v.toLowerCase().includes(q) || (venueNames[v] ?? '').toLowerCase().includes(q)) ? 1 : 0)
    let count = 0, unplaced = 0, any = 0, candidates = 0
    for (let i = 0; i < n && !nothing; i++) {
      if (venue >= 0 && c.venue[i] !== venue) continue
      if (kind >= 0 && c.kind[i] !== kind) continue
      if (state >= 0 && c.state[i] !== state) continue
      if (service >= 0 && c.service[i] !== service) continue
      if (firmware >= 0 && c.firmware[i] !== firmware) continue
      if (below && (c.battery[i] < 0 || c.battery[i] >= below)) continue
      if (box && !(c.lat[i] >= box.south && c.lat[i] <= box.north && c.lng[i] >= box.west && c.lng[i] <= box.east)) continue
      if (q && !venueHit[c.venue[i]] && !c.lower[i].includes(q) && !c.short[i].includes(q)) continue
      const bits = c.problems[i]
      candidates++
      if (bits) {
        any++
        for (let b = 0, left = bits; left && b < problemCounts.length; b++, left >>>= 1) problemCounts[b] += left & 1
      }
      if (want && !(bits & want)) continue
      rows[count++] = i
      passed[i] = 1
      stateCounts[c.state[i]]++
      if (c.lat[i] !== c.lat[i]) unplaced++
    }
    this.count = count
    this.unplaced = unplaced
    this.problemAny = any
    this.candidates = candidates
  }

  /** @param {Columns} c @param {string} sort @param {Record<string, string>} venueNames */
  sort(c, sort, venueNames) {
    c.ranked()
    const down = sort.startsWith('-'), key = down ? sort.slice(1) : sort
    const { rows, count } = this
    const keys = this.keys.subarray(0, count)
    const of = keyOf(c, key, venueNames)
    // A key of 32 bits above a rank of 20 is exact in a double, so the engine's own sort of
    // doubles sorts rows, and equal ones by id.
    const most = 0xfffffffe
    for (let j = 0; j < count; j++) {
      const i = rows[j], k = of(i)
      keys[j] = (k < 0 ? 0xffffffff : down ? most - k : k) * 1048576 + c.rank[i]
    }
    keys.sort()
    for (let j = 0; j < count; j++) rows[j] = c.byRank[keys[j] % 1048576]
  }

  /** place is where a device stands in the view; -1 when it is not in it. @param {number} row */
  place(row) {
    if (!this.passed[row]) return -1
    for (let j = 0; j < this.count; j++) if (this.rows[j] === row) return j
    return -1
  }
}

/**
 * keyOf gives a row's key as a whole number; below zero is "not known", which stands last
 * whichever way round.
 * @param {Columns} c @param {string} key @param {Record<string, string>} venueNames @returns {(i: number) => number}
 */
function keyOf(c, key, venueNames) {
  switch (key) {
    case 'id': return i => c.rank[i]
    case 'state': return i => gravity[c.state[i]]
    case 'kind': return i => c.kind[i]
    case 'battery': return i => c.battery[i]
    case 'heard': return i => c.heard[i] || -1
    case 'since': return i => c.since[i] || -1
    case 'failures': return i => c.failures[i]
    case 'orders': return i => c.orders[i]
    case 'problems': return i => 8191 - c.problems[i] % 8192
    case 'venue': { const r = ranks(c.venues.map(v => venueNames[v] ?? v)); return i => r[c.venue[i]] }
    case 'firmware': { const r = ranks(c.firmwares); return i => r[c.firmware[i]] }
  }
  return () => 0
}

/** @param {string[]} names */
function ranks(names) {
  const order = names.map((_, i) => i).sort((a, b) => names[a].localeCompare(names[b], undefined, { numeric: true }))
  const r = new Uint32Array(names.length)
  order.forEach((i, place) => { r[i] = place })
  return r
}
