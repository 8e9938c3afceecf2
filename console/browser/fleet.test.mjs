// The fleet's page: list and map under one filter, live, by mouse, keyboard and thumb.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { ask, begin, close, open, phone, picture, shown, sound, stop, until, visit } from './stage.mjs'

let demo
before(async () => { demo = await begin(['--bikes', '40', '--pumps', '3', '--riding', '0', '--fuelling', '0']) })
afterEach(close)
after(stop)

const count = page => page.locator('table.rows').getAttribute('aria-rowcount').then(n => Math.max(0, Number(n) - 1)) // the head is a row
const row = (page, id) => page.locator('table.rows tbody tr:not([hidden])').filter({ has: page.getByRole('link', { name: id, exact: true }) })
const query = page => Object.fromEntries(new URL(page.url()).searchParams)

// fleet opens the page and waits for its first rows.
async function fleet(path = '/', more = {}) {
  const page = await open({ path, ...more })
  await until(() => count(page).catch(() => 0), 'the first rows')
  return page
}

test('all is well only where nothing at all is wrong; of one problem it is said that none has it', async () => {
  const page = await fleet('/?view=list')
  const nothing = name => page.locator('.fleet-list').getByText(name).waitFor()
  await visit(page, '/?problem=any')
  await nothing('All is well')
  await ask('POST', '/v1/operator/devices/bike-033/service', { service: 'maintenance', reason: 'a flat tyre' })
  await row(page, 'bike-033').waitFor()
  await page.getByRole('button', { name: /^Offline ?0$/ }).click()
  await nothing('None is offline')
  await nothing('What else is wrong is counted above.')
  await visit(page, '/?problem=any&q=bike-02')
  await nothing('Nothing is wrong with these')
  await visit(page, '/?problem=offline&q=bike-02')
  await nothing('None is offline')
  assert.equal(await page.getByText('All is well').count(), 0)
  await sound(page, 'none-is-offline')
  await ask('POST', '/v1/operator/devices/bike-033/service', { service: 'in_service', reason: 'mended' })
})

test('what changes before the browser has its stream is shown all the same', async () => {
  const page = await open()
  let release = () => {}
  const gate = new Promise(done => { release = () => done(null) })
  await page.route('**/v1/operator/updates*', async route => { await gate; await route.continue() })
  await visit(page, '/?q=bike-005')
  await row(page, 'bike-005').getByText('100 %').waitFor()
  await ask('POST', demo.sim + '/devices/bike-005/battery', { percent: 42 })
  await until(async () => { const f = await ask('GET', '/v1/operator/fleet'); return f.battery[f.id.indexOf('bike-005')] === 42 }, 'the battery in the fleet')
  release()
  await row(page, 'bike-005').getByText('42 %').waitFor()
  await ask('POST', demo.sim + '/devices/bike-005/battery', { percent: 100 })
})

// line is a way to the server that can be cut, with all that goes over it, and mended.
async function line() {
  const { port, hostname } = new URL(demo.http), live = new Set()
  let here = 0
  const listen = () => new Promise(done => {
    const server = createServer(one => {
      const other = connect(Number(port), hostname)
      for (const [a, b] of [[one, other], [other, one]]) {
        live.add(a)
        a.on('error', () => {}).on('close', () => { live.delete(a); b.destroy() }).pipe(b)
      }
    }).listen(here, '127.0.0.1', () => { here = /** @type {any} */ (server.address()).port; done(server) })
  })
  let server = /** @type {any} */ (await listen())
  return {
    http: `http://127.0.0.1:${here}`,
    cut() { server.close(); for (const one of live) one.destroy() },
    async mend() { server = await listen() },
  }
}

