// Fuel and money against a real installation and the WeChat double.

import { Demo } from '../demo'
import type { Phone } from '../wx'

let demo: Demo
beforeAll(async () => {
  demo = await Demo.start()
})
afterAll(() => demo.stop())

async function atThePump(phone: Phone): Promise<{ id: string; url: string }> {
  const pump = await demo.aPump()
  phone.launchScan(pump.url)
  await phone.until('the card', () => phone.data.ready)
  return pump
}

test('a full fuelling, paid before with WeChat: grade, amount, pay, lift, live figures, receipt, refund', async () => {
  const phone = demo.phone()
  const pump = await atThePump(phone)
  expect(phone.data.grades.map((g: { id: string }) => g.id)).toEqual(expect.arrayContaining(['92', '95']))
  await phone.tap('grade', '92')
  await phone.tap('amount', 20000)
  expect(phone.data.go).toBe('Release the pump: ¥200.00')
  await phone.tap('order')
  await phone.until('the nozzle', () => phone.data.v?.stage === 'lift')
  expect(phone.data.v.title).toBe('Lift the nozzle: 92')
  await demo.sim(pump.id, 'nozzle', { do: 'lift', nozzle: 1 })
  await demo.sim(pump.id, 'squeeze', { percent: 60 })
  await phone.until(
    'figures',
    () => phone.data.v?.stage === 'fuelling' && phone.data.v.figure !== '0.00 L' && phone.data.v.figure !== '',
  )
  expect(phone.data.v.moneyNote).toContain('Not final')
  const first = phone.data.v.money
  await phone.until('more', () => phone.data.v?.money !== first)
  await demo.sim(pump.id, 'nozzle', { do: 'hang_up' })
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt')
  expect(phone.data.v.receipt.lines[0].title).toMatch(/^Fuel 92/)
  await phone.until('what comes back', () => phone.data.v?.refunds.length === 1)
  expect(phone.data.v.refunds[0]).toMatch(/^¥1\d\d\.\d\d (on its way back|given back)$/)
})

test('a full tank on the wallet: at most what is there', async () => {
  const phone = demo.phone({ payPump: ['wallet', 'prepay'] })
  const pump = await atThePump(phone)
  await phone.tap('full')
  expect(phone.data.fullText).toContain('¥100.00')
  await phone.tap('order')
  await phone.until('the nozzle', () => phone.data.v?.stage === 'lift')
  phone.kill()
  phone.launch()
  await phone.until('the nozzle, again', () => phone.data.v?.stage === 'lift')
  await phone.tap('end')
  await phone.until('the end', () => ['receipt', 'void'].includes(phone.data.v?.stage))
  void pump
})

test('an amount that the pump does not take is said before anything is asked', async () => {
  const phone = demo.phone()
  await atThePump(phone)
  await phone.type('own', '0.5')
  await phone.tap('order')
  expect(phone.data.notice.text).toMatch(/^Please give an amount from ¥/)
  await phone.type('litres', '999')
  await phone.tap('order')
  expect(phone.data.notice).not.toBeNull()
  expect(phone.requests.some((r) => r.path === '/v1/orders')).toBe(false)
})

test('a payment that the rider closes: said, repeated, or called off', async () => {
  const phone = demo.phone({ payLock: ['prepay'] })
  const pay = phone.world.pay
  phone.world.pay = async () => 'cancel'
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  await phone.until('not paid', () => phone.data.v?.warning === 'Not paid. You can still pay, or call the order off.')
  expect(phone.data.v.stage).toBe('pay')
  phone.kill()
  phone.launch()
  let opened = 0
  phone.world.pay = async (r) => {
    opened++
    return pay(r)
  }
  await phone.until('still to pay', () => phone.data.v?.buttons.some((b: { do: string }) => b.do === 'pay'))
  await new Promise((r) => setTimeout(r, 300))
  expect(opened).toBe(0) // a start of the app opens no payment window by itself
  await phone.tap('pay')
  await phone.until('riding', () => phone.data.v?.stage === 'riding')
  await demo.sim(bike.id, 'close')
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt')

  const other = demo.phone({ payLock: ['prepay'] })
  other.world.pay = async () => 'fail'
  const second = await demo.aBike()
  other.launchScan(second.url)
  await other.until('the card', () => other.data.ready)
  await other.tap('order')
  await other.until('not paid', () => other.data.v?.warning?.startsWith('WeChat could not take'))
  await other.tap('cancel')
  await other.until('the end', () => other.data.v?.stage === 'void')
  expect(other.data.v.title).toBe('Nothing to pay')
})

test('Pay Score comes back without a confirmation: nothing starts, and paying before is offered', async () => {
  const phone = demo.phone({ payLock: ['pay_score', 'prepay'] })
  phone.world.confirm = async () => undefined // the rider goes back at once; WeChat says ok
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  expect(phone.data.go).toBe('Unlock now, pay after (Pay Score)')
  await phone.tap('order')
  await phone.until('asked to confirm', () => phone.data.v?.stage === 'confirm' && phone.data.v.text.startsWith('We ask WeChat'))
  await new Promise((r) => setTimeout(r, 1200))
  expect(phone.data.v.stage).toBe('confirm')
  await phone.tap('instead')
  await phone.until(
    'paying before',
    () => phone.data.v?.stage === 'pay' || phone.data.v?.stage === 'starting' || phone.data.v?.stage === 'riding',
  )
  await phone.until('riding', () => phone.data.v?.stage === 'riding')
  await demo.sim(bike.id, 'close')
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt')
})

test('Pay Score confirmed: a ride that is paid after', async () => {
  const phone = demo.phone({ payLock: ['pay_score'] })
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  await phone.until('riding', () => phone.data.v?.stage === 'riding')
  await demo.sim(bike.id, 'close')
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt')
})

