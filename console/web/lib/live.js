// What changes while one looks: the fleet, orders, alarms and open items, fed by one
// stream of server-sent events per browser. A web lock picks the tab that holds the
// stream (HTTP/1.1 allows six connections to a host); the others hear it from that tab.
import { signal, effect } from './html.js'
import { Problem, address, get, loadMe, me, pages } from './api.js'
import { Columns } from './fleet.js'

/** Every device that who is signed in may see; empty until needFleet. */
export const fleet = new Columns()

/** Rises with each change of fleet. */
export const devices = signal(0)

/** How the stream is: starting, live, or lost (and trying again). */
export const stream = signal('starting')

/** Since when the stream is lost, as ms; 0 while it is not. */
export const lostAt = signal(0)

// put notes how the stream is, here or in the tab that has it; since when, where it is lost.
function put(state, since) {
  stream.value = state
  lostAt.value = state === 'lost' ? lostAt.peek() || since || Date.now() : 0
}

/** Whether the fleet is there, and what kept it away. */
export const fleetState = signal(/** @type {{ready: boolean, problem: any}} */ ({ ready: false, problem: null }))

/** Ids of the open alarms and open items; null until known. */
const openAlarms = signal(/** @type {Set<string> | null} */ (null))
const openItems = signal(/** @type {Set<string> | null} */ (null))

/** How many alarms are open; null until known. */
export const alarms = signal(/** @type {number | null} */ (null))
/** How many items are open; null until known. */
export const items = signal(/** @type {number | null} */ (null))
effect(() => { alarms.value = openAlarms.value && openAlarms.value.size })
effect(() => { items.value = openItems.value && openItems.value.size })

/** @type {Map<string, Set<(data: any) => void>>} */
const hearers = new Map()

/**
 * Calls fn with the data of every update of a type: device, order, item, alarm, pump,
 * resync.
 * @param {string} type
 * @param {(data: any) => void} fn
 * @returns {() => void} cancel
 */
export function onUpdate(type, fn) {
  if (!hearers.has(type)) hearers.set(type, new Set())
  hearers.get(type)?.add(fn)
  return () => hearers.get(type)?.delete(fn)
}

/** @type {Set<(rows: number[] | null) => void>} */
const rowHearers = new Set()

/**
 * Calls fn with the rows of fleet that changed, or null for all of them. It also has
 * the fleet loaded.
 * @param {(rows: number[] | null) => void} fn
 * @returns {() => void} cancel
 */
export function onRows(fn) {
  rowHearers.add(fn)
  needFleet()
  return () => { rowHearers.delete(fn) }
}

function changed(rows) {
  devices.value = devices.peek() + 1
  for (const fn of rowHearers) fn(rows)
}

/* The fleet's snapshot */

let needed = false
let loading = /** @type {Promise<void> | null} */ (null)
let cursor = ''                                       // of the last snapshot
// Device updates of the last seconds: a snapshot may be older than its request.
let held = /** @type {Array<{id: string, rows: any[], at: number}>} */ ([])
const holding = 5_000 // ms; the server gives nobody a snapshot that is older than one second

/** Loads the fleet once; later calls wait for the same. */
export function needFleet() {
  needed = true
  return loading ?? (fleetState.peek().ready ? Promise.resolve() : snapshot())
}

/** Reads the fleet anew. */
export function reloadFleet() { return loading ?? snapshot() }

function snapshot() {
  const asked = Date.now()
  loading = get('/fleet').then(answer => {
    cursor = answer.cursor ?? ''
    // What changed between it and the beginning of a stream that knew no cursor, nobody told.
    if (source && began === '' && opened > asked - holding) open(cursor)
    fleet.load(answer)
    for (const { id, rows } of held) if (later(id, cursor)) fleet.patch(rows)
    fleetState.value = { ready: true, problem: null }
    changed(null)
  }, problem => {
    if (!(problem instanceof Problem)) console.error(problem)
    fleetState.value = { ready: fleetState.peek().ready, problem }
  }).finally(() => { loading = null })
  return loading
}

// later compares places in the stream by the number they end in, before which what they
// begin with is the server's run; another run is later.
function later(id, than) {
  const a = /^(.*?)(\d+)$/.exec(id ?? ''), b = /^(.*?)(\d+)$/.exec(than ?? '')
  return !a || !b || a[1] !== b[1] || Number(a[2]) > Number(b[2])
}

