// A device that does not open: found, understood, tried and taken into maintenance, with
// what the API says behind the page.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { withGaps } from '../web/pages/gaps.js'
import { ask, begin, close, open, phone, sound, stop, until, visit } from './stage.mjs'

let demo
before(async () => { demo = await begin(['--bikes', '30', '--pumps', '2', '--riding', '0', '--fuelling', '0']) })
afterEach(close)
after(stop)

const hands = (id, what, body) => ask('POST', `${demo.sim}/devices/${id}/${what}`, body)
const device = id => ask('GET', '/v1/operator/devices/' + id)

// unlock asks for a service unlock and gives the panel that follows it.
async function unlock(page, reason) {
  await page.getByRole('button', { name: 'Unlock for service' }).click()
  await page.getByRole('dialog').getByLabel('Reason').fill(reason)
  await page.getByRole('dialog').getByRole('button', { name: 'Unlock for service' }).click()
  return page.locator('.unlock')
}

test('a jammed lock: the unlock says why it failed, the diagnosis what to do, and maintenance is one press away', async () => {
  await hands('bike-003', 'jam', { jammed: true })
  const page = await open({ path: '/devices/bike-003' })
  await page.getByText('A rider could use it now').waitFor()
  const panel = await unlock(page, 'a rider called')
  await panel.getByText('It did not open: The bolt is jammed').waitFor()
  await panel.getByText('Its answer is acknowledged').waitFor()
  assert.deepEqual((await device('bike-003')).commands.map(c => [c.kind, c.state]), [['start', 'rejected']])

  const diagnosis = page.locator('.diagnosis'), verdict = diagnosis.locator('.verdict'), head = page.locator('.page-sub')
  await verdict.getByText('Its bolt is jammed: free it by hand. Until then take it into maintenance').waitFor()
  await diagnosis.getByText('It tried to open, the bolt did not move, and it drove back.').waitFor()
  await head.getByText('Jammed').waitFor()
  assert.equal(await head.locator('.badge.ok').count(), 0, 'a jammed lock is plain green')
  assert.deepEqual(await page.locator('main .button.primary').allTextContents(), ['Into maintenance'], 'the loudest button is what the verdict asks for')
  await sound(page, 'device-jammed')
  await diagnosis.getByRole('button', { name: 'Into maintenance' }).click()
  const dialog = page.getByRole('dialog', { name: 'Into maintenance' })
  assert.equal(await dialog.getByRole('button', { name: 'Into maintenance' }).isDisabled(), true, 'it went without a reason')
  await dialog.getByLabel('Reason').fill('bolt jammed')
  await sound(page, 'device-maintenance')
  await dialog.getByRole('button', { name: 'Into maintenance' }).click()
  await diagnosis.getByText('Staff took it into maintenance: bolt jammed').waitFor()
  await verdict.getByText('Its bolt is jammed: free it by hand, see it open by a service unlock, then put it into service.').waitFor()
  await head.getByText('In maintenance').waitFor()
  assert.equal(await diagnosis.getByText('take it into maintenance').count(), 0, 'it is there already')
  assert.deepEqual(await page.locator('main .button.primary').allTextContents(), [], 'what is not mended calls for no button')
  const now = await device('bike-003')
  assert.deepEqual([now.service, now.service_reason, now.state, now.problems], ['maintenance', 'bolt jammed', 'maintenance', ['maintenance', 'jammed']])
  await sound(page, 'device-jammed-maintenance')

  await hands('bike-003', 'jam', { jammed: false })
  await diagnosis.getByRole('button', { name: 'Put into service' }).click()
  await page.getByRole('dialog').getByText('Put it into service only if it is mended').waitFor()
  await page.getByRole('dialog').getByLabel('Reason').fill('freed')
  await page.getByRole('dialog').getByRole('button', { name: 'Into service' }).click()
  await until(async () => (await device('bike-003')).service === 'in_service', 'service')
  await diagnosis.getByText('Staff have put it into service since').waitFor()
  await head.getByText('Jammed').waitFor({ state: 'detached' })
})