test('money in, refused, and out again', async () => {
  const phone = demo.phone()
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home')
  await phone.tap('wallet')
  await phone.until('the wallet', () => phone.data.loaded)
  expect(phone.data.money.available).toBe('¥100.00')
  await phone.tap('topUp', 2000)
  expect(phone.data.say).toBe('¥20.00 has arrived.')
  expect(phone.data.money.available).toBe('¥120.00')
  await phone.type('type', '12,5')
  await phone.tap('own')
  expect(phone.data.notice.text).toBe('Please give an amount in yuan.')
  phone.world.pay = async () => 'cancel'
  await phone.tap('topUp', 1000)
  expect(phone.data.say).toBe('Not paid; nothing was taken.')
  await phone.tap('withdraw')
  expect(phone.data.say).toBe('¥20.00 is on its way back to you.')
  await phone.until('the payments', () => phone.data.payments.length >= 3)
  expect(phone.data.payments.map((p: { title: string }) => p.title)).toEqual(expect.arrayContaining(['Top-up', 'Given back']))
})

test('too little in the wallet leads to another way to pay', async () => {
  const phone = demo.phone({ payLock: ['wallet', 'prepay'] })
  const drained = await demo.aBike()
  phone.launchScan(drained.url)
  await phone.until('the card', () => phone.data.ready)
  expect(phone.data.ways.find((w: { on: boolean }) => w.on).id).toBe('wallet')
  await phone.tap('way', 'prepay')
  expect(phone.data.go).toBe('Pay ¥1.50 first, then it unlocks')
})

test('a fault with a photo', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launch('pages/fault/index')
  await phone.until('the page', () => phone.data.kinds?.length === 6)
  await phone.tap('send')
  expect(phone.data.notice.text).toBe('Please give the device’s number or scan its code.')
  phone.camera = [bike.url]
  await phone.tap('camera')
  await phone.tap('kind', 'damaged')
  await phone.type('text', 'a bent wheel')
  phone.files.set(
    '/tmp/photo.png',
    Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64'),
  )
  await phone.tap('photo')
  expect(phone.data.photo).toBe('/tmp/photo.png')
  await phone.tap('send')
  await phone.until('thanks', () => phone.data.sent)
  expect(phone.data).toMatchObject({ say: 'Thank you. We look at it.', photoLost: false, notice: null })
  expect(phone.requests.filter((r) => r.method === 'UPLOAD').map((r) => r.status)).toEqual([204])
})

test('a photo that is refused loses only itself', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launch('pages/fault/index')
  await phone.until('the page', () => phone.data.kinds?.length === 6)
  await phone.type('number', bike.url.slice(-14))
  await phone.tap('kind', 'other')
  phone.files.set('/tmp/text.png', Buffer.from('no picture at all'))
  await phone.tap('photo')
  await phone.tap('send')
  expect(phone.data).toMatchObject({ sent: true, photoLost: true, say: 'Your report has arrived, the photo has not.' })
})

test('a pass, a debt, and what pays it', async () => {
  const phone = demo.phone({ payLock: ['wallet'] })
  await demo.staff('POST', '/v1/operator/passes', {
    id: 'dear',
    name: 'Dear',
    venue: 'campus',
    kind: 'lock',
    price_fen: 9850,
    days: 30,
    budget_ms: 1000,
  })
  await demo.staff('POST', '/v1/operator/tariffs', {
    id: 'fast',
    name: 'Fast',
    venue: 'campus',
    kind: 'lock',
    unlock_fee_fen: 100,
    block_ms: 1000,
    block_fee_fen: 50,
    ride_cap_fen: 2000,
    day_cap_fen: 4000,
  })
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home')
  await phone.tap('go', 'passes')
  await phone.until('the passes', () => phone.data.offers?.length === 1)
  expect(phone.data.offers[0]).toMatchObject({ name: 'Dear', buy: 'Buy for ¥98.50', facts: ['30 days', '1 s free in all'] })
  phone.modal = false
  await phone.tap('buy', 'dear')
  expect(phone.data.held).toEqual([])
  phone.modal = true
  await phone.tap('buy', 'dear')
  expect(phone.data.held).toHaveLength(1)

  const bike = await demo.aBike()
  phone.rescan(bike.url, 'page', 9)
  await phone.until('the card', () => phone.data.ready)
  expect(phone.data.pass).toContain('Your pass Dear counts here')
  await phone.tap('order')
  await phone.until('riding', () => phone.data.v?.stage === 'riding')
  await new Promise((r) => setTimeout(r, 4500))
  await demo.sim(bike.id, 'close')
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt')
  expect(phone.data.v.receipt.lines.map((l: { title: string }) => l.title)).toContain('Your pass')
  expect(phone.data.v.receipt.sums.map((s: { title: string }) => s.title)).toContain('Still to pay')
  await phone.tap('home')
  await phone.until('the debt', () => phone.route === 'home' && phone.data.debt !== '')
  expect(phone.data.debt).toMatch(/^Unpaid: ¥\d\.\d\d\. Nothing new can start/)

  const another = await demo.aBike()
  phone.rescan(another.url, 'page', 10)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  expect(phone.data.notice).toMatchObject({ code: expect.stringMatching('debt_unpaid|balance_too_low'), do: 'wallet' })
  await phone.tap('wallet')
  await phone.until('the wallet', () => phone.route === 'wallet' && phone.data.loaded)
  expect(phone.data.debts).toEqual([expect.objectContaining({ why: 'Your next top-up pays this first.' })])
  expect(phone.data.payDebt.label).toMatch(/^Pay ¥/)
  await phone.tap('topUp', 2000)
  expect(phone.data.say).toBe('¥20.00 has arrived.')
  expect(phone.data.debts).toEqual([])
})
