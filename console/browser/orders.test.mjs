// Orders, money and what needs a person: found, given back, decided and closed, with what
// the API says behind the page.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, test } from 'node:test'
import { ask, begin, close, open, password, phone, sound, stop, until, visit } from './stage.mjs'

let demo
before(async () => { demo = await begin(['--bikes', '30', '--pumps', '2', '--riding', '0', '--fuelling', '0']) })
afterEach(close)
after(stop)

const hands = (id, what, body) => ask('POST', `${demo.sim}/devices/${id}/${what}`, body)
const orderOf = id => ask('GET', '/v1/operator/orders/' + id)

// as asks what a rider's phone asks.
async function rider(name) {
  const { login_code } = await ask('POST', `${demo.wechat}/riders/${name}/login-code`)
  const call = async (method, path, body, once) => {
    const r = await fetch(demo.http + path, { method, body: body && JSON.stringify(body), headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }), ...(once && { 'Idempotency-Key': once }) } })
    const text = await r.text()
    assert.ok(r.ok, `${method} ${path}: ${r.status} ${text}`)
    return text ? JSON.parse(text) : null
  }
  let token
  token = (await call('POST', '/v1/login', { login_code })).token
  const url = async id => (await (await fetch(`${demo.sim}/codes/${id}`)).text()).trim()
  return {
    async order(id, more = {}) {
      const { ticket } = await call('POST', '/v1/scans', { url: await url(id) })
      return (await call('POST', '/v1/orders', { ticket, pay_with: 'wallet', ...more }, ticket)).id
    },
    async report(id, kind, text) { return (await call('POST', '/v1/faults', { url: await url(id), kind, text })).id },
    async photo(fault) {
      const form = new FormData()
      form.append('photo', new Blob([readFileSync(new URL('../../docs/code-page.png', import.meta.url))], { type: 'image/png' }), 'photo.png')
      assert.equal((await fetch(`${demo.http}/v1/faults/${fault}/photo`, { method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: form })).status, 204)
    },
  }
}

// ride is a bike's whole order, settled.
async function ride(who, id) {
  const order = await who.order(id)
  await until(async () => (await orderOf(order)).state === 'active', 'an active order')
  await hands(id, 'close')
  await until(async () => (await orderOf(order)).state === 'settled', 'a settled order')
  return order
}

const chosen = page => page.getByRole('dialog')

test('a ride is found, explained and refunded in part', async () => {
  const ada = await rider('ada'), id = await ride(ada, 'bike-001')
  const page = await open({ path: '/orders?device=bike-001&state=settled' })
  await page.getByRole('row').filter({ hasText: 'bike-001' }).getByText('¥1.50').click()
  await page.getByText('The lock proved that it opened').waitFor()
  await page.getByText('The lock proved that it was shut').waitFor()
  await page.getByText('Campus bike, version 1').first().waitFor()
  await sound(page, 'order-settled')

  await page.getByRole('button', { name: 'Refund' }).click()
  await chosen(page).getByText('the rest goes to their wallet').waitFor()
  await chosen(page).getByLabel('Amount in yuan').fill('9.99')
  await chosen(page).getByLabel('Reason').fill('the saddle was wet')
  await chosen(page).getByRole('button', { name: 'Refund' }).click()
  await chosen(page).getByText('Give an amount from 0.01 to 1.50 yuan').waitFor()
  assert.equal((await orderOf(id)).refunded_fen, 0, 'it gives back more than was paid')
  await chosen(page).getByLabel('Amount in yuan').fill('0,5')
  await sound(page, 'order-refund')
  await chosen(page).getByRole('button', { name: 'Refund' }).click()
  // It leaves a trace: beside the state, among what happened and in the facts, with who and why.
  await page.locator('.page-sub').getByText('¥0.50 refunded').waitFor()
  const step = page.locator('.timeline li').filter({ hasText: '¥0.50 refunded.' })
  await step.getByText('the saddle was wet').waitFor()
  await step.getByText('Ada').waitFor()
  await page.locator('dd').filter({ hasText: '¥0.50 refunded.' }).getByText('the saddle was wet').waitFor()
  await sound(page, 'order-refunded')
  await page.getByRole('row').filter({ hasText: 'Refunded' }).getByText('−¥0.50').waitFor()
  const { charged_fen, refunded_fen, state } = await orderOf(id)
  assert.deepEqual([charged_fen, refunded_fen, state], [150, 50, 'settled'])
})

