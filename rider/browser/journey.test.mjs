// The page behind a code, in a real browser: the journey of a demo, and the page of an
// installation. Each test ends with what the API says behind the page.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { ask, at, binary, close, folder, headed, open, press, requested, sound, start, stop } from './stage.mjs'

let unlatch, demo, origin, installation

before(async () => {
  unlatch = binary()
  installation = start(unlatch, ['serve', '--data', join(folder, 'campus'), '--migrate', '--http', '127.0.0.1:0', '--mqtt', '127.0.0.1:0', '--metrics', '',
    '--domain', 'q.example.cn', '--wechat-app-id', 'wx0000000000000000', '--wechat-secret', 'none',
    '--wechat-link', 'weixin://dl/business/?appid=wx0000000000000000&path=pages/scan&query=q%3D{code}'],
  out => out.match(/Serving riders and staff on (\S+),[\s\S]*first-run\?link=(\S+)/))
  installation.catch(() => {}) // its own test tells
  const file = join(folder, 'ready.json')
  await start(unlatch, ['demo', '--data', join(folder, 'demo'), '--http', '127.0.0.1:0', '--sim', '127.0.0.1:0', '--wechat', '127.0.0.1:0',
    '--bikes', '9', '--pumps', '2', '--riding', '0', '--fuelling', '0', '--start-deadline', '4s', '--ready-file', file],
  out => out.includes('Ride bike-'))
  for (let tries = 0; !demo; tries++) { // it is written a moment after the last line
    try { demo = JSON.parse(readFileSync(file)) } catch (e) {
      assert.ok(tries < 100, e)
      await new Promise(done => setTimeout(done, 50))
    }
  }
  origin = demo.http
})
afterEach(close)
after(stop)

const tokenOf = page => page.evaluate(() => JSON.parse(localStorage.getItem('unlatch.rider')).token)
const hands = (device, direction, body = {}) => ask('POST', `${demo.sim}/devices/${device}/${direction}`, { body })

// behind reads the order of the page's address from the API.
async function behind(page) {
  return ask('GET', `${origin}/v1/orders/${new URL(page.url()).hash.slice(1)}`, { key: await tokenOf(page) })
}

// settled waits until the API says that an order is over.
async function settled(page) {
  for (let tries = 0; ; tries++) {
    const o = await behind(page)
    if (['settled', 'voided'].includes(o.state)) return o
    assert.ok(tries < 100, `the order is still ${o.state}`)
    await page.waitForTimeout(100)
  }
}

// arrive opens a code as a rider of the double who stands before it.
async function arrive(code, name, options) {
  const page = await open(options)
  await page.goto(code)
  await at(page, 'who')
  await press(page, name)
  await at(page, 'choose')
  return page
}

const yuan = fen => `¥${(fen / 100).toFixed(2)}`
const choose = (page, way) => page.getByText(way, { exact: true }).click()
const reload = async (page, screen) => { await page.reload(); return at(page, screen) }

test('a bike: scan, ride, receipt; a reload at every step lands where the order is', async () => {
  const page = await open()
  await page.goto(demo.codes[0])
  await at(page, 'who')
  await sound(page, 'who')
  await press(page, 'ada')
  assert.match(await at(page, 'choose'), /¥100\.00 available/)
  await sound(page, 'choose')
  await reload(page, 'choose')
  await press(page, /Open the lock · from ¥1\.50/)
  assert.match(await at(page, 'active'), /Unlocked[\s\S]*Estimate; the lock’s signed record counts/)
  assert.equal((await behind(page)).state, 'active')
  await sound(page, 'ride')
  await reload(page, 'active')
  await page.goto(demo.codes[0]) // scanned again, without the order in the address
  await at(page, 'active')
  await page.evaluate(() => scrollTo(0, 400))
  await press(page, 'Push the lock shut')
  const text = await at(page, 'over')
  const o = await settled(page)
  assert.equal(o.state, 'settled')
  for (const line of o.quote.lines) assert.ok(text.includes(yuan(line.amount_fen)), `the receipt lacks ${line.kind}`)
  assert.match(text, new RegExp(`Total[\\s\\S]*${yuan(o.charged_fen).replace('.', '\\.')}`))
  assert.ok(text.includes(yuan(o.hold_fen - o.charged_fen)), 'the receipt does not say what is free again')
  await page.getByText('Why this amount').click()
  assert.match(text, /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d to \d/)
  assert.match(text, /1 min × ¥0\.50, each started minute counts/)
  assert.match(await at(page, 'over'), /what the device signed/)
  for (const evidence of o.quote.lines[0].evidence) assert.ok((await at(page, 'over')).includes(evidence))
  await sound(page, 'receipt')
  assert.equal(await reload(page, 'over'), text)
  const wallet = await ask('GET', `${origin}/v1/me/wallet`, { key: await tokenOf(page) })
  assert.equal(wallet.balance_fen, 10_000 - o.charged_fen)
  assert.equal(wallet.held_fen, 0)
})

