// Rides against a real installation, from the scan to the receipt, with everything that may go wrong on the way.

import { Demo } from '../demo'
import type { Phone } from '../wx'

let demo: Demo
beforeAll(async () => {
  demo = await Demo.start(['--start-deadline', '3s', '--patience', '4s'])
})
afterAll(() => demo.stop())

const riding = (p: Phone) => p.until('riding', () => p.data.v?.stage === 'riding')
const receipt = (p: Phone) => p.until('the receipt', () => p.data.v?.stage === 'receipt')
async function ride(phone: Phone): Promise<{ id: string; url: string }> {
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  return bike
}

test('a scan, one tap, a ride, a receipt', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  expect(phone.data.card.facts).toEqual(expect.arrayContaining(['Willow Campus']))
  expect(phone.data.go).toBe('Unlock for ¥1.50')
  expect(phone.asked).toEqual([]) // nobody is asked for the location in front of a lock
  expect(phone.storage).toEqual(new Map([['token', expect.any(String)]]))
  await phone.tap('order')
  await riding(phone)
  expect(phone.data.v.text).toContain('Close the lock by hand')
  await phone.until('the cost so far', () => phone.data.v.money === '¥1.50 so far')
  await phone.tap('ring')
  expect(phone.toasts).toContain('It should ring now')
  await demo.sim(bike.id, 'close')
  await receipt(phone)
  expect(phone.data.v.receipt.lines[0]).toEqual({ title: 'Unlocking', why: 'once per ride', amount: '¥1.00' })
  expect(phone.data.v.receipt.notes).toContain('Measured by the lock’s own clock.')
  // A lock that was quicker than the first answer skips the asking; nothing else may be skipped or said twice.
  expect(phone.headlines.filter((h) => h !== 'Asking the lock to open')).toEqual(['Unlocked', 'Receipt'])
  expect(phone.peak).toBeLessThanOrEqual(4)
  expect(phone.data.call).toBe('Call 400-000-0000')
  await phone.tap('home')
  await phone.until('the start page', () => phone.route === 'home')
  await phone.tap('go', 'history')
  await phone.until('the history', () => phone.data.rows?.length === 1)
  expect(phone.data.rows[0].amount).toBe('¥1.50')
  await phone.tap('order', phone.data.rows[0].id)
  await receipt(phone)
  expect(phone.storage).toEqual(new Map([['token', expect.any(String)]]))
})

test('two taps are one order', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await Promise.all([phone.tap('order'), phone.tap('order')])
  await riding(phone)
  expect(phone.requests.filter((r) => r.method === 'POST' && r.path === '/v1/orders')).toHaveLength(1)
  await demo.sim(bike.id, 'close')
  await receipt(phone)
})

test('an answer that was lost is asked for again with the same key: one order', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  phone.lose['/v1/orders'] = 2
  await phone.tap('order')
  await riding(phone)
  const placed = phone.requests.filter((r) => r.path === '/v1/orders')
  expect(placed.map((r) => r.status)).toEqual([0, 0, 201])
  expect(new Set(placed.map((r) => r.key)).size).toBe(1)
  await demo.sim(bike.id, 'close')
  await receipt(phone)
  phone.kill()
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home')
  await phone.tap('go', 'history')
  await phone.until('the history', () => phone.data.loaded)
  expect(phone.data.rows).toHaveLength(1)
})

test('killed and reopened at every step, a rider lands where the order is', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  const reopen = () => {
    phone.kill()
    phone.launch()
  }
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  reopen() // after the scan: nothing has happened
  await phone.until('the start page', () => phone.route === 'home' && phone.data.live === '')
  await demo.sim(bike.id, 'network', { do: 'delay', direction: 'up', millis: 1500 })
  phone.rescan(bike.url, 'page', 1)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  await phone.until('the command', () => phone.data.v?.stage === 'starting')
  reopen() // after the order
  await phone.until('the command, again', () => phone.route === 'order' && ['starting', 'riding'].includes(phone.data.v?.stage))
  await demo.sim(bike.id, 'network', { do: 'on' })
  await riding(phone)
  reopen() // while riding
  await riding(phone)
  reopen()
  await demo.sim(bike.id, 'close') // closed while the app starts
  await phone.until(
    'somewhere',
    () => phone.route === 'home' || phone.data.v?.stage === 'receipt' || phone.data.v?.stage === 'riding',
  )
  if (phone.route === 'home') await phone.until('nothing runs', () => phone.data.live === '')
  else await receipt(phone)
  reopen() // after the receipt: the start page, and the receipt in the history
  await phone.until('the start page', () => phone.route === 'home' && phone.data.live === '')
  await phone.tap('go', 'history')
  await phone.until('the history', () => phone.data.rows?.length === 1)
})