test('a refund above the limit waits for a second person', async () => {
  const settings = await ask('GET', '/v1/operator/settings')
  const id = await ride(await rider('ben'), 'bike-002')
  const page = await open({ path: '/orders/' + id })
  const put = await page.request.put(demo.http + '/v1/operator/settings', { data: { ...settings, refund_alone_fen: 100, reason: 'test' }, headers: { Origin: demo.http } })
  assert.ok(put.ok(), await put.text())
  await page.reload()
  await page.getByRole('button', { name: 'Refund' }).click()
  await chosen(page).getByRole('button', { name: 'All of it' }).click()
  await chosen(page).getByText('a second person has to approve it').waitFor()
  await chosen(page).getByLabel('Reason').fill('it squeaked all the way')
  await chosen(page).getByRole('button', { name: 'Refund' }).click()
  await page.getByRole('heading', { name: 'Waits for a second person' }).waitFor()
  await page.getByText('another person decides').waitFor()
  const steps = page.locator('.timeline li')
  await steps.filter({ hasText: 'A refund of ¥1.50 was asked for' }).getByText('it squeaked all the way').waitFor()
  await sound(page, 'refund-waits')
  assert.equal((await orderOf(id)).refunded_fen, 0)

  const made = await page.request.post(demo.http + '/v1/operator/staff', { data: { name: 'Bo', role: 'finance', invite: true }, headers: { Origin: demo.http } })
  const bo = await open({ storageState: { cookies: [], origins: [] } })
  await bo.goto((await made.json()).invite_link)
  await bo.fill('[name=password]', password)
  await bo.click('button[type=submit]')
  await bo.waitForURL(/\/welcome$/)
  await visit(bo, '/orders?tab=refunds')
  const row = bo.getByRole('row').filter({ hasText: 'it squeaked all the way' })
  await row.getByText('Ada').waitFor() // finance may not list staff, and reads who asked all the same
  await row.getByRole('button', { name: 'Approve' }).click()
  await chosen(bo).getByRole('button', { name: 'Approve' }).click()
  await bo.getByText('No refund waits').waitFor()
  await page.getByRole('heading', { name: 'Waits for a second person' }).waitFor({ state: 'detached' })
  assert.equal((await orderOf(id)).refunded_fen, 150)
  await steps.filter({ hasText: '¥1.50 refunded: a second person approved it.' }).getByText('Bo').waitFor()
  await page.locator('.page-sub').getByText('¥1.50 refunded').waitFor()
})

test('an act without an answer says that nobody knows, and a refund may be pressed again', async () => {
  const id = await ride(await rider('dai'), 'bike-013')
  const page = await open({ path: '/orders/' + id })
  let lost = 0
  await page.route('**/v1/operator/refunds', async (route, r) => {
    if (r.method() !== 'POST' || lost++) return route.continue()
    await route.fetch() // it is done, and its answer is lost
    await route.abort()
  })
  await page.getByRole('button', { name: 'Refund' }).click()
  await chosen(page).getByLabel('Amount in yuan').fill('0.5')
  await chosen(page).getByLabel('Reason').fill('twice, once')
  await chosen(page).getByRole('button', { name: 'Refund' }).click()
  await chosen(page).getByText('No answer: nobody knows whether it was done').waitFor()
  await chosen(page).getByText('Pressing again here is safe').waitFor()
  await sound(page, 'no-answer')
  await chosen(page).getByRole('button', { name: 'Refund' }).click()
  await page.locator('.page-sub').getByText('¥0.50 refunded').waitFor()
  assert.equal((await orderOf(id)).refunded_fen, 50, 'given twice')

  // An act without a key is looked at first.
  await page.route('**/v1/operator/riders/*/block', route => route.abort())
  await visit(page, '/riders/' + (await orderOf(id)).rider)
  await page.getByRole('button', { name: 'Block' }).click()
  await chosen(page).getByLabel('Reason').fill('nobody hears it')
  await chosen(page).getByRole('button', { name: 'Block' }).click()
  await chosen(page).getByText('Look at the page again before you press once more.').waitFor()
})

