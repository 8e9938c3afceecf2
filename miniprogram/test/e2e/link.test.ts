// A bad link, a lock without network, a map: against a real installation.

import { Demo } from '../demo'
import { SlowLink } from '../slow'

let demo: Demo
beforeAll(async () => {
  demo = await Demo.start()
})
afterAll(() => demo.stop())

test('on half a second of latency and 20 kB a second a ride works, and scan to riding takes less than 30 kB', async () => {
  const link = await SlowLink.start(demo.ready.http, { latency: 500, rate: 20_000, stall: 1200, loss: 1 / 20, seed: 7 })
  try {
    const phone = demo.phone()
    phone.via = link.port
    const bike = await demo.aBike()
    const began = Date.now()
    phone.launchScan(bike.url)
    await phone.until('the card', () => phone.data.ready, 20_000)
    await phone.tap('order')
    await phone.until('riding', () => phone.data.v?.stage === 'riding', 20_000)
    const bytes = link.bytes.up + link.bytes.down
    expect(bytes).toBeGreaterThan(2000)
    expect(bytes).toBeLessThan(30_000)
    expect(Date.now() - began).toBeLessThan(20_000)
    await demo.sim(bike.id, 'close')
    await phone.until('the receipt', () => phone.data.v?.stage === 'receipt', 20_000)
    expect(phone.peak).toBeLessThanOrEqual(4)
    process.stdout.write(`scan to riding: ${bytes} bytes, ${phone.requests.length} requests in all\n`)
  } finally {
    await link.stop()
  }
})

test('a link that goes and comes: said, and healed by itself', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  await phone.until('riding', () => phone.data.v?.stage === 'riding')
  phone.disconnect()
  await phone.until('said', () => phone.data.offline === true)
  const before = phone.requests.length
  await demo.sim(bike.id, 'close')
  await new Promise((r) => setTimeout(r, 3000))
  expect(phone.requests.length - before).toBeLessThanOrEqual(3)
  phone.online = true
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt', 20_000)
  expect(phone.data.offline).toBe(false)
})

test('no connection at all at the scan: said, and one tap tries again', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home' && phone.data.live === '')
  phone.kill()
  phone.world.loginCode = () => new Promise(() => undefined)
  phone.storage.clear()
  phone.world.loginCode = demo.phone().world.loginCode
  phone.lose['/v1/scans'] = 1
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  expect(phone.requests.filter((r) => r.path === '/v1/scans')).toHaveLength(2)
})

test('the map asks for the location when it is opened, and not before', async () => {
  const phone = demo.phone()
  phone.answers['scope.userLocation'] = true
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home' && phone.data.live === '')
  expect(phone.asked).toEqual([])
  await phone.tap('near')
  expect(phone.asked).toEqual(['scope.userLocation'])
  expect(phone.data.list.length).toBeGreaterThan(3)
  expect(phone.data.markers.length).toBeGreaterThanOrEqual(phone.data.list.length)
  expect(phone.data.list[0].facts[0]).toMatch(/m$/)
  await phone.tap('marker', phone.data.list[1].mark)
  expect(phone.data.list[1].chosen).toBe(true)
  await phone.tap('route', phone.data.list[0].route)
  expect(phone.maps).toHaveLength(1)
  // Allowed once, a scan knows the distance.
  const bike = await demo.aBike()
  phone.kill()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  expect(phone.data.card.facts.join()).toMatch(/away/)
})

test('location refused: everything else works', async () => {
  const phone = demo.phone()
  phone.answers['scope.userLocation'] = false
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home' && phone.data.live === '')
  await phone.tap('near')
  expect(phone.data.notice).toMatchObject({ code: 'denied', do: 'settings' })
  const bike = await demo.aBike()
  phone.rescan(bike.url, 'page', 3)
  await phone.until('the card', () => phone.data.ready)
})

test('consent to the privacy terms: asked in the app’s own window; refused, the rest goes on', async () => {
  const phone = demo.phone()
  phone.privacy = 'unasked'
  phone.answers['scope.userLocation'] = true
  phone.launch()
  await phone.until('the start page', () => phone.route === 'home' && phone.data.live === '')
  const no = phone.tap('near')
  await phone.until('the window', () => phone.page?.children.some((c) => c.data.open))
  await phone.consent(false)
  await no
  expect(phone.data.notice.code).toBe('privacy')
  const yes = phone.tap('near')
  await phone.until('the window', () => phone.page?.children.some((c) => c.data.open))
  await phone.consent(true)
  await yes
  expect(phone.data.near).toBe(true)
  phone.privacy = 'undeclared'
  await phone.tap('near')
  expect(phone.data.notice.code).toBe('privacy')
})