test('a server that is away is said over the page, until it is back', async () => {
  const wire = await line(), page = await open()
  await page.goto(wire.http + '/console/')
  await page.locator('.stream.live').waitFor({ state: 'attached' })
  assert.equal(await page.getByText('Not live since').count(), 0)
  wire.cut()
  await page.getByText(/^Not live since \d+:\d\d(\s[AP]M)?: what you see may be old/).waitFor()
  await page.getByText('Trying again').waitFor()
  await sound(page, 'not-live')
  await wire.mend()
  await page.getByText('Not live since').waitFor({ state: 'detached' })
  await page.locator('.stream.live').waitFor({ state: 'attached' })
  await close()
  wire.cut()
})

test('a problem that appears is counted, chosen, and stays in the address', async () => {
  const page = await fleet()
  assert.equal(await count(page), 43)
  await sound(page, 'fleet')
  await ask('POST', '/v1/operator/devices/pump-02/stop', { reason: 'it drips' })
  await page.getByRole('button', { name: /^Emergency stop ?1$/ }).click()
  await until(async () => await count(page) === 1, 'one row')
  await row(page, 'pump-02').getByText('Stopped').waitFor()
  assert.deepEqual(query(page), { problem: 'stopped' })
  await page.reload()
  await until(() => count(page).catch(() => 0), 'the first rows again')
  assert.equal(await count(page), 1)
  await page.getByText('1 of 43 devices').waitFor()
  await page.goBack()
  await until(async () => await count(page) === 43, 'all rows')
  await page.getByRole('searchbox', { name: 'Search' }).fill('BIKE-03')
  await until(async () => await count(page) === 10, 'the ten bikes of the thirties')
  assert.deepEqual(query(page), { q: 'BIKE-03' })
  await page.getByLabel('Kind').selectOption('pump')
  await page.getByText('No device matches').waitFor()
  await sound(page, 'nothing-matches', [])
})

test('one jam that is proved shows at once, and so does maintenance, by one name each', async () => {
  const page = await fleet()
  const chip = word => page.getByRole('group', { name: 'What is wrong' }).getByRole('button', { name: word })
  const anything = Number((await chip(/^Anything wrong/).locator('.count').textContent())) // of tests before
  await chip(/^Jammed ?0$/).waitFor()
  await chip(/^3 or more unlock failures today ?0$/).waitFor()
  await ask('POST', demo.sim + '/devices/bike-017/jam', { jammed: true })
  await ask('POST', '/v1/operator/orders', { device: 'bike-017', reason: 'a rider called' }, { once: 'fleet-jam' })
  await chip(/^Jammed ?1$/).click()
  await row(page, 'bike-017').getByText('Jammed').waitFor()
  assert.deepEqual(query(page), { problem: 'jammed' })
  await chip(new RegExp(`^Anything wrong ?${anything + 1}$`)).waitFor()
  await sound(page, 'fleet-jammed')
  await ask('POST', '/v1/operator/devices/bike-017/service', { service: 'maintenance', reason: 'to the workshop' })
  await chip(/^In maintenance ?1$/).click()
  await row(page, 'bike-017').locator('.c-state').getByText('In maintenance').waitFor()
  await row(page, 'bike-017').locator('.c-problems').getByText('Jammed').waitFor()
  await page.getByRole('list', { name: 'How many in each state' }).getByRole('button', { name: /^In maintenance ?1$/ }).waitFor()
  assert.equal(await page.getByText('Not in service').count(), 0)
  // Staff say that it is mended.
  await ask('POST', demo.sim + '/devices/bike-017/jam', { jammed: false })
  await ask('POST', '/v1/operator/devices/bike-017/service', { service: 'in_service', reason: 'the bolt was freed' })
  await chip(/^In maintenance ?0$/).waitFor()
  await chip(/^Jammed ?0$/).click()
  await page.getByText('None is jammed').waitFor()
  await sound(page, 'none-is-jammed')
  await page.getByRole('button', { name: 'Show every device' }).click()
  await until(async () => await count(page) === 43, 'all rows')
  assert.deepEqual(query(page), {})
})

test('zeros before a number may be left out', async () => {
  const page = await fleet('/?q=bike-17')
  assert.equal(await count(page), 1)
  await row(page, 'bike-017').waitFor()
})

