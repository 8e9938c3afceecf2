// Keeping a bike: before a ride, by reserving it; within one, by pausing. Against a real installation.

import { Demo } from '../demo'
import type { Phone } from '../wx'

let demo: Demo
beforeAll(async () => {
  demo = await Demo.start()
})
afterAll(() => demo.stop())

const stage = (p: Phone, want: string) => p.until(want, () => p.data.v?.stage === want)

test('a pause: asked for, closed, opened again, ended; killed and reopened on the way', async () => {
  const phone = demo.phone({ phone: '000' })
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  await stage(phone, 'riding')
  await phone.tap('pause')
  await stage(phone, 'closing')
  expect(phone.data.v.title).toBe('Close the lock now to pause')
  await phone.tap('resume') // changed their mind
  await stage(phone, 'riding')
  await phone.tap('pause')
  await stage(phone, 'closing')
  await demo.sim(bike.id, 'close')
  await stage(phone, 'paused')
  expect(phone.data.v.text).toMatch(/^It stays yours until \d\d:\d\d:\d\d/)
  phone.kill()
  phone.launch()
  await stage(phone, 'paused')
  expect(phone.data.phone).toBe('400-000-0000') // the venue's own, though nothing was scanned since
  phone.kill()
  phone.launchScan(bike.url) // a scan of one's own paused bike
  await stage(phone, 'paused')
  await demo.sim(bike.id, 'jam', { jammed: true })
  await phone.tap('resume')
  await phone.until('why it did not open', () => phone.data.v?.warning?.startsWith('It did not open'))
  expect(phone.data.v.stage).toBe('paused')
  await phone.tap('end')
  await stage(phone, 'receipt')
})

test('a paused bike is opened again, and the ride goes on', async () => {
  const phone = demo.phone()
  const bike = await demo.aBike()
  phone.launchScan(bike.url)
  await phone.until('the card', () => phone.data.ready)
  await phone.tap('order')
  await stage(phone, 'riding')
  await phone.tap('pause')
  await demo.sim(bike.id, 'close')
  await stage(phone, 'paused')
  await phone.tap('resume')
  await stage(phone, 'riding')
  await demo.sim(bike.id, 'close')
  await stage(phone, 'receipt')
})

test('a bike is reserved from the map, kept from others, given up, and used', async () => {
  const ada = demo.phone()
  const ben = demo.phone()
  const [kept, other] = [await demo.aBike(), await demo.aBike()]
  ada.answers['scope.userLocation'] = true
  ada.position = { latitude: 31.024, longitude: 121.4345 }
  ada.launch()
  await ada.until('the start page', () => ada.route === 'home' && ada.data.live === '')
  await ada.tap('near')
  expect(ada.data.list.map((d: { id: string }) => d.id)).toEqual(expect.arrayContaining([kept.id, other.id]))
  await ada.tap('reserve', other.id)
  await ada.until('the reservation', () => ada.data.reservation)
  await ada.tap('release', ada.data.reservation.id)
  await ada.until('given up', () => ada.data.reservation === null)
  await ada.tap('reserve', kept.id)
  await ada.until('the reservation', () => ada.data.reservation?.title.includes('Reserved'))
  expect(ada.data.reservation.text).toMatch(/^Yours until \d\d:\d\d/)
  ada.kill()
  ada.launch()
  await ada.until('the reservation, again', () => ada.data.reservation)
  await ada.tap('route', ada.data.reservation.route)
  expect(ada.maps).toHaveLength(1)

  ben.launchScan(kept.url)
  await ben.until('a refusal', () => ben.data.notice)
  expect(ben.data.notice).toMatchObject({ code: 'outlet_reserved', do: 'scan' })

  ada.rescan(kept.url, 'page', 8)
  await ada.until('the card', () => ada.data.ready)
  await ada.tap('order')
  await stage(ada, 'riding')
  await demo.sim(kept.id, 'close')
  await stage(ada, 'receipt')
  await ada.tap('home')
  await ada.until('nothing is reserved', () => ada.route === 'home' && ada.data.reservation === null)
})