test('a pump: paid before, fuelled, and the rest comes back on the receipt', async () => {
  const page = await arrive(demo.pump_codes[0], 'ben')
  await page.locator('#amount').fill('3')
  assert.match(await at(page, 'choose'), /From ¥10\.00 to ¥1000\.00[\s\S]*Please check/)
  await sound(page, 'pump-out-of-bounds')
  await choose(page, 'Litres')
  for (const litres of ['1', '999']) { // too little, and more than one use may come to
    await page.locator('#litres').fill(litres)
    assert.match(await at(page, 'choose'), /From 1\.28 L to [\d.]+ L[\s\S]*Please check/)
  }
  await page.locator('#litres').fill('6')
  await page.getByRole('button', { name: 'Start · at most ¥47.10' }).waitFor()
  await choose(page, 'Amount')
  await page.locator('#amount').fill('50')
  await choose(page, 'WeChat Pay')
  await sound(page, 'pump-choose')
  await press(page, 'Start · at most ¥50.00')
  await page.locator('.phone button').first().waitFor()
  assert.match(await at(page, 'pending'), /¥50\.00/)
  await reload(page, 'pending')
  await press(page, 'Pay')
  assert.match(await at(page, 'active'), /The pump is ready/)
  await sound(page, 'pump-ready')
  await press(page, 'Lift 95#')
  await page.getByText('This is 95#: hang it back and lift 92#.').waitFor()
  await sound(page, 'pump-wrong-nozzle')
  await press(page, 'Hang up')
  await press(page, 'Lift 92#')
  await press(page, 'Gently')
  await page.getByText('Hang up when you have enough').waitFor()
  assert.match(await at(page, 'active'), /Estimate; the pump’s signed record counts/)
  await sound(page, 'pump-flows')
  await reload(page, 'active')
  await press(page, 'Hang up')
  await page.getByText('Back in your WeChat').waitFor()
  const o = await settled(page), text = await at(page, 'over')
  assert.equal(o.state, 'settled')
  assert.equal(o.charged_fen, o.fuel.amount_fen)
  const back = o.payments.find(p => p.road === 'refund')
  assert.equal(back.moved_fen, 5000 - o.charged_fen)
  for (const figure of [yuan(o.charged_fen), '¥50.00', yuan(back.moved_fen), (o.fuel.millilitres / 1000).toFixed(3)]) assert.ok(text.includes(figure), figure)
  await sound(page, 'pump-receipt')
})

test('a pump that walks into a tunnel: the page says what is certain, then what was signed', async () => {
  const page = await arrive(demo.pump_codes[1], 'cho')
  await press(page, 'Start · at most ¥100.00')
  await at(page, 'active')
  await press(page, 'Lift 92#')
  await press(page, 'Gently')
  await page.getByText('Hang up when you have enough').waitFor()
  await press(page, 'Let go')
  await page.getByText('Make trouble').click()
  await press(page, 'No network')
  await page.getByText('No word from the pump for now. It goes on by itself, at most ¥100.00.').waitFor()
  await sound(page, 'pump-tunnel')
  await press(page, 'Hang up')
  assert.equal((await behind(page)).state, 'active')
  await press(page, 'No network')
  assert.match(await at(page, 'over'), /Receipt/)
  const o = await settled(page)
  assert.deepEqual([o.state, o.charged_fen], ['settled', o.fuel.amount_fen])
})

