// The office: a station is stopped in two steps, a draft of a tariff is replayed before it
// is put in force, devices go into maintenance by a filter, a fence is drawn, a file imported.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, test } from 'node:test'
import { ask, begin, close, open, sound, stop, until } from './stage.mjs'

let demo
before(async () => { demo = await begin(['--bikes', '12', '--pumps', '3', '--riding', '0', '--fuelling', '0']) })
afterEach(close)
after(stop)

// ride is one whole order of a minute's price.
async function ride(name, id) {
  const { login_code } = await ask('POST', `${demo.wechat}/riders/${name}/login-code`)
  const call = async (path, body, more = {}) => (await fetch(demo.http + path, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json', ...more } })).json()
  const { token } = await call('/v1/login', { login_code }), as = { Authorization: `Bearer ${token}` }
  const url = (await (await fetch(`${demo.sim}/codes/${id}`)).text()).trim()
  const { ticket } = await call('/v1/scans', { url }, as)
  const { id: order } = await call('/v1/orders', { ticket, pay_with: 'wallet' }, { ...as, 'Idempotency-Key': ticket })
  const state = async () => (await ask('GET', '/v1/operator/orders/' + order)).state
  await until(async () => await state() === 'active', 'an active order')
  await ask('POST', `${demo.sim}/devices/${id}/close`)
  await until(async () => await state() === 'settled', 'a settled order')
}

const dialog = page => page.getByRole('dialog')

test('a draft of a tariff is replayed over past orders before it is put in force', async () => {
  await Promise.all([ride('ada', 'bike-001'), ride('ben', 'bike-002')])
  const page = await open({ path: '/tariffs?venue=campus' })
  await page.getByRole('button', { name: 'Draft from this' }).click()
  await page.getByLabel('To unlock').fill('2.25')
  await page.locator('[data-test=draft-words]').getByText('¥2.25 to unlock').waitFor()
  // Without a replay it takes a word more.
  await page.getByRole('button', { name: 'Put in force …' }).click()
  await dialog(page).getByText('This draft was not replayed').waitFor()
  await dialog(page).getByLabel('Reason').fill('hasty')
  assert.equal(await dialog(page).getByRole('button', { name: 'Put in force' }).isDisabled(), true)
  await dialog(page).getByRole('button', { name: 'Cancel' }).click()

  await page.getByRole('button', { name: 'Replay', exact: true }).click()
  const outcome = page.locator('[data-test=replayed]')
  await outcome.getByText('▲ +¥2.50').first().waitFor() // two orders, each dearer by 1.25
  await outcome.getByText('2 orders dearer, together by ¥2.50.').waitFor()
  await sound(page, 'tariff-replay')
  await page.getByRole('button', { name: 'Put in force …' }).click()
  await dialog(page).getByText('Replayed over 2 orders').waitFor()
  await dialog(page).getByLabel('Reason').fill('spring prices')
  await dialog(page).getByRole('button', { name: 'Put in force' }).click()
  await page.getByText('Campus bike, version 2, is stored').waitFor()
  const { kinds } = await ask('GET', '/v1/operator/venues/campus/prices')
  const { now } = kinds.find(k => k.kind === 'lock')
  assert.deepEqual([now.version, now.unlock_fee_fen, now.block_fee_fen], [2, 225, 50])
})

test('a filter puts devices in maintenance, and only those', async () => {
  const page = await open({ path: '/bulk?kind=lock&q=bike-00' })
  await page.locator('[data-test=preview]').getByText('9 devices').waitFor()
  await sound(page, 'bulk')
  await page.getByRole('button', { name: 'Begin …' }).click()
  await dialog(page).getByLabel('Reason').fill('brakes')
  await dialog(page).getByLabel('Type').fill('8')
  assert.equal(await dialog(page).getByRole('button', { name: 'Do it' }).isDisabled(), true)
  await dialog(page).getByLabel('Type').fill('9')
  await dialog(page).getByRole('button', { name: 'Do it' }).click()
  await page.locator('[data-test=progress][data-state=done]').waitFor()
  await page.getByText('9 of 9').waitFor()
  await sound(page, 'bulk-run')
  const devices = []
  for (let cursor = ''; cursor !== undefined;) {
    const list = await ask('GET', '/v1/operator/devices?limit=100' + (cursor && '&cursor=' + cursor))
    devices.push(...list.devices)
    cursor = list.next_cursor
  }
  assert.deepEqual(devices.filter(d => d.service === 'maintenance').map(d => d.id), Array.from({ length: 9 }, (_, i) => `bike-00${i + 1}`))
  assert.equal(devices.find(d => d.id === 'bike-010').service, 'in_service')
})

test('a geofence is drawn and kept', async () => {
  const page = await open({ path: '/venues/campus?tab=map' })
  const map = page.getByRole('application', { name: 'Map of the venue' })
  await map.locator('.here').waitFor()
  await page.getByRole('button', { name: 'Draw', exact: true }).click()
  const { width, height } = await map.boundingBox()
  for (const [x, y] of [[.3, .2], [.7, .25], [.65, .75], [.32, .7]]) await map.click({ position: { x: width * x, y: height * y } })
  await page.getByRole('button', { name: 'Done drawing' }).click()
  await page.getByText('1 area, 4 points').waitFor()
  await page.getByRole('button', { name: 'Save geofence and place' }).click()
  await page.getByText('Geofence saved').waitFor()
  const { geofence, lat, lng, name } = await ask('GET', '/v1/operator/venues/campus')
  const [[ring]] = geofence.coordinates
  assert.equal(ring.length, 5)
  assert.deepEqual(ring[0], ring[4])
  assert.ok(ring.every(([x, y]) => Math.abs(x - lng) < .01 && Math.abs(y - lat) < .01), JSON.stringify(ring))
  assert.equal(name, 'Willow Campus')
  await sound(page, 'venue-map')
})

test('devices of a file are looked at row by row, then made known, and their files taken once', async () => {
  const page = await open({ path: '/import' })
  const csv = 'id;kind;venue;latitude;lon\nnew-1;lock;campus;31.0262;121.4332\nnew-2;lock;nowhere;;\nbike-001;lock;campus;;\n'
  const choose = text => page.getByLabel('Choose a file').setInputFiles({ name: 'fleet.csv', mimeType: 'text/csv', buffer: Buffer.from(text) })
  await choose(csv)
  await page.getByText('1 wrong').waitFor()
  await page.getByText('there is no venue nowhere').waitFor()
  await sound(page, 'import')
  await choose(csv.replace('nowhere', 'campus'))
  await page.getByRole('button', { name: 'Import 3 rows' }).click()
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download ZIP' }).click()])
  const bytes = readFileSync(await download.path())
  assert.ok(bytes.includes('new-1.json') && bytes.includes('new-2.json') && !bytes.includes('bike-001.json'))
  assert.equal((await ask('GET', '/v1/operator/devices/new-1')).lat, 31.0262)
})

test('a station is stopped in two steps', async () => {
  const page = await open({ path: '/venues/station?tab=stop' })
  await page.getByLabel('Reason').fill('smell of petrol')
  await page.getByRole('button', { name: 'Step 1' }).click()
  await page.getByText('It reaches 3 devices.').waitFor()
  assert.equal((await ask('GET', '/v1/operator/venues/station')).stopped, false, 'stopped by the first step')
  await sound(page, 'stop-counted')
  await page.getByRole('button', { name: 'Step 2' }).click()
  await page.getByText('Stopped: 3 devices').waitFor()
  assert.equal((await ask('GET', '/v1/operator/venues/station')).stopped, true)
  const { devices } = await ask('GET', '/v1/operator/devices?venue=station&limit=100')
  assert.deepEqual(devices.map(d => Boolean(d.stopped)), [true, true, true])
  const { acts } = await ask('GET', '/v1/operator/audit?object=station&q=petrol')
  assert.ok(acts.length >= 1, 'no row of the audit')
})