test('a phone number: refused, given once the terms are agreed to, found by staff, and taken back', async () => {
  const phone = demo.phone()
  const found = async () =>
    (await demo.staff<{ riders: unknown[] }>('POST', '/v1/operator/riders/find', { phone: '138 0000 1234', reason: 'called' })).riders
      .length
  phone.launch('pages/about/index')
  await phone.until('the button', () => phone.data.number?.give)
  phone.phoneSheet = 'deny'
  await phone.tapPhoneButton()
  expect([phone.data.heard, phone.data.notice]).toEqual(['You gave no number. Everything works without it.', null])
  phone.phoneSheet = 'no quota'
  await phone.tapPhoneButton()
  expect(phone.data.notice.code).toBe('withheld')
  phone.phoneSheet = 'give'
  phone.privacy = 'undeclared'
  await phone.tapPhoneButton()
  expect(phone.data.notice.code).toBe('privacy')
  expect(await found()).toBe(0)

  phone.privacy = 'unasked'
  phone.lose['/v1/me/phone'] = 1 // WeChat's code is used, and the answer gets lost
  const giving = phone.tapPhoneButton()
  await phone.consent(true)
  await giving
  expect(phone.data.number).toMatchObject({ give: '', take: 'Take my number back' })
  expect(phone.data.number.text).toContain('ends with 1234')
  expect(phone.requests.filter((r) => r.method === 'POST' && r.path === '/v1/me/phone')).toHaveLength(2)
  expect(await found()).toBe(1)
  expect([...phone.storage.keys()]).toEqual(['token'])

  phone.kill()
  phone.launch('pages/about/index')
  await phone.until('the number, again', () => phone.data.number?.take)
  expect(phone.data.number.text).toContain('ends with 1234')
  await phone.tap('takePhone')
  expect(phone.data.number).toMatchObject({ give: 'Give my number', take: '' })
  expect(await found()).toBe(0)
})

test('large type is as large as the rider’s own', async () => {
  const phone = demo.phone()
  phone.fontScale = 1.5
  phone.language = 'zh_CN'
  phone.launch()
  await phone.until('the start page', () => phone.data.live === '')
  expect(phone.data.size).toBe(48)
  expect(phone.data.t.home.scan).toBe('扫码')
})

test('a lock without network is ridden over Bluetooth, from the card to the receipt', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  const lock = demo.overBluetooth(bike.id)
  phone.peripherals = [{ ...demo.overBluetooth('bike-999'), deviceId: 'other' }, lock]
  await demo.sim(bike.id, 'network', { do: 'off' })
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order') // it was heard a moment ago: the command waits for it
  await phone.until('Bluetooth is offered', () => phone.data.v?.buttons.some((b: { do: string }) => b.do === 'bluetooth'), 20_000)
  await phone.tap('bluetooth')
  await phone.until('riding', () => phone.data.v?.stage === 'riding', 20_000)
  expect(phone.data.v.title).toBe('Unlocked')
  expect(Math.max(...phone.writes)).toBeLessThanOrEqual(20)
  expect(phone.tornWrites).toBe(0)
  await demo.sim(bike.id, 'close')
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt', 20_000)
})

test('out of reach in the middle: said; near again, the end is carried home', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  const lock = demo.overBluetooth(bike.id)
  phone.peripherals = [lock]
  await demo.sim(bike.id, 'network', { do: 'off' })
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  await phone.until('Bluetooth is offered', () => phone.data.v?.buttons.some((b: { do: string }) => b.do === 'bluetooth'), 20_000)
  phone.bluetoothOn = false
  await phone.tap('bluetooth')
  expect(phone.data.notice.title).toBe('Bluetooth is off')
  phone.bluetoothOn = true
  await phone.tap('bluetooth')
  await phone.until('riding', () => phone.data.v?.stage === 'riding', 20_000)
  phone.outOfReach(lock)
  await phone.until('said', () => phone.data.notice?.code === 'ble_lost')
  await demo.sim(bike.id, 'close')
  phone.kill()
  lock.reachable = true
  phone.launch()
  await phone.until('riding, as far as anybody knows', () => phone.data.v?.stage === 'riding')
  await phone.tap('bluetooth')
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt', 20_000)
})

test('a lock that nobody heard for an hour: the card says so, and one tap opens it over Bluetooth', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  const lock = demo.overBluetooth(bike.id)
  phone.peripherals = [lock]
  await demo.sim(bike.id, 'network', { do: 'off' })
  demo.forgets(bike.id)
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  expect(phone.data).toMatchObject({
    usable: true,
    go: 'Unlock by Bluetooth',
    card: { state: 'No contact right now', free: false },
  })
  expect(phone.data.bluetooth).toContain('Your phone can carry the command')
  await phone.tap('order')
  await phone.until('riding', () => phone.data.v?.stage === 'riding', 20_000)
  expect(phone.requests.some((r) => r.path.endsWith('/relay'))).toBe(true)
  await demo.sim(bike.id, 'close')
  await phone.until('the receipt', () => phone.data.v?.stage === 'receipt', 20_000)
  await phone.until('the lock was told', () => !phone.data.v?.warning, 20_000)
})