test('a pump whose figures do not agree: staff look, and nothing is charged', async () => {
  const page = await arrive(demo.pump_codes[2], 'ben')
  await hands('pump-02', 'fault', { outlet: 1, wrong_fen: 500 })
  await press(page, 'Start · at most ¥100.00')
  await at(page, 'active')
  await press(page, 'Lift 92#')
  await press(page, 'Fully')
  await page.getByText('Hang up when you have enough').waitFor()
  await press(page, 'Hang up')
  assert.match(await at(page, 'ended'), /Nothing is charged/)
  await sound(page, 'staff-decide')
  const o = await behind(page)
  assert.deepEqual([o.state, o.next.what, o.charged_fen], ['ended', 'staff_decide', 0])
})

test('a jammed lock: nothing is paid, and the page says why', async () => {
  const page = await arrive(demo.codes[1], 'cho')
  await page.getByText('Make trouble').click()
  await press(page, 'Jammed')
  await page.getByRole('button', { name: 'Jammed', pressed: true }).waitFor()
  await sound(page, 'trouble')
  await press(page, /Open the lock/)
  assert.match(await at(page, 'over'), /You pay nothing[\s\S]*stuck/)
  await sound(page, 'jammed')
  const o = await settled(page)
  assert.deepEqual([o.state, o.charged_fen], ['voided', 0])
})

test('a lock without a network that did not open: honest words until it proves that', async () => {
  const page = await arrive(demo.codes[2], 'dai')
  await page.getByText('Make trouble').click()
  await press(page, 'No network')
  await page.getByRole('button', { name: 'No network', pressed: true }).waitFor()
  await press(page, /Open the lock/)
  const asking = await at(page, 'starting')
  assert.match(asking, /If it does not open, you pay nothing/)
  assert.doesNotMatch(asking, /unlocked/i)
  await sound(page, 'starting')
  const checking = await at(page, 'unresolved')
  assert.match(checking, /You pay only if it opened/)
  assert.doesNotMatch(checking, /unlocked/i)
  await sound(page, 'unresolved')
  assert.match(await reload(page, 'unresolved'), /You pay only if it opened/)
  await press(page, 'Cancel the order')
  await page.getByText('Make trouble').click()
  await press(page, 'No network')
  assert.match(await at(page, 'over'), /You pay nothing/)
  const o = await settled(page)
  assert.deepEqual([o.state, o.charged_fen, o.unproven], ['voided', 0, false])
})

test('a lock that opened and could not say so: the ride begins once it does', async () => {
  const page = await arrive(demo.codes[3], 'eve')
  await hands('bike-004', 'network', { do: 'off', direction: 'up' })
  await press(page, /Open the lock/)
  assert.doesNotMatch(await at(page, 'starting'), /unlocked/i)
  assert.doesNotMatch(await at(page, 'unresolved'), /unlocked/i)
  await hands('bike-004', 'network', { do: 'on' })
  assert.match(await at(page, 'active'), /Unlocked/)
  assert.equal((await behind(page)).state, 'active')
  await press(page, 'Push the lock shut')
  assert.match(await at(page, 'over'), /Receipt/)
  assert.equal((await settled(page)).state, 'settled')
})