test('the order of a jam says that it was tried, and why staff unlocked', async () => {
  await hands('bike-008', 'jam', { jammed: true })
  const { id } = await ask('POST', '/v1/operator/orders', { device: 'bike-008', reason: 'the brake squeaks' }, { once: 'device-order' })
  await until(async () => (await ask('GET', '/v1/operator/orders/' + id)).state === 'voided', 'its end')
  const page = await open({ path: '/orders/' + id })
  await page.getByText('The device proved that it tried, did not open, and drove back.').waitFor()
  assert.equal(await page.getByText('proved that it refused').count(), 0)
  await page.locator('.timeline').getByText('the brake squeaks').waitFor()
  await page.getByText('Nothing was billed, and no payment belongs to it.').waitFor()
  assert.equal(await page.getByRole('heading', { name: /^(Bill|Payments)$/ }).count(), 0, 'empty cards')
  await page.getByText('Times in GMT+8').first().waitFor()
  await sound(page, 'order-jammed')
})

test('a service unlock is followed from the commit to the device\u2019s word, and by its end', async () => {
  const page = await open({ path: '/devices/bike-004' })
  const panel = await unlock(page, 'look at the brake')
  await panel.getByText('The device proved that it opened').waitFor()
  await panel.getByText('Its answer is acknowledged').waitFor()
  await panel.getByText('Push it shut to end').waitFor()
  const [start] = (await device('bike-004')).commands
  assert.deepEqual([start.kind, start.state], ['start', 'executed'])
  assert.ok(start.hops.handed_at && start.hops.answered_at)
  await hands('bike-004', 'close')
  await panel.getByText('It is over').waitFor()
  assert.equal((await ask('GET', '/v1/operator/orders/' + start.order)).state, 'settled')
  await page.getByRole('tab', { name: 'Evidence' }).click()
  await page.getByRole('row').filter({ hasText: 'Use ended' }).getByText('Shut by hand').waitFor()
  await sound(page, 'device-evidence')
})

test('a lock that does not answer: nothing is claimed, and what it says later counts', async () => {
  const page = await open({ path: '/devices/bike-005' })
  await page.getByText('A rider could use it now').waitFor()
  await hands('bike-005', 'network', { do: 'off' })
  const panel = await unlock(page, 'try it')
  await panel.getByText('Waiting for the device’s answer').waitFor()
  assert.equal(await panel.getByText('proved that it opened').count(), 0)
  await page.locator('.diagnosis').getByText('Another order is live on it').waitFor()
  await hands('bike-005', 'network', { do: 'on' })
  await panel.getByText('The device proved that it opened').waitFor()
  await hands('bike-005', 'close')
  await panel.getByText('It is over').waitFor()
})