test('what needs a person stands in the review queue, and the amount that staff set is billed', async () => {
  await hands('pump-01', 'fault', { outlet: 1, wrong_fen: 500 })
  const id = await (await rider('cho')).order('pump-01', { preset: { grade: '92', amount_fen: 5000 } })
  await until(async () => (await orderOf(id)).state === 'active', 'an armed pump')
  await hands('pump-01', 'nozzle', { do: 'lift', nozzle: 1 })
  await hands('pump-01', 'squeeze', { percent: 60 })
  await until(async () => ((await orderOf(id)).live?.millilitres ?? 0) > 300, 'litres')
  await hands('pump-01', 'nozzle', { do: 'hang_up' })
  await until(async () => (await orderOf(id)).state === 'ended', 'an order to decide')
  const page = await open({ path: '/orders?tab=review' })
  await page.getByText('The device’s own figures do not agree').waitFor()
  await sound(page, 'orders-review')
  await page.getByRole('row').filter({ hasText: 'pump-01' }).getByText('Staff must decide').click()
  await page.getByRole('button', { name: 'Set the amount' }).click()
  await chosen(page).getByLabel('Amount in yuan').fill('2.5')
  await chosen(page).getByLabel('Reason').fill('the display said 2.50')
  await chosen(page).getByRole('button', { name: 'Set the amount' }).click()
  await page.getByText('Staff set the amount, and it was billed.').waitFor()
  const o = await orderOf(id)
  assert.deepEqual([o.state, o.charged_fen], ['settled', 250])
})

test('an open item is taken on and closed with a reason', async () => {
  await hands('bike-009', 'open', { how: 'tamper' })
  const mine = async () => (await ask('GET', '/v1/operator/open-items?all=true')).items.find(i => i.device === 'bike-009')
  await until(mine, 'the item')
  const page = await open({ path: '/items' })
  const group = page.getByRole('region', { name: 'A device raised an alarm' })
  await group.getByText('Go there.').waitFor()
  const row = group.getByRole('row').filter({ hasText: 'bike-009' })
  await row.getByRole('button', { name: 'I take it' }).click()
  await row.getByRole('button', { name: 'Give it back' }).waitFor()
  assert.equal((await mine()).owner_name, 'Ada')
  await sound(page, 'items')
  await row.getByRole('button', { name: 'Close' }).click()
  await chosen(page).getByLabel('Reason').fill('a child shook it')
  await chosen(page).getByRole('button', { name: 'Close', exact: true }).last().click()
  await row.waitFor({ state: 'detached' })
  assert.ok((await mine()).closed_at)
})

test('a report with a photo is looked at in full and closed', async () => {
  const dai = await rider('dai'), fault = await dai.report('bike-010', 'damaged', 'The bell is gone.')
  await dai.photo(fault)
  const page = await open({ path: '/faults', ...phone })
  await page.getByText('The bell is gone.').waitFor()
  await sound(page, 'faults')
  await page.getByRole('button', { name: 'Show the photo in full' }).click()
  await chosen(page).getByRole('img').waitFor()
  await until(() => page.evaluate(() => document.querySelector('dialog img').naturalWidth > 0), 'the photo')
  await sound(page, 'fault-photo')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Close the report' }).click()
  await chosen(page).getByLabel('Reason').fill('new bell')
  await chosen(page).getByRole('button', { name: 'Close the report' }).click()
  await page.getByText('The bell is gone.').waitFor({ state: 'detached' })
  const { faults } = await ask('GET', '/v1/operator/faults?all=true')
  assert.ok(faults.find(f => f.id === fault).closed_at)
})

test('a rider is found by their order, blocked, and let in again', async () => {
  const id = await ride(await rider('eve'), 'bike-011'), { rider: who } = await orderOf(id)
  const page = await open({ path: '/riders' })
  await page.getByLabel('Phone number').fill('138 0013 8000')
  await page.getByLabel('Reason').fill('they called')
  await page.getByRole('button', { name: 'Find' }).last().click()
  await page.getByText('Nobody gave this number.').waitFor()
  assert.equal(new URL(page.url()).search, '', 'the number is in the address')
  await page.getByLabel('Order’s or rider’s number').fill(id)
  await page.getByRole('button', { name: 'Find' }).first().click()
  await page.getByRole('heading', { name: 'Rider …' + who.slice(-8) }).waitFor()
  await page.getByRole('row').filter({ hasText: 'bike-011' }).waitFor()
  await sound(page, 'rider')
  await page.getByRole('button', { name: 'Block' }).click()
  await chosen(page).getByLabel('Reason').fill('left it in the lake')
  await chosen(page).getByRole('button', { name: 'Block' }).click()
  await page.locator('.page-sub').getByText('Blocked').waitFor()
  assert.equal((await ask('GET', '/v1/operator/riders/' + who)).blocked, true)
  await page.getByRole('button', { name: 'Lift the block' }).click()
  await chosen(page).getByLabel('Reason').fill('it was another one')
  await chosen(page).getByRole('button', { name: 'Lift the block' }).click()
  await until(async () => !(await ask('GET', '/v1/operator/riders/' + who)).blocked, 'a lifted block')
})

