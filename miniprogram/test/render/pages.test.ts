// Pages and components as miniprogram-simulate renders them: what is in the wxml reaches the screen, and taps come back.

import * as fs from 'node:fs'
import * as path from 'node:path'
import { FakePlatform } from '../fake'
import { anOrder } from '../orders'

// eslint-disable-next-line @typescript-eslint/no-require-imports
const simulate = require('miniprogram-simulate')
const dist = path.join(__dirname, '../../dist')
// eslint-disable-next-line @typescript-eslint/no-require-imports
const { config } = require(path.join(dist, 'config'))

const pages = JSON.parse(fs.readFileSync(path.join(dist, 'app.json'), 'utf8')).pages as string[]
const tariff = {
  id: 'bike',
  version: 1,
  name: 'Bike',
  least_fen: 150,
  unlock_fee_fen: 100,
  text: { en: ['1 yuan to unlock'], 'zh-CN': ['开锁 1 元'] },
}
const venue = { id: 'campus', name: 'Campus', phone: '400-1' }
const bike = {
  ticket: 't',
  expires_at: new Date(1_700_000_100_000).toISOString(),
  tariff,
  device: {
    id: 'bike-1',
    kind: 'lock',
    outlet: 1,
    number: '5948-6518-7627-52',
    availability: 'available',
    venue,
    battery: 80,
    code: 'printed',
  },
}
const pump = {
  ...bike,
  tariff: {
    ...tariff,
    fuel: {
      grades: [
        { grade: '92', name: '92#', unit_price: 7850 },
        { grade: '95', name: '95#', unit_price: 8390 },
      ],
      least_amount_fen: 1000,
      most_amount_fen: 100000,
      most_millilitres: 200000,
    },
  },
  device: {
    ...bike.device,
    id: 'pump-1',
    kind: 'pump',
    nozzles: [
      { nozzle: 1, grade: '92' },
      { nozzle: 2, grade: '95' },
    ],
  },
}
const settled = anOrder({
  state: 'settled',
  charged_fen: 250,
  quote: {
    total_fen: 250,
    lines: [{ kind: 'unlock', quantity: 1, unit_fen: 100, amount_fen: 250, tariff: 'bike@1', evidence: ['e'] }],
  },
})

let order = anOrder()
let scan: object = bike
let refuse = ''
let number: object = { given: false }

function answer(url: string): object {
  const at = url.slice(config.api.length).split('?')[0]
  if (refuse && at === refuse) return { status: 409, body: { code: 'outlet_busy', detail: '' } }
  const bodies: Record<string, unknown> = {
    '/v1/me': {
      id: 'r',
      live_orders: [],
      reservation: {
        id: 'r1',
        device: 'bike-1',
        outlet: 1,
        kind: 'lock',
        venue,
        number: '1234',
        lat: 31,
        lng: 121,
        state: 'held',
        created_at: '2026-11-23T08:00:00Z',
        expires_at: '2026-11-23T08:10:00Z',
        free_until: '2026-11-23T08:05:00Z',
        fee_per_minute_fen: 20,
        fee_fen: 0,
      },
    },
    '/v1/me/debts': {
      debts: [{ order: '0199', amount_fen: 100, blocks: true, by: 'topup', since: '2026-11-23T08:00:00Z' }],
      total_fen: 100,
    },
    '/v1/me/wallet': { balance_fen: 5000, held_fen: 100, available_fen: 4900, debt_fen: 100 },
    '/v1/me/payments': {
      payments: [
        {
          id: 'p',
          for: 'topup',
          road: 'transaction',
          state: 'paid',
          amount_fen: 2000,
          moved_fen: 2000,
          created_at: '2026-11-23T08:00:00Z',
        },
      ],
    },
    '/v1/me/orders': { orders: [settled], next_cursor: 'c' },
    '/v1/me/passes': {
      held: [{ id: 'h', name: 'Month', until: '2026-12-23T08:00:00Z', budget_left_ms: 60000 }],
      offered: [{ id: 'month', name: 'Month', kind: 'lock', days: 30, price_fen: 1900, unlock_free: true, on_sale: true }],
    },
    '/v1/me/phone': number,
    '/v1/nearby': {
      devices: [
        { id: 'bike-7', kind: 'lock', lat: 31, lng: 121, distance_m: 40, battery: 70, outlets_available: 1, venue: 'campus' },
      ],
      venues: [{ ...venue, lat: 31, lng: 121 }],
    },
    '/v1/scans': scan,
    '/v1/orders': order,
    '/v1/orders/0199': order,
  }
  return { headers: { etag: `"${order.state}"` }, body: bodies[at ?? ''] }
}

