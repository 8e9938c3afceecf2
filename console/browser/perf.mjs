// Measures the fleet's page in a real Chromium; not a test, since figures depend on the
// machine. docs/performance.md tells how to run it and what it gave.
//
//   node perf.mjs --url http://127.0.0.1:8080 --name Lin --password ...      what the installation holds and sends
//   node perf.mjs --url ... --name ... --password ... --devices 50000       a fleet of so many instead of its own
//
// Between browser and installation stands a proxy that passes everything through. With
// --changes N (with --devices: 500) it writes the stream of updates itself, so many devices
// a second in a group every 250 ms, as the server groups them. --link takes a first-run or
// invitation link in place of a name. --key takes a staff's API key, for a console that
// asks no sign-in. --seconds is how long is scrolled (10), --json prints figures alone.
import http from 'node:http'
import { gunzipSync, gzipSync } from 'node:zlib'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'

const { values: o } = parseArgs({ options: { url: { type: 'string' }, name: { type: 'string' }, password: { type: 'string' }, link: { type: 'string' }, key: { type: 'string' },
  devices: { type: 'string' }, changes: { type: 'string' }, seconds: { type: 'string', default: '10' }, json: { type: 'boolean', default: false } } })
if (!o.url || !(o.key || o.link || (o.name && o.password))) {
  console.error('give --url and one of --name with --password, --link, --key')
  process.exit(2)
}
const upstream = new URL(o.url)
const seconds = Number(o.seconds), changes = Number(o.changes ?? (o.devices ? 500 : 0)) // 0: the installation's own

/** synthetic is an answer of GET /fleet with n locks at forty venues, the same each time. */
function synthetic(n) {
  const names = ['id', 'kind', 'venue', 'service', 'state', 'battery', 'lat', 'lng', 'heard', 'firmware', 'outlets', 'orders', 'problems', 'failures', 'since']
  const s = { at: new Date().toISOString(), cursor: '', venues: Array.from({ length: 40 }, (_, i) => `venue-${i}`), firmwares: ['1.2.9', '1.3.2', '1.4.0'], n }
  for (const name of names) s[name] = new Array(n)
  const now = Math.floor(Date.now() / 1000)
  let seed = 7
  const random = () => (seed = (seed * 1664525 + 1013904223) >>> 0) / 2 ** 32
  for (let i = 0; i < n; i++) {
    const venue = i % 40, state = random() < 0.8 ? 0 : Math.floor(random() * 9), battery = Math.floor(random() * 101)
    const row = { id: 'bike-' + String(i).padStart(6, '0'), kind: 0, venue, service: 0, state, battery, lat: Math.round((31 + venue % 8 * 0.02 + (random() + random()) * 0.009) * 1e6),
      lng: Math.round((121.2 + Math.floor(venue / 8) * 0.03 + (random() + random()) * 0.012) * 1e6), heard: now - Math.floor(random() * 900), firmware: Math.floor(random() * 3), outlets: 1,
      orders: 0, problems: (state === 5 ? 1 : 0) | (state === 3 ? 2 : 0) | (battery < 20 ? 4 : 0) | (random() < 0.01 ? 8 : 0), failures: 0, since: now - 500 }
    for (const name of names) s[name][i] = row[name]
  }
  return s
}

let fleet = o.devices ? synthetic(Number(o.devices)) : null
let sent = 0

// updates writes the stream: whole rows, as the server's.
function updates(response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  response.write(': begun\n\n')
  let place = 1, at = 0
  const timer = setInterval(() => {
    if (!fleet?.n) return
    const rows = []
    for (let k = 0; k < changes / 4; k++) {
      const i = at = (at + 7919) % fleet.n
      const state = (fleet.state[i] + k) % 3, battery = Math.max(0, (fleet.battery[i] + k) % 101)
      rows.push({ id: fleet.id[i], kind: (fleet.kinds ?? ['lock', 'pump'])[fleet.kind[i]], venue: fleet.venues[fleet.venue[i]], service: fleet.service[i], state, battery, lat: fleet.lat[i] && fleet.lat[i] + k % 20, lng: fleet.lng[i],
        heard: Math.floor(Date.now() / 1000), firmware: fleet.firmwares[fleet.firmware[i]], outlets: fleet.outlets[i], orders: state === 1 ? 1 : 0, problems: battery < 20 ? 4 : 0, failures: 0, since: fleet.since[i] })
    }
    sent += rows.length
    response.write(`event: device\nid: p-${place++}\ndata: ${JSON.stringify(rows)}\n\n`)
  }, 250)
  response.on('close', () => clearInterval(timer))
}