test('an alarm is seen, snoozed and cleared by the keyboard alone', async () => {
  await hands('bike-012', 'battery', { percent: 12 })
  const open_ = async () => (await ask('GET', '/v1/operator/alarms?open=true')).alarms.find(a => a.device === 'bike-012')
  const alarm = await until(open_, 'the alarm')
  const page = await open({ path: '/alarms?kind=low_battery' })
  const row = page.getByRole('row').filter({ hasText: 'bike-012' })
  await row.waitFor()
  await row.focus()
  await page.keyboard.press('a')
  await row.getByText('Seen').waitFor()
  assert.ok((await open_()).acked_at)
  await page.waitForTimeout(60) // a barcode gun is as fast as a test
  await page.keyboard.press('s')
  await chosen(page).getByRole('button', { name: '8 hours' }).click()
  await sound(page, 'alarm-snooze')
  await chosen(page).getByRole('button', { name: 'Snooze' }).click()
  await row.getByText('Snoozed').waitFor()
  const hours = (new Date((await open_()).snoozed_until).getTime() - Date.now()) / 3600_000
  assert.ok(hours > 7.9 && hours <= 8, `${hours} hours`)
  await row.focus()
  await page.keyboard.press('c')
  await chosen(page).getByLabel('Reason').fill('changed it')
  await chosen(page).getByRole('button', { name: 'Clear' }).click()
  await row.waitFor({ state: 'detached' })
  assert.equal(await open_(), undefined)
  await visit(page, '/alarms?all=1&kind=low_battery')
  await page.getByRole('row').filter({ hasText: 'bike-012' }).getByText('Cleared').waitFor()
  const { alarms } = await ask('GET', '/v1/operator/alarms')
  assert.ok(alarms.find(a => a.id === alarm.id).cleared_by)
})

test('the audit says states, money and members in Chinese too', async () => {
  const me = (await ask('GET', '/v1/operator/keys')).keys[0].staff
  await ask('POST', '/v1/operator/devices/bike-014/service', { service: 'maintenance', reason: 'flat tyre' })
  await ask('POST', '/v1/operator/devices/bike-014/service', { service: 'in_service', reason: 'mended' })
  const page = await open({ path: '/audit?act=device.service&object=bike-014', locale: 'zh-CN' })
  const line = page.getByRole('row').filter({ hasText: '服务状态' })
  await line.filter({ hasText: /维护中.*→.*服务中/ }).waitFor()
  await sound(page, 'audit-chinese')
  await visit(page, '/audit?act=money.refund')
  await page.getByRole('row').filter({ hasText: '已退' }).getByText('¥0.00').first().waitFor()
  await visit(page, '/audit?act=key.add')
  await page.locator('.act-head').getByText('成员 Ada').first().waitFor()
  assert.equal(await page.locator('.act-head').getByText(me).count(), 0)
})

test('what an item says is said in Chinese, with its figures, and in small print as it was written', async () => {
  const item = (await ask('GET', '/v1/operator/open-items?all=true')).items.find(i => i.kind === 'bill_needs_decision')
  assert.match(item.detail, /^the pump says \d+ ml/)
  const page = await open({ path: '/items?all=1', locale: 'zh-CN' })
  const row = page.getByRole('row').filter({ hasText: '加油机说' })
  await row.first().waitFor()
  assert.match(await row.first().locator('.said').innerText(), /^加油机说 [\d.]+ L.*¥\d/)
  assert.equal(await row.first().locator('small[lang=en]').innerText(), item.detail)
  await sound(page, 'items-chinese')
})