test('a bike that is ridden changes its row, the map’s counts and the feed while one looks', async () => {
  const page = await fleet('/?q=bike-040')
  await row(page, 'bike-040').getByText('Available').waitFor()
  await page.getByRole('button', { name: 'Live' }).click()
  await page.getByText('Nothing has happened').waitFor()
  await ask('POST', '/v1/operator/orders', { device: 'bike-040', reason: 'to see it change' }, { once: 'fleet-live' })
  await row(page, 'bike-040').getByText('In use').waitFor()
  await page.getByRole('list', { name: 'How many in each state' }).getByRole('button', { name: /In use ?1/ }).waitFor()
  const feed = page.getByRole('region', { name: 'Live' })
  await feed.getByText('Available → In use').waitFor()
  await feed.getByText('Order: In use').waitFor()
  await feed.getByRole('button', { name: 'Orders' }).click()
  await feed.getByText('Order: In use').waitFor({ state: 'detached' })
  await feed.getByRole('button', { name: 'Pause' }).click()
  await ask('POST', demo.sim + '/devices/bike-040/close')
  await row(page, 'bike-040').getByText('Available').waitFor()
  await feed.getByText(/^Paused; [1-9]/).waitFor()
  assert.equal(await feed.getByText('In use → Available').count(), 0)
  await feed.getByRole('button', { name: 'Go on' }).click()
  await feed.getByText('In use → Available').waitFor()
  await sound(page, 'feed')
})

test('the keyboard alone leads from the search to a device and back to the same list', async () => {
  const page = await fleet()
  await page.getByRole('searchbox', { name: 'Search' }).focus()
  await page.keyboard.type('bike-01')
  await until(async () => await count(page) === 10, 'ten rows')
  for (let i = 0; i < 40 && !await page.evaluate(() => document.activeElement?.matches('table.rows')); i++) await page.keyboard.press('Tab')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowDown')
  const active = await page.evaluate(() => document.getElementById(document.activeElement?.getAttribute('aria-activedescendant') ?? '')?.getAttribute('aria-rowindex'))
  assert.equal(active, '4', 'the head is row 1')
  await page.locator('.map-ring:not([hidden])').waitFor()
  await picture(page, 'keyboard')
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/console\/devices\/bike-012$/)
  await page.goBack()
  await until(async () => await count(page).catch(() => 0) === 10, 'ten rows again')
  assert.deepEqual(query(page), { q: 'bike-01' })
  await page.locator('table.rows tr.active[aria-rowindex="4"]').waitFor() // the same row is the active one
})

test('a press on the map chooses the device that the list marks, and what is in sight can be the filter', async () => {
  const page = await fleet('/?q=bike-005')
  await row(page, 'bike-005').hover()
  const ring = page.locator('.map-ring:not([hidden])')
  await ring.waitFor()
  const { x, y, width, height } = await ring.boundingBox()
  await page.mouse.click(x + width / 2, y + height / 2)
  const card = page.getByRole('complementary', { name: 'Device chosen on the map' })
  await card.getByText('bike-005').waitFor()
  await sound(page, 'chosen')
  await page.getByRole('button', { name: 'Clear', exact: true }).click()
  await until(async () => await count(page) === 43, 'all rows')
  const rests = () => page.locator('.leaflet-zoom-anim').waitFor({ state: 'detached' })
  for (let i = 0; i < 2; i++) {
    await page.getByRole('button', { name: 'Zoom in' }).click()
    await rests()
  }
  await page.getByRole('button', { name: 'Only what the map shows' }).click()
  await until(async () => await count(page) < 43, 'fewer rows')
  const { box } = query(page), seen = await count(page)
  assert.match(box, /^31\.0\d+,121\.4\d+,31\.0\d+,121\.4\d+$/)
  const again = await fleet('/?box=' + box)
  await until(async () => await count(again) === seen, 'the same rows')
  assert.equal(query(again).box, box, 'an address with a box is looked at and left as it is')
  await again.getByRole('button', { name: 'Show all' }).click()
  await until(async () => await count(again) === 43, 'all rows again')
  assert.deepEqual(query(again), {})
  await card.getByRole('link', { name: 'Open' }).click()
  await page.waitForURL(/\/console\/devices\/bike-005$/)
})