type Any = any
let platform: FakePlatform

/** Modules are made anew for each: a component defines itself when its file runs, and jest would run that once. */
function load(what: string): { id: string; Unlatch: Any } {
  jest.resetModules()
  const id = simulate.load(path.join(dist, what), { compiler: 'simulate', rootPath: dist })
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return { id, Unlatch: require(path.join(dist, 'lib/unlatch')).Unlatch }
}

async function open(
  page: string,
  query: object,
  language: 'en' | 'zh-CN' = 'en',
  prepare: (app: Any) => void = () => undefined,
): Promise<Any> {
  platform = new FakePlatform((c) => answer(c.url))
  platform.kept = 'T'
  platform.language = () => language
  const { id, Unlatch } = load(page)
  const app = { unlatch: new Unlatch(platform, config) }
  prepare(app.unlatch)
  ;(global as Any).getApp = () => app
  ;(global as Any).getCurrentPages = () => []
  ;(global as Any).wx = {}
  const c = simulate.render(id)
  c.attach((global as Any).document.createElement('div'))
  void c.instance.onLoad(query)
  c.instance.onShow()
  await platform.pass(300)
  return c
}

const text = (c: Any) => (c.dom.textContent as string).replace(/\s+/g, ' ')
const controls = ['main', 'plain', 'grave', 'choice', 'line', 'input']
const button = (c: Any, what: string): Any =>
  controls.flatMap((k) => c.querySelectorAll(`.${k}`)).find((e: Any) => e.dom.getAttribute('data-do') === what)

async function tap(c: Any, what: string): Promise<void> {
  const e = button(c, what)
  if (!e) throw new Error(`no ${what} in ${c.dom.innerHTML}`)
  e.dispatchEvent('tap')
  await new Promise((r) => setTimeout(r, 20))
  await platform.pass(300)
}

beforeEach(() => {
  order = anOrder()
  scan = bike
  refuse = ''
  number = { given: false }
})