test('a payment: called off costs nothing; refused by Pay Score it is paid before instead', async () => {
  const page = await arrive(demo.codes[4], 'ada')
  await choose(page, 'WeChat Pay')
  await press(page, /Open the lock/)
  await page.locator('.phone button').first().waitFor()
  await sound(page, 'prepay')
  await press(page, 'Cancel the order')
  assert.match(await at(page, 'over'), /You pay nothing[\s\S]*cancelled/)
  const off = await settled(page)
  assert.deepEqual([off.state, off.charged_fen, off.payments.at(-1).moved_fen], ['voided', 0, 0])
  await sound(page, 'cancelled')
  await press(page, 'Scan it again')
  await at(page, 'choose')
  await choose(page, 'WeChat Pay Score')
  await press(page, /Open the lock/)
  await page.locator('.phone button').first().waitFor()
  assert.match(await at(page, 'pending'), /No deposit/)
  await sound(page, 'pay-score')
  await press(page, 'Pay first instead')
  await press(page, 'Pay')
  await at(page, 'active')
  assert.equal((await behind(page)).pay_with, 'prepay')
  await press(page, 'Push the lock shut')
  await page.getByText('Back in your WeChat').waitFor()
  const o = await settled(page)
  assert.equal(o.payments.find(p => p.road === 'refund').moved_fen, o.hold_fen - o.charged_fen)
  assert.deepEqual(o.payments.filter(p => p.road === 'score').map(p => [p.state, p.moved_fen]), [['closed', 0]])
  const text = await at(page, 'over')
  assert.doesNotMatch(text, /collect/i) // what was closed moved nothing
  assert.equal(text.match(/You paid/g).length, 1)
})

test('Pay Score: confirmed before, collected after', async () => {
  const page = await arrive(demo.codes[5], 'ben')
  await choose(page, 'WeChat Pay Score')
  await press(page, /Open the lock/)
  await press(page, 'Confirm')
  await at(page, 'active')
  await press(page, 'Push the lock shut')
  await page.getByText('Collected by WeChat').waitFor()
  const o = await settled(page)
  assert.deepEqual([o.pay_with, o.payments.find(p => p.road === 'score').moved_fen], ['pay_score', o.charged_fen])
})

test('a break: the bike stays the rider\'s while it is locked', async () => {
  const page = await arrive(demo.codes[8], 'cho')
  await press(page, /Open the lock/)
  await at(page, 'active')
  await press(page, 'Pause, keep the bike')
  await headed(page, 'Push it shut to pause')
  await press(page, 'Push the lock shut')
  await headed(page, 'Paused')
  await sound(page, 'paused')
  await reload(page, 'active')
  await press(page, 'Ride on')
  await headed(page, 'Unlocked')
  assert.equal((await behind(page)).state, 'active')
  await press(page, 'Push the lock shut')
  assert.match(await at(page, 'over'), /of it paused, billed like riding/)
  await page.getByText('What happened').click()
  const told = await page.locator('.log li').evaluateAll(all => all.map(li => li.lastChild.textContent))
  assert.deepEqual(told.slice(-7), ['Device: it started', 'You asked to pause', 'Device: shut, the pause began', 'You asked to ride on',
    'Device: open, you rode on', 'Device: it ended', 'Settled'])
  await sound(page, 'paused-receipt')
  assert.equal((await settled(page)).state, 'settled')
})

test('Chinese and English: every screen in either, turned at any time', async () => {
  const page = await arrive(demo.codes[6], 'dai', { locale: 'zh-CN', colorScheme: 'dark' })
  assert.match(await at(page, 'choose'), /怎么付款[\s\S]*开锁 · ¥1\.50 起/)
  await sound(page, 'chinese-choose')
  await press(page, /开锁/)
  assert.match(await at(page, 'active'), /锁已打开/)
  await sound(page, 'chinese-ride')
  await press(page, 'English')
  assert.match(await at(page, 'active'), /Unlocked/)
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'en')
  assert.match(await page.title(), /^Bike /)
  assert.match(await reload(page, 'active'), /Unlocked/) // it is remembered
  await press(page, '中文')
  await press(page, '关锁')
  assert.match(await at(page, 'over'), /账单[\s\S]*合计/)
  await sound(page, 'chinese-receipt')
  assert.equal((await settled(page)).state, 'settled')
})