const proxy = http.createServer((q, s) => {
  const path = new URL(q.url, 'http://x').pathname
  if (path === '/v1/operator/updates' && changes) return updates(s)
  if (path === '/v1/operator/fleet' && o.devices) {
    s.writeHead(200, { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' })
    return s.end(gzipSync(JSON.stringify(fleet)))
  }
  const headers = { ...q.headers, ...(o.key && { authorization: 'Bearer ' + o.key }) }
  const on = http.request({ host: upstream.hostname, port: upstream.port, method: q.method, path: q.url, headers }, r => {
    s.writeHead(r.statusCode ?? 502, r.headers)
    if (path === '/v1/operator/updates') r.on('data', d => { sent += d.toString().split('"heard":').length - 1 })
    const parts = []
    if (path === '/v1/operator/fleet') r.on('data', d => parts.push(d)).on('end', () => {
      const body = Buffer.concat(parts)
      if (r.statusCode === 200) fleet = JSON.parse((r.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString())
    })
    r.pipe(s)
  })
  on.on('error', e => s.headersSent ? s.destroy() : s.writeHead(502).end(String(e)))
  s.on('close', () => on.destroy())
  q.pipe(on)
})
await new Promise(done => proxy.listen(0, '127.0.0.1', () => done(null)))
const base = `http://127.0.0.1:${/** @type {any} */ (proxy.address()).port}`

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--enable-precise-memory-info'] })
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB' })
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  if (o.link) {
    const { pathname, search } = new URL(o.link, base)
    await page.goto(base + pathname + search)
    if (await page.locator('input[name=name]').count()) await page.locator('input[name=name]').fill('Perf')
    for (const field of await page.locator('input[type=password]').all()) await field.fill('measured-and-forgotten')
    await page.locator('form button').first().click()
    await page.waitForLoadState()
  } else if (!o.key) {
    const answer = await context.request.post(base + '/v1/operator/logins', { data: { name: o.name, password: o.password } })
    if (!answer.ok()) throw new Error(`sign in: ${answer.status()} ${await answer.text()}`)
  }
  await page.goto(base + '/console/')
  await page.waitForFunction(() => performance.getEntriesByName('unlatch.fleet.rows').length > 0)
  await page.waitForTimeout(1500)
  const load = await page.evaluate(() => {
    const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    const sum = (list, key) => list.reduce((n, e) => n + e[key], 0)
    const rows = performance.getEntriesByName('unlatch.fleet.rows')[0].startTime
    const files = all.filter(e => !e.name.includes('/v1/') && e.startTime < rows), data = all.filter(e => e.name.includes('/v1/operator/fleet'))
    return { first_paint_ms: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, first_rows_ms: rows, files: files.length, files_gzip: sum(files, 'encodedBodySize'), files_raw: sum(files, 'decodedBodySize'),
      fleet_gzip: sum(data, 'encodedBodySize'), fleet_raw: sum(data, 'decodedBodySize'), devices: Number(document.querySelector('table.rows')?.getAttribute('aria-rowcount')) - 1 }
  })
  // act does something and tells how long the page's own part took, and how long until the
  // frame that shows it.
  const act = (name, fn) => page.evaluate(async ([name, source]) => {
    const before = performance.getEntriesByName(name).length, at = performance.now()
    ;(0, eval)(source)
    while (performance.getEntriesByName(name).length === before) await new Promise(requestAnimationFrame)
    await new Promise(requestAnimationFrame)
    return { own: performance.getEntriesByName(name).at(-1).duration, seen: performance.now() - at }
  }, [name, `(${fn})()`])
  const worst = list => ({ own: Math.max(...list.map(x => x.own)), seen: Math.max(...list.map(x => x.seen)) })
  const filters = [], sorts = []
  for (const n of [1, 3, 3, 4, 0, 0]) filters.push(await act('unlatch.fleet.filter', `() => document.querySelectorAll('.fleet-chips .chip')[${n}].click()`))
  for (const q of ['bike', '77', 'zz', '']) filters.push(await act('unlatch.fleet.filter', `() => { const i = document.querySelector('.fleet-q input'); i.value = '${q}'; i.dispatchEvent(new Event('input', { bubbles: true })) }`).then(r => ({ own: r.own, seen: r.seen - 120 })))
  for (const key of ['battery', 'battery', 'battery', 'heard', 'heard', 'state', 'venue', 'id']) sorts.push(await act('unlatch.fleet.sort', `() => document.querySelector('th.c-${key} button').click()`))
  // The trace tells the main thread's own time, which does not count while others have
  // the processor.
  const cdp = await context.newCDPSession(page)
  const trace = []
  cdp.on('Tracing.dataCollected', e => trace.push(...e.value))
  await cdp.send('Tracing.start', { categories: 'devtools.timeline,disabled-by-default-devtools.timeline', transferMode: 'ReportEvents' })
  const before = sent
  const scroll = await page.evaluate(async seconds => {
    const box = document.querySelector('.fleet-scroll'), gaps = []
    let tasks = 0
    const watch = new PerformanceObserver(list => { tasks += list.getEntries().length })
    watch.observe({ entryTypes: ['longtask'] })
    const end = performance.now() + seconds * 1000
    let last = await new Promise(requestAnimationFrame), down = 1
    while (performance.now() < end) {
      box.scrollTop += 180 * down
      if (box.scrollTop + box.clientHeight >= box.scrollHeight || box.scrollTop === 0) down = -down
      const now = await new Promise(requestAnimationFrame)
      gaps.push(now - last)
      last = now
    }
    watch.disconnect()
    gaps.sort((a, b) => a - b)
    const at = share => gaps[Math.min(gaps.length - 1, Math.floor(share * gaps.length))]
    return { frames: gaps.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), worst: gaps.at(-1), long_tasks: tasks }
  }, seconds)
  const changed = (sent - before) / seconds
  const traced = new Promise(done => cdp.once('Tracing.tracingComplete', done))
  await cdp.send('Tracing.end')
  await traced
  const frames = trace.filter(e => e.name === 'FireAnimationFrame'), main = e => e.pid === frames[0].pid && e.tid === frames[0].tid
  const cpu = trace.filter(e => e.name === 'RunTask' && main(e)).reduce((n, e) => n + (e.tdur ?? 0), 0) / 1000 / scroll.frames
  await cdp.send('HeapProfiler.collectGarbage')
  const { usedSize } = await cdp.send('Runtime.getHeapUsage')
  const figures = { ...load, filter: worst(filters), sort: worst(sorts), scroll, cpu_per_frame_ms: cpu, changes_per_s: changed, heap_bytes: usedSize, chromium: browser.version() }
  if (o.json) console.log(JSON.stringify(figures, null, 1))
  else {
    const ms = n => n.toFixed(n < 100 ? 1 : 0) + ' ms', kb = n => Math.round(n / 1000) + ' kB'
    for (const [what, value] of [
      ['devices', String(load.devices)], ['first paint', ms(load.first_paint_ms)], ['first rows', ms(load.first_rows_ms)],
      ['filter, the page’s own work / until its frame (worst of 10)', `${ms(figures.filter.own)} / ${ms(figures.filter.seen)}`],
      ['sort, the same (worst of 8)', `${ms(figures.sort.own)} / ${ms(figures.sort.seen)}`],
      [`frame while scrolling ${seconds} s, ${Math.round(changed)} changes/s: p50, p95, p99, worst`, [scroll.p50, scroll.p95, scroll.p99, scroll.worst].map(ms).join(', ')],
      ['the main thread’s own time a frame, mean', ms(cpu)],
      ['tasks above 50 ms meanwhile', String(scroll.long_tasks)], ['JavaScript heap after collection', (usedSize / 1e6).toFixed(1) + ' MB'],
      ['first load, files', `${load.files}: ${kb(load.files_raw)} raw, ${kb(load.files_gzip)} as sent`], ['GET /fleet', `${kb(load.fleet_raw)} raw, ${kb(load.fleet_gzip)} as sent`], ['Chromium', figures.chromium],
    ]) console.log(`| ${what} | ${value} |`)
  }
} finally {
  await browser.close()
  proxy.closeAllConnections()
  proxy.close()
}