describe.each(['en', 'zh-CN'] as const)('in %s', (language) => {
  test.each(pages)('%s is rendered with words and without holes', async (page) => {
    const query = page.includes('order') ? { id: '0199' } : page.includes('device') ? { scene: '59486518762752' } : {}
    const c = await open(page, query, language)
    expect(text(c).length).toBeGreaterThan(10)
    expect(c.dom.innerHTML.replace(/ data-value="undefined"/g, '')).not.toMatch(/\{\{|undefined|\[object|NaN|>null/)
    if (language === 'zh-CN') expect(text(c)).toMatch(/[\u4e00-\u9fff]/)
    else expect(text(c)).not.toMatch(/[\u4e00-\u9fff]/)
  })
})

test('a bike: its card, its price, one tap', async () => {
  const c = await open('pages/device/index', { scene: '59486518762752' })
  for (const said of [
    'Bike',
    'Free',
    'No. 5948-6518-7627-52',
    'Campus',
    'Battery 80 %',
    '1 yuan to unlock',
    'Unlock for ¥1.50',
    'Wallet (¥49.00)',
  ])
    expect(text(c)).toContain(said)
  await tap(c, 'order')
  expect(platform.calls.some((x) => x.method === 'POST' && x.url.endsWith('/v1/orders'))).toBe(true)
  expect(platform.went).toEqual(['replace /pages/order/index'])
})

test('a pump: grades with prices, amounts, full tank', async () => {
  scan = pump
  const c = await open('pages/device/index', { scene: '59486518762752' })
  for (const said of ['92# ¥7.85 a litre', '95# ¥8.39 a litre', '¥100.00', 'Full tank', 'Release the pump: ¥100.00'])
    expect(text(c)).toContain(said)
  await tap(c, 'full')
  expect(text(c)).toContain('At most ¥1000.00 is set aside')
})

test('a device that cannot be used offers another one and a number to call', async () => {
  scan = { ...bike, device: { ...bike.device, availability: 'in_use' } }
  const c = await open('pages/device/index', { scene: '59486518762752' })
  expect(text(c)).toContain('In use')
  expect(button(c, 'order')).toBeUndefined()
  expect(text(c)).toContain('Call 400-1')
})

test('a failure has a title, a sentence, a way on and a number to call', async () => {
  refuse = '/v1/scans'
  const c = await open('pages/device/index', { scene: '59486518762752' })
  for (const said of ['In use', 'Somebody else is using it', 'Scan a code', `Call ${config.phone}`])
    expect(text(c)).toContain(said)
  refuse = '/v1/orders/0199'
  const o = await open('pages/order/index', { id: '0199' })
  expect(text(o)).toContain('In use')
})

test('an order shows its state, and its buttons work', async () => {
  const c = await open('pages/order/index', { id: '0199' })
  expect(text(c)).toContain('Asking the lock to open')
  expect(text(c)).not.toContain('Unlocked')
  order = anOrder({ state: 'active', version: 2, running: { seconds: 65, fen: 200, at: new Date(platform.at).toISOString() } })
  await platform.pass(3000)
  for (const said of ['Unlocked', '1:0', '¥2.00 so far']) expect(text(c)).toContain(said)
  await tap(c, 'ring')
  expect(platform.calls.some((x) => x.url.endsWith('/v1/orders/0199/ring'))).toBe(true)
  order = { ...settled, version: 3 }
  await platform.pass(3000)
  for (const said of ['Receipt', 'Unlocking', 'once per ride', 'Total', '¥2.50', 'Signed by the device: 1'])
    expect(text(c)).toContain(said)
})

test('the start page shows what is unpaid and what is reserved', async () => {
  const c = await open('pages/home/index', {})
  for (const said of ['Unpaid: ¥1.00', 'Reserved: Bike 1234', 'then ¥0.20 a minute']) expect(text(c)).toContain(said)
  await tap(c, 'release')
  expect(platform.calls.some((x) => x.url.endsWith('/v1/reservations/r1/cancel'))).toBe(true)
})

test('what is on the map is a list too', async () => {
  const c = await open('pages/home/index', {})
  platform.locate = (async () => ({ lat: 31, lng: 121, datum: 'gcj02' })) as never
  await tap(c, 'near')
  for (const said of ['Near you', 'Bike bike-7', '40 m', 'battery 70 %', 'Reserve']) expect(text(c)).toContain(said)
  expect(c.dom.querySelector('wx-map, map')).not.toBeNull()
})

test('the number is given by WeChat’s button and by nothing else, and taken back by an ordinary one', async () => {
  const c = await open('pages/about/index', {})
  expect(text(c)).toContain('Only if you like: so that staff find you when you call.')
  expect(button(c, 'takePhone')).toBeUndefined()
  const give = button(c, 'givePhone')
  await tap(c, 'givePhone')
  expect(platform.calls.some((x) => x.method === 'POST')).toBe(false)
  number = { given: true, ends: '1234' }
  give.dispatchEvent('getphonenumber', { detail: { errMsg: 'getPhoneNumber:ok', code: 'C' } })
  await platform.pass(300)
  expect(platform.calls.filter((x) => x.method === 'POST').map((x) => x.body)).toEqual(['{"code":"C"}'])
  expect(text(c)).toContain('it ends with 1234')
  expect(button(c, 'givePhone')).toBeUndefined()
  await tap(c, 'takePhone')
  expect(platform.calls.some((x) => x.url.endsWith('/v1/me/phone/forget'))).toBe(true)
  expect(text(c)).toContain('Your number is taken back')
})

test('the rider’s own text size is the page’s', async () => {
  const c = await open('pages/about/index', {}, 'en', (app) => (app.platform.textScale = () => 1.5))
  expect(c.dom.innerHTML).toContain('font-size: 48px')
})

test('the consent window answers WeChat', async () => {
  let ask: Any
  const { id, Unlatch } = load('components/privacy/index')
  ;(global as Any).getApp = () => ({ unlatch: new Unlatch(new FakePlatform(() => ({})), config) })
  ;(global as Any).wx = { onNeedPrivacyAuthorization: (f: Any) => (ask = f) }
  const c = simulate.render(id)
  c.attach((global as Any).document.createElement('div'))
  c.instance.listen()
  expect(text(c)).toBe('')
  const answers: Any[] = []
  ask((a: Any) => answers.push(a))
  expect(text(c)).toContain('Before we go on')
  c.instance.agree()
  ask((a: Any) => answers.push(a))
  c.instance.refuse()
  expect(answers).toEqual([{ event: 'agree', buttonId: 'agree' }, { event: 'disagree' }])
  expect(text(c)).toBe('')
})