test('what is filtered is sorted, kept under a name, taken along as CSV and into a bulk act', async () => {
  const page = await fleet('/?kind=lock')
  await page.getByRole('columnheader', { name: 'Device' }).getByRole('button').click()
  await row(page, 'bike-040').waitFor()
  assert.deepEqual(query(page), { kind: 'lock', sort: '-id' })
  assert.equal(await page.getByRole('columnheader', { name: 'Device' }).getAttribute('aria-sort'), 'descending')
  // What stands first is what the mark says: of problems the worst.
  const problems = page.getByRole('columnheader', { name: 'Problems' })
  await problems.getByRole('button').click()
  await page.waitForURL(/sort=problems$/)
  assert.equal(await problems.getAttribute('aria-sort'), 'descending')
  await problems.getByRole('button').click()
  await page.waitForURL(/sort=-problems$/)
  assert.equal(await problems.getAttribute('aria-sort'), 'ascending')
  await visit(page, '/?kind=lock&sort=-id')
  await page.getByRole('button', { name: 'Save filter' }).click()
  await page.getByLabel('Name').fill('Bikes from behind')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  const file = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Download these devices as CSV' }).click()
  const csv = readFileSync(await (await file).path(), 'utf8')
  assert.equal(csv[0], '\ufeff')
  const lines = csv.slice(1).split('\r\n')
  assert.deepEqual(lines.slice(0, 3).map(l => l.split(',')[0]), ['Device', 'bike-040', 'bike-039'])
  assert.deepEqual([lines.length, lines.at(-1)], [42, ''])
  await visit(page, '/')
  await page.getByRole('link', { name: 'Bikes from behind' }).click()
  await until(async () => await count(page) === 40, 'the bikes')
  assert.deepEqual(query(page), { kind: 'lock', sort: '-id' })
  await page.getByRole('button', { name: 'Forget the filter Bikes from behind' }).click()
  await page.getByRole('link', { name: 'Bikes from behind' }).waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Act on all 40' }).click()
  await page.waitForURL(/\/console\/bulk\?kind=lock$/)
})

test('on a phone the list comes first and the map is a tab', async () => {
  const page = await fleet('/', phone)
  await sound(page, 'phone-list')
  assert.equal(await page.getByRole('region', { name: 'Map', exact: true }).isVisible(), false)
  await page.getByRole('tab', { name: 'Map' }).click()
  await page.getByRole('button', { name: 'Show all' }).waitFor()
  assert.equal(await page.locator('table.rows').isVisible(), false)
  await sound(page, 'phone-map')
  await page.getByRole('tab', { name: 'List' }).click()
  await row(page, 'bike-002').tap()
  await page.waitForURL(/\/console\/devices\/bike-002$/)
  await shown(page)
})

test('dark and in Chinese it is sound too', async () => {
  const page = await fleet('/?problem=any', { colorScheme: 'dark', locale: 'zh-CN' })
  await page.getByRole('heading', { name: '设备总览' }).waitFor()
  await row(page, 'pump-02').getByText('已急停').waitFor()
  await sound(page, 'dark-chinese')
})

test('a filter that finds nothing can be read', async () => {
  const page = await open({ path: '/?problem=evidence_gap' })
  const chip = page.locator('.chip.none[aria-pressed=true]')
  await chip.waitFor()
  // The count has no ground of its own then, so it must have the chip's colour.
  assert.equal(await chip.locator('.count').evaluate(e => getComputedStyle(e).color), await chip.evaluate(e => getComputedStyle(e).color))
})