test('put away and taken out again, the app goes on; nothing is asked meanwhile', async () => {
  const phone = demo.phone()
  phone.background = 150
  const bike = await ride(phone)
  await riding(phone)
  phone.hide()
  await new Promise((r) => setTimeout(r, 400))
  const before = phone.requests.length
  await demo.sim(bike.id, 'close')
  await new Promise((r) => setTimeout(r, 600))
  expect(phone.requests.length).toBe(before)
  phone.show()
  await receipt(phone)
})

test.each(['page', 'onShow'] as const)('a second scan while the app lives is handled once, told by %s', async (how) => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home')
  phone.rescan(bike.url, how, 77)
  await phone.until('the card', () => phone.route === 'device' && phone.data.ready)
  await new Promise((r) => setTimeout(r, 600))
  expect(phone.requests.filter((r) => r.path === '/v1/scans')).toHaveLength(1)
  phone.hide()
  phone.show() // the same entry once more is no scan
  await new Promise((r) => setTimeout(r, 600))
  expect(phone.requests.filter((r) => r.path === '/v1/scans')).toHaveLength(1)
})

test('in-app scanner, typed number and mini-program code lead to the same card', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  const number = bike.url.slice(-14)
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home')
  phone.camera = [bike.url]
  await phone.tap('scanner')
  await phone.until('the card', () => phone.route === 'device' && phone.data.ready)
  const card = phone.data.card
  phone.pages.at(-1)
  phone.kill()
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home')
  await phone.type('type', number)
  await phone.tap('number', number)
  await phone.until('the card', () => phone.route === 'device' && phone.data.ready)
  expect(phone.data.card).toEqual(card)
  phone.kill()
  phone.launch('pages/device/index', { scene: number }, 1047)
  await phone.until('the card', () => phone.route === 'device' && phone.data.ready)
  expect(phone.data.card).toEqual(card)
  phone.kill()
  phone.launch('pages/device/index', { q: encodeURIComponent('https://elsewhere.example/d/1') }, 1011)
  await phone.until('a refusal', () => phone.data.notice)
  expect(phone.data.notice).toMatchObject({ title: 'Not our code', do: 'scan' })
  expect(phone.requests.filter((r) => r.path === '/v1/scans')).toHaveLength(3)
})

test('a jammed lock: nothing to pay, and why', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  await demo.sim(bike.id, 'jam', { jammed: true })
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  await phone.until('the end', () => phone.data.v?.stage === 'void')
  expect(phone.data.v).toMatchObject({ title: 'Nothing to pay', text: expect.stringContaining('The bolt is stuck') })
  expect(phone.data.call).toBe('Call 400-000-0000')
  await phone.tap('fault')
  await phone.until(
    'the fault page',
    () => phone.route === 'fault' && phone.data.number?.replace(/-/g, '') === bike.url.slice(-14),
  )
})

test('a silent lock: honest words until the end, and nothing to pay', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await demo.sim(bike.id, 'network', { do: 'off' })
  const before = phone.headlines.length
  await phone.tap('order')
  await phone.until('checking', () => phone.data.v?.stage === 'checking')
  expect(phone.data.v.title).toBe('We are checking; you pay only if it opened')
  expect(phone.data.v.text).toMatch(/by \d\d:\d\d:\d\d that it opened/)
  phone.kill()
  phone.launch()
  await phone.until('checking, again', () => phone.data.v?.stage === 'checking')
  await phone.until('the end', () => phone.data.v?.stage === 'void', 20_000)
  expect(phone.headlines.slice(before)).not.toContain('Unlocked')
  expect(phone.data.v.warning).toContain('Whatever it says later, this order stays free of charge')
  await demo.sim(bike.id, 'network', { do: 'on' })
})

test('a lock that is not shut is said so, and a ride cannot be talked to its end', async () => {
  const phone = demo.phone()
  const bike = await ride(phone)
  await riding(phone)
  await phone.tap('end')
  expect(phone.data.notice).toMatchObject({ code: 'still_open', text: expect.stringContaining('Push it until it clicks') })
  await demo.sim(bike.id, 'close')
  await receipt(phone)
})

test('somebody else’s bike is in use; one’s own is the order', async () => {
  const ada = demo.phone()
  const ben = demo.phone()
  const bike = await ride(ada)
  await riding(ada)
  ben.launchScan(bike.url)
  await ben.until('the card or a refusal', () => ben.data.ready || ben.data.notice)
  if (ben.data.ready) expect(ben.data).toMatchObject({ usable: false, card: { state: 'In use' } })
  else expect(ben.data.notice.code).toBe('outlet_busy')
  ada.rescan(bike.url, 'page', 5)
  await riding(ada)
  await demo.sim(bike.id, 'close')
  await receipt(ada)
})
