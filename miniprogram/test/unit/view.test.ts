import * as fs from 'node:fs'
import * as path from 'node:path'
import { toGcj02 } from '../../src/lib/datum'
import { explain, explainCode } from '../../src/lib/explain'
import { clock, distance, litres, parseYuan, span, unitPrice, yuan } from '../../src/lib/format'
import { Fault } from '../../src/lib/platform'
import { receiptOf, refundsOf } from '../../src/lib/receipt'
import type { Order } from '../../src/lib/shapes'
import { viewOf, type Doing } from '../../src/lib/view'
import { languages } from '../../src/lib/words'
import { anOrder } from '../orders'

const { en } = languages
const zh = languages['zh-CN']
const now = Date.parse('2026-11-23T08:00:05Z')
const idle: Doing = { pay: '', relay: '', bluetooth: false, notified: false, notifies: false }
const pump = { kind: 'pump' as const, preset: { grade: '92', amount_fen: 5000 }, hold_fen: 5000 }
const payment = {
  id: 'p',
  for: 'order' as const,
  road: 'transaction' as const,
  state: 'open' as const,
  amount_fen: 5000,
  moved_fen: 0,
  created_at: '',
}

/** Every situation that a rider can be in. */
const situations: Record<string, Order> = {
  pay: anOrder({
    ...pump,
    state: 'pending',
    next: { what: 'wait_for_payment', due_at: '2026-11-23T08:02:00Z' },
    payments: [{ ...payment, request: { timeStamp: '', nonceStr: '', package: '', signType: '', paySign: '' } }],
  }),
  confirm: anOrder({
    state: 'pending',
    next: { what: 'wait_for_confirmation' },
    payments: [{ ...payment, road: 'score', package: 'p' }],
  }),
  relay: anOrder({ state: 'pending', next: { what: 'wait_for_relay' } }),
  starting: anOrder(),
  'starting a pump': anOrder(pump),
  checking: anOrder({ state: 'unresolved', next: { what: 'void_unless_device_answers', due_at: '2026-11-23T08:10:00Z' } }),
  'checking a pump': anOrder({ ...pump, state: 'unresolved', next: { what: 'void_unless_device_answers' } }),
  cancelling: anOrder({ cancelling: true, next: { what: 'wait_for_cancellation' } }),
  'cancelling before the payment': anOrder({ state: 'pending', next: { what: 'wait_for_cancellation' } }),
  riding: anOrder({
    state: 'active',
    active_at: '2026-11-23T08:00:00Z',
    running: { seconds: 4, fen: 150, at: '2026-11-23T08:00:04Z' },
  }),
  'about to pause': anOrder({ state: 'active', pause: { state: 'asked', until: '2026-11-23T08:02:00Z' } }),
  paused: anOrder({ state: 'active', pause: { state: 'paused', until: '2026-11-23T08:15:00Z' } }),
  resuming: anOrder({ state: 'active', pause: { state: 'resuming', until: '2026-11-23T08:15:00Z' } }),
  lift: anOrder({ ...pump, state: 'active' }),
  fuelling: anOrder({
    ...pump,
    state: 'active',
    live: { amount_fen: 1234, millilitres: 1571, at: '', stale: false, state: 'fuelling', proven: false },
  }),
  stopping: anOrder({ ...pump, state: 'active', cancelling: true }),
  deciding: anOrder({ ...pump, state: 'ended' }),
  receipt: anOrder({
    state: 'settled',
    active_at: '2026-11-23T08:00:00Z',
    ended_at: '2026-11-23T08:02:03Z',
    measured: 'within_boot',
    charged_fen: 250,
    quote: {
      total_fen: 250,
      lines: [
        { kind: 'unlock', quantity: 1, unit_fen: 100, amount_fen: 100, tariff: 'bike@1', evidence: ['e1'] },
        { kind: 'time', quantity: 3, unit_fen: 50, amount_fen: 150, tariff: 'bike@1', evidence: ['e1', 'e2'] },
      ],
    },
  }),
  void: anOrder({ state: 'voided', reason: 'failed_jam' }),
  'void, unproven': anOrder({ state: 'voided', unproven: true }),
}