test('another bike\'s code during a ride: it says what is open and leads back', async () => {
  const page = await arrive(demo.codes[4], 'eve')
  await press(page, /Open the lock/)
  await at(page, 'active')
  const number = await page.locator('footer .code').innerText(), { device } = await behind(page)
  await page.goto(demo.codes[5])
  assert.match(await at(page, 'elsewhere'), /You are riding bike-005[\s\S]*This one \(bike-006\) is not open/)
  assert.doesNotMatch(await page.innerText('main'), /Unlocked/)
  assert.equal(await page.locator('footer .code').innerText(), number)
  assert.equal(device, 'bike-005')
  await sound(page, 'elsewhere')
  await page.getByRole('link', { name: 'To bike-005' }).click()
  assert.match(await at(page, 'active'), /Unlocked/)
  assert.match(page.url(), new RegExp(new URL(demo.codes[4]).pathname))
  const phone = await open() // one that did not make the order
  await phone.goto(demo.codes[5])
  await press(phone, 'eve')
  await at(phone, 'elsewhere')
  assert.equal(await phone.locator('footer .code').count(), 0)
  await press(phone, 'To bike-005')
  await press(phone, 'Push the lock shut')
  await at(phone, 'over')
  await at(page, 'over')
  assert.equal((await settled(page)).state, 'settled')
})

test('two tabs order one bike: the later one goes to the order of the first', async () => {
  const page = await arrive(demo.codes[4], 'eve'), tab = await page.context().newPage()
  await tab.goto(demo.codes[4])
  await at(tab, 'choose')
  await press(page, /Open the lock/)
  await at(page, 'active')
  await press(tab, /Open the lock/)
  assert.match(await at(tab, 'active'), /Unlocked/)
  assert.equal(await tab.getByRole('alert').count(), 0)
  assert.equal(tab.url(), page.url())
  await press(tab, 'Push the lock shut')
  await at(page, 'over')
})

test('a refusal has words of its own, which go when the order moves', async () => {
  const page = await arrive(demo.codes[5], 'eve'), other = await open()
  await page.route('**/pause', r => r.fulfill({ status: 409, contentType: 'application/problem+json', body: '{"code":"wrong_state","status":409}' }))
  await press(page, /Open the lock/)
  await at(page, 'active')
  await press(page, 'Pause, keep the bike')
  await page.getByText('Too late or too early').waitFor()
  await press(page, 'Push the lock shut')
  await at(page, 'over')
  assert.equal(await page.getByText('Too late or too early').count(), 0)
  const { token } = await ask('POST', `${origin}/v1/login`, { body: await ask('POST', `${origin}/demo/wechat/ben/login-code`) })
  const reservation = await ask('POST', `${origin}/v1/reservations`, { key: token, once: 'kept', body: { device: 'bike-006', outlet: 1 } })
  await other.goto(demo.codes[5])
  await press(other, 'ada')
  assert.match(await at(other, 'refused'), /Somebody else has reserved it/)
  await sound(other, 'reserved')
  await ask('POST', `${origin}/v1/reservations/${reservation.id}/cancel`, { key: token, once: 'given up' })
})

test('somebody else rides it: the page says so, and no order is made', async () => {
  const rider = await arrive(demo.codes[7], 'eve')
  await press(rider, /Open the lock/)
  await at(rider, 'active')
  const page = await open()
  await page.goto(demo.codes[7])
  await press(page, 'ada')
  await at(page, 'choose')
  assert.match(await at(page, 'choose'), /In use[\s\S]*take another/)
  assert.equal(await page.getByRole('button', { name: /Open the lock/ }).count(), 0)
  await sound(page, 'in-use')
  const { live_orders } = await ask('GET', `${origin}/v1/me`, { key: await tokenOf(page) })
  assert.deepEqual(live_orders, [])
  await press(rider, 'Push the lock shut')
  await at(rider, 'over')
})

