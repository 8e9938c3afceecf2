// The app's own use of WeChat's functions, on the double: limits, refusals, the background.

import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import { faultOf, phoneCode } from '../../src/lib/wechat'
import { Phone, type Peripheral, type World } from '../wx'

const world: World = { loginCode: async () => 'c', pay: async () => 'ok', confirm: async () => undefined }
let server: http.Server
let base = ''
let open = 0
let most = 0
let slow = 0

beforeAll(async () => {
  server = http.createServer((req, res) => {
    open++
    most = Math.max(most, open)
    setTimeout(() => {
      open--
      res.setHeader('Content-Type', 'application/json')
      res.setHeader('ETag', '"v1"')
      res.end(req.url === '/v1/login' ? '{"token":"T"}' : '{"ok":true}')
    }, slow)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => new Promise((done) => server.close(done)))

let phone: Phone
beforeEach(() => {
  phone = new Phone(world, { api: base })
  slow = 0
  open = 0
  most = 0
})
afterEach(() => phone.close())

/** The app's Platform, as the compiled app made it. */
function platform(): any {
  phone.launch('pages/about/index')
  return (phone as any).app.unlatch.platform
}

test('of WeChat’s refusals each has its kind', () => {
  expect(faultOf({ errMsg: 'getLocation:fail auth deny' }).kind).toBe('denied')
  expect(faultOf({ errMsg: 'getLocation:fail:auth denied' }).kind).toBe('denied')
  expect(faultOf({ errMsg: 'getLocation:fail api scope is not declared in the privacy agreement', errno: 112 }).kind).toBe(
    'privacy',
  )
  expect(faultOf({ errMsg: 'x:fail', errno: 104 }).kind).toBe('privacy')
  expect(faultOf({ errMsg: 'requestPayment:fail cancel' }).kind).toBe('cancelled')
  expect(faultOf({ errMsg: 'chooseMedia:fail cancel' }).kind).toBe('cancelled')
  expect(faultOf({ errMsg: 'request:fail interrupted', errno: 600003 }).kind).toBe('interrupted')
  expect(faultOf({ errMsg: 'request:fail timeout' }, 'network').kind).toBe('network')
  expect(faultOf(undefined).kind).toBe('failed')
})

test('the phone button gives a code, or says why not', () => {
  expect(phoneCode({ errMsg: 'getPhoneNumber:ok', code: 'c', encryptedData: 'x' })).toBe('c')
  for (const [detail, kind] of [
    [{ errMsg: 'getPhoneNumber:fail user deny' }, 'cancelled'],
    [{ errMsg: 'getPhoneNumber:fail:user deny' }, 'cancelled'],
    [{ errMsg: 'getPhoneNumber:fail:user cancel' }, 'cancelled'],
    [{ errMsg: 'getPhoneNumber:fail no quota', errno: 1400001 }, 'withheld'],
    [{ errMsg: 'getPhoneNumber:fail', errno: 1400001 }, 'withheld'],
    [{ errMsg: 'getPhoneNumber:fail no permission' }, 'withheld'],
    [{ errMsg: 'getPhoneNumber:fail jsapi has no permission' }, 'withheld'],
    [{ errMsg: 'getPhoneNumber:fail privacy permission is not authorized', errno: 104 }, 'privacy'],
    [{ errMsg: 'getPhoneNumber:fail api scope is not declared in the privacy agreement', errno: 112 }, 'privacy'],
    [{ errMsg: 'getPhoneNumber:ok', encryptedData: 'x', iv: 'y' }, 'unsupported'],
    [{ errMsg: 'getPhoneNumber:fail Error: the number bound needs to be verified' }, 'failed'],
    [undefined, 'failed'],
  ] as const)
    expect({ detail, fault: phoneCode(detail) }).toMatchObject({ detail, fault: { kind } })
})

test('at most ten requests run at once; the others wait', async () => {
  slow = 60
  const p = platform()
  const all = Array.from(
    { length: 25 },
    (_, i) => p.request({ method: 'GET', url: `${base}/a${i}`, headers: {}, timeout: 5000 }).answer,
  )
  const answers = await Promise.all(all)
  expect(answers.every((a: any) => a.status === 200 && a.body.ok && a.headers.etag === '"v1"')).toBe(true)
  expect(most).toBeLessThanOrEqual(10)
})

test('what runs when the app is suspended is interrupted, and told only when it is back', async () => {
  slow = 400
  phone.background = 100
  const p = platform()
  let told = ''
  p.request({ method: 'GET', url: `${base}/a`, headers: {}, timeout: 5000 }).answer.catch(
    (e: { kind: string }) => (told = e.kind),
  )
  phone.hide()
  await new Promise((r) => setTimeout(r, 300))
  expect(told).toBe('')
  phone.show()
  await new Promise((r) => setTimeout(r, 20))
  expect(told).toBe('interrupted')
})

test('short of five seconds in the background nothing is cut', async () => {
  slow = 150
  const p = platform()
  const answer = p.request({ method: 'GET', url: `${base}/a`, headers: {}, timeout: 5000 }).answer
  phone.hide()
  await new Promise((r) => setTimeout(r, 50))
  phone.show()
  expect((await answer).status).toBe(200)
})

test('a server that does not answer in time, and one that is not there', async () => {
  slow = 500
  const p = platform()
  await expect(p.request({ method: 'GET', url: `${base}/a`, headers: {}, timeout: 100 }).answer).rejects.toMatchObject({
    kind: 'network',
  })
  await expect(
    p.request({ method: 'GET', url: 'http://127.0.0.1:1/a', headers: {}, timeout: 1000 }).answer,
  ).rejects.toMatchObject({ kind: 'network' })
  phone.online = false
  await expect(p.request({ method: 'GET', url: `${base}/a`, headers: {}, timeout: 1000 }).answer).rejects.toMatchObject({
    kind: 'network',
  })
})

test('precise location that is not opened for this app is a refusal, and a fuzzy build does without', async () => {
  phone.answers = { 'scope.userLocation': true, 'scope.userFuzzyLocation': true }
  phone.fuzzyOnly = true
  await expect(platform().locate()).rejects.toMatchObject({ kind: 'denied' })
  const fuzzy = new Phone(world, { api: base, location: 'fuzzy' })
  fuzzy.answers = { 'scope.userFuzzyLocation': true }
  ;(fuzzy as any).appJson.requiredPrivateInfos = ['getFuzzyLocation']
  fuzzy.launch('pages/about/index')
  const p = (fuzzy as any).app.unlatch.platform
  expect(await p.mayLocate()).toBe(false)
  expect(await p.locate()).toMatchObject({ datum: 'gcj02' })
  expect(await p.mayLocate()).toBe(true)
  fuzzy.close()
})

test('subscribe messages: accepted, refused; never more than three', async () => {
  const p = platform()
  expect(await p.subscribe(['a', 'b'])).toBe(true)
  phone.subscription = 'reject'
  expect(await p.subscribe(['a', 'b'])).toBe(false)
  expect(await p.subscribe(['a', 'b', 'c', 'd'])).toBe(false)
})

test('a large photo is made smaller before it goes out', async () => {
  phone.files.set('/big.jpg', Buffer.alloc(6 * 1024 * 1024))
  const small = await platform().photo()
  expect(phone.files.get(small)?.length).toBeLessThan(400_000)
})

describe('Bluetooth', () => {
  const lock = (change: Partial<Peripheral> = {}): Peripheral => ({
    deviceId: 'AA:BB',
    localName: 'bike-1',
    service: '3c4cd4a3-ff48-4e5a-a37f-8719f6dfef2e',
    write: '3c4cd4a4-ff48-4e5a-a37f-8719f6dfef2e',
    notify: '3c4cd4a5-ff48-4e5a-a37f-8719f6dfef2e',
    reachable: true,
    written: () => undefined,
    connected: () => undefined,
    disconnected: () => undefined,
    ...change,
  })

  test('found by name, connected, listened to, written to', async () => {
    const got: number[][] = []
    let say: ((f: Uint8Array) => void) | undefined
    phone.peripherals = [
      lock({ deviceId: 'other', localName: 'bike-2' }),
      lock({ written: (f) => got.push([...f]), connected: (n) => (say = n) }),
    ]
    const r = platform().radio
    await r.open()
    const id = await r.find(phone.peripherals[1].service, 'bike-1', 1000)
    expect(id).toBe('AA:BB')
    await r.connect(id, 1000)
    await r.connect(id, 1000) // connected already is as good
    const { write, notify } = await r.discover(id, phone.peripherals[1].service)
    const heard: number[][] = []
    say?.(Uint8Array.of(9)) // before anybody listens: lost
    await r.listen(id, phone.peripherals[1].service, notify, (b: Uint8Array) => heard.push([...b]))
    say?.(Uint8Array.of(1, 2))
    await r.write(id, phone.peripherals[1].service, write, Uint8Array.of(3))
    expect([heard, got]).toEqual([[[1, 2]], [[3]]])
    await expect(r.write(id, phone.peripherals[1].service, write, new Uint8Array(21))).rejects.toMatchObject({
      kind: 'ble_other',
      code: 10008,
    })
    await r.close(id)
    await expect(r.write(id, phone.peripherals[1].service, write, Uint8Array.of(3))).rejects.toMatchObject({
      kind: 'ble_other',
      code: 10000,
    })
  })

  test('off, not found, not reachable, without our service, lost', async () => {
    const r = platform().radio
    phone.bluetoothOn = false
    await expect(r.open()).rejects.toMatchObject({ kind: 'ble_off', code: 10001 })
    phone.bluetoothOn = true
    await r.open()
    await expect(r.find(lock().service, 'bike-1', 100)).rejects.toMatchObject({ kind: 'ble_not_found', code: 10002 })
    phone.peripherals = [lock({ reachable: false })]
    await expect(r.connect('AA:BB', 100)).rejects.toMatchObject({ kind: 'ble_connect', code: 10003 })
    phone.peripherals = [lock({ service: '00001111-0000-1000-8000-00805f9b34fb' })]
    await r.connect('AA:BB', 100)
    await expect(r.discover('AA:BB', lock().service)).rejects.toMatchObject({ kind: 'ble_connect', code: 10004 })
    let lost = 0
    r.onLost(() => lost++)
    phone.outOfReach(phone.peripherals[0])
    expect(lost).toBe(1)
    await expect(r.discover('AA:BB', lock().service)).rejects.toMatchObject({ kind: 'ble_lost', code: 10006 })
  })

  test('without consent to the privacy terms it does not open', async () => {
    phone.privacy = 'undeclared'
    await expect(platform().radio.open()).rejects.toMatchObject({ kind: 'privacy' })
  })
})