test('a note, a code that is replaced, and the same with curl', async () => {
  const page = await open({ path: '/devices/bike-006' })
  await page.getByLabel('Note for colleagues').fill('The saddle clamp was replaced.')
  await page.getByRole('button', { name: 'Add the note' }).click()
  await page.getByRole('listitem').getByText('The saddle clamp was replaced.').waitFor()
  assert.deepEqual((await ask('GET', '/v1/operator/devices/bike-006/notes')).notes.map(n => n.text), ['The saddle clamp was replaced.'])

  const [old] = (await device('bike-006')).codes
  await page.getByRole('button', { name: 'Replace' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Replace' }).click()
  await page.locator('.code-row .number', { hasText: old.printed }).waitFor({ state: 'detached' })
  const codes = (await device('bike-006')).codes
  assert.equal(codes.find(c => c.number === old.number).revoked, true)
  assert.equal(codes.filter(c => !c.revoked).length, 1)

  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.getByRole('button', { name: 'Probe' }).click()
  await page.getByRole('dialog').getByLabel('Reason').fill("who's there")
  await page.getByRole('dialog').getByRole('button', { name: 'Copy as curl' }).click()
  const line = await page.evaluate(() => navigator.clipboard.readText())
  assert.match(line, /^curl -sS -X POST '.*\/v1\/operator\/devices\/bike-006\/commands' -H "Authorization: Bearer \$UNLATCH_KEY"/)
  assert.match(line, /"kind":"probe","outlet":1,"reason":"who'\\''s there"/)
  await page.getByRole('dialog').getByRole('button', { name: 'Probe' }).click()
  await until(async () => (await device('bike-006')).commands.some(c => c.kind === 'probe' && c.state === 'spent'), 'the answered probe')
  await page.getByRole('row').filter({ hasText: 'Probe' }).getByText('Answered').waitFor()
})

test('a device stands where the pin was put, on a phone too', async () => {
  const page = await open({ path: '/devices/bike-007', ...phone })
  await page.getByRole('button', { name: 'Place on the map' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.locator('.leaflet-marker-icon').waitFor()
  await dialog.getByLabel('Latitude').fill('31.0251')
  await dialog.getByLabel('Longitude').fill('121.4321')
  await sound(page, 'device-place')
  await dialog.getByRole('button', { name: 'Place on the map' }).click()
  await dialog.waitFor({ state: 'detached' })
  const { lat, lng } = await device('bike-007')
  assert.deepEqual([lat, lng], [31.0251, 121.4321])
})

test('a pump: sides, litres as they run, a test delivery that costs nobody', async () => {
  const page = await open({ path: '/devices/pump-02' })
  await page.getByRole('button', { name: 'Arm for a test' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Litres, at most').fill('2,5')
  await dialog.getByLabel('Reason').fill('calibration')
  await dialog.getByRole('button', { name: 'Arm for a test' }).click()
  await page.locator('.unlock').getByText('The pump proved that it is armed').waitFor()
  await hands('pump-02', 'nozzle', { do: 'lift', nozzle: 1 })
  await hands('pump-02', 'squeeze', { percent: 60 })
  await page.locator('.live-figures').first().getByText('Flowing').waitFor()
  await sound(page, 'device-pump')
  await hands('pump-02', 'nozzle', { do: 'hang_up' })
  await page.locator('.unlock').getByText('It is over').waitFor()
  const { orders } = await ask('GET', '/v1/operator/orders?device=pump-02')
  assert.deepEqual(orders.map(o => [o.pay_with, o.state, o.charged_fen]), [['service', 'settled', 0]])
  assert.ok(orders[0].fuel.millilitres > 0)
  await visit(page, '/devices/pump-02?tab=orders')
  await page.getByRole('row').filter({ hasText: 'Service unlock' }).waitFor()
})

test('what is missing stands between the words around it', () => {
  const word = (seq, journal = 'a') => ({ epoch: 1, journal, seq })
  const shown = (...a) => withGaps(...a).map(r => r.gap ? `${r.from}-${r.to}` : `${r.journal}${r.seq}`)
  const gap = (from, to, journal = 'a') => ({ journal, from, to, state: 'waiting' })
  assert.deepEqual(shown([word(7), word(6), word(3), word(2)], [gap(4, 5)], false), ['a7', 'a6', '4-5', 'a3', 'a2'])
  assert.deepEqual(shown([word(9), word(5), word(1)], [gap(2, 4), gap(6, 8)], true), ['a9', '6-8', 'a5', '2-4', 'a1'])
  assert.deepEqual(shown([word(4)], [gap(1, 3)], true), ['a4', '1-3'])
  assert.deepEqual(shown([word(4)], [gap(3, 3)], false), ['a4', '3-3'], 'its upper neighbour is in sight')
  assert.deepEqual(shown([word(9)], [gap(3, 3)], false), ['a9'], 'it lies below what is loaded')
  assert.deepEqual(shown([word(2, 'b'), word(5), word(3)], [gap(4, 4)], false), ['b2', 'a5', '4-4', 'a3'], 'a journal of its own')
  assert.deepEqual(shown([], [], true), [])
})