test('a code that is wrong or revoked: a page without a journey', async () => {
  const page = await open()
  const number = demo.codes[1].split('/').at(-1)
  const forged = await page.goto(demo.codes[1].replace(/\d$/, d => (Number(d) + 1) % 10))
  assert.equal(forged.status(), 422)
  assert.match(await page.innerText('main'), /Not our code/)
  await sound(page, 'forged')
  const { api_key: key } = await ask('POST', `${origin}/v1/operator/first-run`, { body: { link: new URL(demo.first_run).searchParams.get('link'), name: 'Lin' } })
  await ask('POST', `${origin}/v1/operator/codes/${number}/revoke`, { key, body: { reason: 'torn off' } })
  const revoked = await page.goto(demo.codes[1])
  assert.equal(revoked.status(), 410)
  assert.match(await page.innerText('main'), /no longer in use/)
  assert.equal(await page.locator('script').count(), 0)
  await sound(page, 'revoked')
  assert.equal((await ask('GET', `${origin}/v1/operator/codes/${number}`, { key })).revoked, true)
})

test('without scripts a demo\'s page still names the device and says how to ride', async () => {
  const page = await open({ javaScriptEnabled: false })
  await page.goto(demo.codes[0])
  assert.match(await page.innerText('main'), /bike-001[\s\S]*Available[\s\S]*Open WeChat/)
})

test('the page of an installation is one answer that loads nothing and unlocks nothing', async () => {
  const { 1: url, 2: link } = await installation
  const { api_key: key } = await ask('POST', `${url}/v1/operator/first-run`, { body: { link, name: 'Lin' } })
  await ask('PUT', `${url}/v1/operator/venues/campus`, { key, body: { name: 'North Campus', time_zone: 'Asia/Shanghai', open: true, phone: '+86 21 5555 0100' } })
  await ask('POST', `${url}/v1/operator/tariffs`, { key, body: { id: 'bike', name: 'Bike', venue: 'campus', kind: 'lock', unlock_fee_fen: 100, block_ms: 1_800_000, block_fee_fen: 150, ride_cap_fen: 2000 } })
  const { devices } = await ask('POST', `${url}/v1/operator/devices`, { key, body: { devices: [{ id: 'bike-001', kind: 'lock', venue: 'campus' }], reason: 'new' } })
  const { number } = await ask('POST', `${url}/v1/operator/codes`, { key, body: { device: 'bike-001' } })
  const code = `${url}/d/${number.replaceAll('-', '')}`
  const silent = await open()
  await silent.goto(code)
  assert.match(await silent.innerText('main'), /Cannot be reached now[\s\S]*take another/)
  await sound(silent, 'serve-silent')
  writeFileSync(join(folder, 'bike-001.json'), JSON.stringify(devices[0].file))
  await start(unlatch, ['sim', join(folder, 'bike-001.json')], out => out.includes('take stage directions'))
  for (let tries = 0; !(await (await fetch(code)).text()).includes('可以使用'); tries++) {
    assert.ok(tries < 100, 'the lock was never heard')
    await silent.waitForTimeout(100)
  }
  for (const locale of ['en-GB', 'zh-CN']) {
    const page = await open({ locale })
    const answer = await page.goto(code)
    assert.equal(answer.status(), 200)
    await page.waitForLoadState('networkidle')
    assert.deepEqual(page.asked.map(r => r.url()), [answer.url()], 'it asked for more than the page')
    assert.equal(await page.locator('script, link, img, iframe, form, button').count(), 0)
    assert.equal(await page.locator('a.open').getAttribute('href'), 'weixin://dl/business/?appid=wx0000000000000000&path=pages/scan&query=q%3D' +
      encodeURIComponent(encodeURIComponent(`https://q.example.cn/d/${number.replaceAll('-', '')}`)))
    assert.doesNotMatch(answer.headers()['content-security-policy'], /script-src|connect-src|unsafe/)
    assert.match(await page.innerText('main'), /bike-001[\s\S]*\+86 21 5555 0100/)
    await sound(page, `serve-${locale}`)
  }
  for (const path of ['/demo/journey/journey.js', '/demo/hands/bike-001', '/demo/wechat/ada/login-code']) {
    assert.equal((await fetch(url + path)).status, 404, path)
  }
})

test('no page asked another host for anything', () => {
  const hosts = [...requested]
  assert.ok(hosts.length >= 2, 'both the demo and the installation were visited')
  for (const host of hosts) assert.match(host, /^127\.0\.0\.1:\d+$/)
})