/* The stream */

const types = ['device', 'order', 'item', 'alarm', 'pump', 'resync']
let last = '' // the newest place in the stream that this tab knows of
let channel = /** @type {BroadcastChannel | null} */ (null)

function hear({ type, data, id }) {
  const again = id && last && !later(id, last) // a stream that began anew, further back
  if (!again && id) last = id
  if (again && type !== 'device') return
  if (type === 'device') {
    const now = Date.now()
    if (!loading) held = held.filter(h => now - h.at < holding)
    held.push({ id, rows: data, at: now })
    if (!loading && fleetState.peek().ready) changed(fleet.patch(data))
  } else if (type === 'alarm') openAlarms.value = moved(openAlarms.peek(), data.id, !['cleared', 'closed'].includes(data.state))
  else if (type === 'item') openItems.value = moved(openItems.peek(), data.id, data.open)
  else if (type === 'resync') resync()
  for (const fn of hearers.get(type) ?? []) fn(data)
}

function moved(set, id, open) {
  if (!set || set.has(id) === open) return set
  const next = new Set(set)
  if (open) next.add(id)
  else next.delete(id)
  return next
}

function resync() {
  if (needed) reloadFleet()
  countAlarms()
  countItems()
}

const most = 500 // that are counted; what is shown ends before

async function countAlarms() {
  try {
    const found = new Set()
    for await (const page of pages('/alarms', { open: true, limit: 100 })) {
      for (const a of page.alarms) found.add(a.id)
      if (found.size > most) break
    }
    openAlarms.value = found
  } catch (e) { quiet(e) }
}

async function countItems() {
  try {
    openItems.value = new Set((await get('/open-items', { limit: most })).items.map(i => i.id))
  } catch (e) { quiet(e) }
}

// quiet: a count that cannot be had stays away; the page about it says why.
function quiet(e) { if (!(e instanceof Problem)) console.error(e) }

/** Starts the stream; called once, when it is known who is signed in. */
export function startLive() {
  resync()
  const name = 'unlatch-updates-' + (me.peek()?.id ?? '')
  channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel(name) : null
  if (channel) channel.onmessage = e => {
    if (e.data.stream) put(e.data.stream, e.data.since)
    else if (e.data.ask) { if (holds) channel?.postMessage({ stream: stream.peek(), since: lostAt.peek() }) }
    else hear(e.data)
  }
  // Without locks (they need https or localhost) each tab has a stream of its own.
  if (!navigator.locks || !channel) { start(); return }
  channel.postMessage({ ask: true })
  navigator.locks.request(name, () => new Promise(() => { start() })).catch(e => { if (e?.name !== 'AbortError') console.error(e) })
}

let source = /** @type {EventSource | null} */ (null)
let holds = false // this tab has the stream, or tries to
let tries = 0

function say(state) {
  put(state)
  channel?.postMessage({ stream: state, since: lostAt.peek() })
}

let began = ''         // the cursor that the stream begins behind, '' = now
let opened = Infinity // when it was open

// start opens the stream where the snapshot that is under way ends: what changes between
// the two is told then, however late the browser gets to it.
async function start() {
  holds = true
  await loading
  open(last || cursor)
}

function open(after) {
  source?.close()
  began = after
  opened = Infinity
  source = new EventSource(address('/updates', { after }))
  source.onopen = () => { tries = 0; opened = Date.now(); say('live') }
  for (const type of types) source.addEventListener(type, e => {
    const update = { type, data: JSON.parse(e.data || '{}'), id: e.lastEventId }
    hear(update)
    if (navigator.locks) channel?.postMessage(update)
  })
  source.onerror = () => {
    say('lost')
    if (source?.readyState !== EventSource.CLOSED) return // the browser tries again by itself
    source = null
    // Refused. Perhaps the login ended: /me tells, and leads to the sign-in page.
    const wait = Math.min(30_000, 1000 * 2 ** tries++) * (.5 + Math.random() / 2)
    setTimeout(() => { loadMe().catch(() => {}).finally(start) }, wait)
  }
}