describe.each(Object.entries(situations))('%s', (name, o) => {
  test.each([
    ['en', en],
    ['zh-CN', zh],
  ] as const)('speaks %s, in full', (_, t) => {
    const v = viewOf(o, now, idle, t)
    expect(v.title).not.toBe('')
    expect(JSON.stringify(v)).not.toMatch(/\{\w+\}|undefined|NaN/)
    if (t === zh) expect(v.title).toMatch(/[\u4e00-\u9fff]/)
  })
  test('says unlocked only with the lock’s word', () => {
    const said = JSON.stringify([viewOf(o, now, idle, en), viewOf(o, now, idle, zh)])
    if (o.state !== 'active') expect(said).not.toMatch(/"Unlocked"|"已开锁"|Unlocked at/)
    if (name === 'riding') expect(said).toContain('Unlocked')
  })
})

test('who waits is told what for and how long at most', () => {
  const at = (time: string) => new Date(time).toTimeString().slice(0, 8)
  expect(viewOf(situations.starting, now, idle, en).text).toContain(at('2026-11-23T08:00:15Z'))
  const checking = viewOf(situations.checking, now, idle, en)
  expect(checking.title).toBe('We are checking; you pay only if it opened')
  expect(checking.text).toContain(at('2026-11-23T08:10:00Z'))
})

test('figures that the pump has not signed are marked so', () => {
  const v = viewOf(situations.fuelling, now, idle, en)
  expect([v.figure, v.money]).toEqual(['1.57 L', '¥12.34'])
  expect(v.moneyNote).toMatch(/^Not final/)
  const stale = viewOf(
    { ...situations.fuelling, live: { ...(situations.fuelling.live as NonNullable<Order['live']>), stale: true } },
    now,
    idle,
    en,
  )
  expect(stale.warning).toContain('¥50.00')
})

test('the clock of a ride runs on between two answers, its money does not', () => {
  const a = viewOf(situations.riding, now, idle, en)
  const b = viewOf(situations.riding, now + 60_000, idle, en)
  expect([a.figure, b.figure]).toEqual(['0:05', '1:05'])
  expect(b.money).toBe(a.money)
})

test('Bluetooth is offered where it may help, and not before the lock was silent for a while', () => {
  const offered = (o: Order, at: number, doing: Partial<Doing> = {}) =>
    viewOf(o, at, { ...idle, bluetooth: true, ...doing }, en).buttons.some((b) => b.do === 'bluetooth')
  expect(offered(situations.starting, Date.parse('2026-11-23T08:00:01Z'))).toBe(false)
  expect(offered(situations.starting, now)).toBe(true)
  expect(offered(situations.checking, now)).toBe(true)
  expect(offered(situations.checking, now, { bluetooth: false })).toBe(false)
  expect(offered(situations.checking, now, { relay: 'carrying' })).toBe(false)
  expect(offered({ ...situations.riding, relay: { send: [] } }, now)).toBe(true)
})

test('a receipt explains each line and how it was proved', () => {
  const r = receiptOf(situations.receipt, en)
  expect(r.lines).toEqual([
    { title: 'Unlocking', why: 'once per ride', amount: '¥1.00' },
    { title: 'Riding time', why: '3 × ¥0.50; a block that was begun counts', amount: '¥1.50' },
  ])
  expect(r.sums).toEqual([
    { title: 'Paid', amount: '¥2.50' },
    { title: 'Released of what was set aside', amount: '¥17.50' },
  ])
  expect(r.notes).toEqual(['Duration 2:03', 'Measured by the lock’s own clock.', 'Signed by the device: 2', 'Tariff bike@1'])
})

test('fuel: volume by price, and what goes back', () => {
  const o = anOrder({
    ...pump,
    pay_with: 'prepay',
    state: 'settled',
    fuel: { grade: '92', millilitres: 6369, amount_fen: 5000, limit_fen: 5000 },
    measured: 'pump',
    quote: {
      total_fen: 5000,
      lines: [
        {
          kind: 'fuel',
          quantity: 6369,
          unit_fen: 0,
          unit_price: 7850,
          grade: '92',
          amount_fen: 5000,
          tariff: 'fuel@1',
          evidence: [],
        },
      ],
    },
    payments: [
      { ...payment, state: 'paid' },
      { ...payment, for: 'payback', road: 'refund', state: 'open', amount_fen: 700 },
      { ...payment, for: 'payback', road: 'refund', state: 'paid', amount_fen: 1 },
      { ...payment, for: 'payback', road: 'refund', state: 'abnormal', amount_fen: 2 },
    ],
  })
  expect(receiptOf(o, en).lines[0]).toEqual({ title: 'Fuel 92', why: '6.36 L × ¥7.85', amount: '¥50.00' })
  expect(refundsOf(o, en)).toEqual(['¥7.00 on its way back', '¥0.01 given back', '¥0.02 should go back, and staff see to it'])
})

test('every line, measure and reason of ours has words of its own', () => {
  for (const kind of ['unlock', 'time', 'ride_cap', 'day_cap', 'pass', 'reservation', 'fuel', 'above_limit', 'staff_decision'])
    expect(en.line).toHaveProperty(kind)
  for (const m of ['within_boot', 'across_boots', 'shortest', 'last_proven', 'pump', 'totaliser'])
    expect(en.measured).toHaveProperty(m)
  for (const r of [
    'not_executed',
    'cancelled',
    'busy',
    'low_battery',
    'expired',
    'not_working',
    'journal_full',
    'power',
    'unsupported',
    'shut_down',
    'failed_jam',
    'not_paid',
    'payment_unavailable',
  ])
    expect(en.voided).toHaveProperty(r)
})

/** What only staff, devices or WeChat's servers can meet, or what only a mistake of this client's could bring. */
const notRiders =
  /^(bad_request|cursor_invalid|idempotency_key|notice_|role_|route_|method_|not_acceptable|body_too_slow|media_type|too_many_waits|code_bound|code_of_other|code_batch_|label_|exists$|first_run|last_admin|confirmation_|reason_missing|refund_too|tariff_invalid|value_invalid|reference_|venue_unknown|rider_unknown|payment_unknown|open_item|close_unknown|api_key|unauthenticated|sign_in_|cross_origin|venue_scope|login_needed|proof_needed|fleet_unread|invite_|password_|passkey|refund_waits|second_person_|bulk_|settings_changed|word_refused|fault_|.*_unknown$)/

test('every refusal that a rider can meet has a title and a sentence', () => {
  const openapi = JSON.parse(fs.readFileSync(path.join(__dirname, '../../../api/openapi.json'), 'utf8'))
  const codes = openapi.components.schemas.Problem.properties.code.enum as string[]
  expect(codes.length).toBeGreaterThan(50)
  expect(codes.filter((c) => !notRiders.test(c) && !(c in en.problem))).toEqual([])
  for (const t of [en, zh]) for (const pair of Object.values(t.problem)) expect(pair).toHaveLength(2)
  expect(explainCode('something_new', en).title).toBe(en.problem.internal[0])
  expect(explain(new TypeError('x'), en).code).toBe('internal')
})

test('every failure of the phone has words', () => {
  for (const kind of [
    'network',
    'interrupted',
    'cancelled',
    'denied',
    'privacy',
    'unsupported',
    'withheld',
    'failed',
    'ble_off',
    'ble_not_found',
    'ble_connect',
    'ble_lost',
    'ble_other',
  ] as const) {
    for (const t of [en, zh]) expect(explain(new Fault(kind, ''), t).title).toBe((t.fail as Record<string, string[]>)[kind][0])
  }
})

test('amounts, volumes, times, distances', () => {
  expect([yuan(0), yuan(5), yuan(123456), yuan(-150)]).toEqual(['¥0.00', '¥0.05', '¥1234.56', '-¥1.50'])
  expect([unitPrice(7850), unitPrice(7855)]).toEqual(['¥7.85', '¥7.855'])
  expect([litres(0), litres(1579), litres(45_000)]).toEqual(['0.00 L', '1.57 L', '45.00 L'])
  expect([clock(0), clock(59.9), clock(61), clock(3723), clock(-4)]).toEqual(['0:00', '0:59', '1:01', '1:02:03', '0:00'])
  expect([distance(7, en), distance(123, en), distance(1260, en)]).toEqual(['7 m', '120 m', '1.3 km'])
  expect([span(40, en), span(300, en), span(7200, en)]).toEqual(['40 s', '5 min', '2 h'])
  expect(['12', '0.5', '3.05', ' 7。5 ', '0', '-1', '1.234', 'x', ''].map(parseYuan)).toEqual([
    1200,
    50,
    305,
    750,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})

test('positions for WeChat’s map are shifted as the server shifts them', () => {
  // The pairs of api/geo_test.go.
  for (const [lat, lng, north, east] of [
    [31.1774276, 121.5272106, 31.17530398364597, 121.531541859215],
    [22.543847, 113.912316, 22.540796131694766, 113.9171764808363],
    [39.911954, 116.377817, 39.91334545536069, 116.38404722455657],
  ]) {
    const p = toGcj02(lat, lng)
    expect(p.lat).toBeCloseTo(north, 7)
    expect(p.lng).toBeCloseTo(east, 7)
  }
  expect(toGcj02(48.8566, 2.3522)).toEqual({ lat: 48.8566, lng: 2.3522 })
})
