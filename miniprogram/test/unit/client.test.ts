import { Api } from '../../src/lib/api'
import { Client, Refusal } from '../../src/lib/client'
import { Follow } from '../../src/lib/follow'
import { Fault } from '../../src/lib/platform'
import type { Order } from '../../src/lib/shapes'
import { FakePlatform, type Server } from '../fake'
import { anOrder } from '../orders'

const down = () => new Fault('network', 'request:fail')
const problem = (status: number, code: string, headers = {}) => ({ status, headers, body: { code, detail: code } })

function made(server: Server, token = 'T') {
  const platform = new FakePlatform(server)
  platform.kept = token
  const client = new Client(platform, 'https://x')
  return { platform, client, api: new Api(client) }
}

test('a broken link is tried again, with the same key and the same body', async () => {
  let n = 0
  const { platform, api } = made(() => (++n < 4 ? down() : { status: 201, body: anOrder() }))
  const placed = api.place({ ticket: 't', pay_with: 'wallet' }, 'k1')
  await platform.pass(20_000)
  expect((await placed).id).toBe('0199')
  expect(platform.calls.length).toBe(4)
  expect(new Set(platform.calls.map((c) => `${c.headers['Idempotency-Key']} ${c.body}`)).size).toBe(1)
})

test('pauses between tries grow, and patience ends them', async () => {
  const { platform, api } = made(down)
  const times: number[] = []
  platform.server = () => {
    times.push(platform.at)
    return down()
  }
  const failed = api.me().catch((e) => e)
  await platform.pass(60_000)
  expect(((await failed) as Fault).kind).toBe('network')
  const gaps = times.slice(1).map((t, i) => t - times[i])
  expect(gaps.length).toBeLessThanOrEqual(6)
  expect(gaps.every((g) => g >= 400)).toBe(true)
  expect(gaps[2]).toBeGreaterThan(gaps[0])
})

test('a refusal is told at once; only not-now is tried again, as late as the server asks', async () => {
  const { platform, client } = made(() => problem(409, 'outlet_busy'))
  await expect(client.get('/a')).rejects.toMatchObject({ status: 409, code: 'outlet_busy' })
  expect(platform.calls.length).toBe(1)
  const times: number[] = []
  platform.server = () => {
    times.push(platform.at)
    return times.length === 1 ? problem(429, 'too_many_requests', { 'retry-after': '5' }) : { body: 1 }
  }
  const got = client.get('/a')
  await platform.pass(10_000)
  await got
  expect(times[1] - times[0]).toBeGreaterThanOrEqual(5000)
})

test('what is no problem document is still a refusal', async () => {
  const { client } = made(() => ({ status: 500, body: '<html>' }))
  await expect(client.get('/a')).rejects.toEqual(new Refusal(500, 'internal', ''))
})

test('the first request logs in, once for all that ask', async () => {
  const { platform, client } = made(
    (c) => (c.url.endsWith('/login') ? { body: { token: 'new' } } : { body: c.headers.Authorization }),
    '',
  )
  const all = Promise.all([client.get('/a'), client.get('/b'), client.get('/c')])
  await platform.pass(100)
  expect((await all).map((r) => r.body)).toEqual(['Bearer new', 'Bearer new', 'Bearer new'])
  expect(platform.logins).toBe(1)
  expect(platform.kept).toBe('new')
})

test('a login code is used once, also when its answer was lost', async () => {
  const codes: string[] = []
  const { platform, client } = made((c) => {
    if (!c.url.endsWith('/login')) return {}
    codes.push(String(c.body))
    return codes.length < 3 ? down() : { body: { token: 'n' } }
  }, '')
  const got = client.get('/a')
  await platform.pass(20_000)
  await got
  expect(new Set(codes).size).toBe(3)
})

test('a login that ended elsewhere is renewed, and what was asked is asked again', async () => {
  const { platform, client } = made((c) => {
    if (c.url.endsWith('/login')) return { body: { token: 'new' } }
    return c.headers.Authorization === 'Bearer new' ? { body: 'yes' } : problem(401, 'unauthenticated')
  }, 'old')
  const got = client.get('/a')
  await platform.pass(100)
  expect((await got).body).toBe('yes')
})

test('in the background nothing is repeated; in front again it goes on', async () => {
  let n = 0
  const { platform, client } = made(() => {
    if (++n > 1) return { body: 'yes' }
    client.hidden() // while it runs
    return new Fault('interrupted', 'request:fail interrupted')
  })
  const held = client.get('/a')
  await platform.pass(60_000)
  expect(platform.calls.length).toBe(1)
  client.shown()
  await platform.pass(10)
  expect((await held).body).toBe('yes')
})

test('what moves metal is never repeated after the background, nor sent late', async () => {
  const { platform, api, client } = made(() => {
    client.hidden()
    return new Fault('interrupted', 'request:fail interrupted')
  })
  const cut = api.act('0199', 'resume').catch((e) => e)
  await platform.pass(3_000)
  client.shown()
  await platform.pass(60_000)
  expect(((await cut) as Fault).kind).toBe('interrupted')
  expect(platform.calls.length).toBe(1)
  client.hidden()
  const late = api.place({ ticket: 't', pay_with: 'wallet' }, 'k').catch((e) => e)
  await platform.pass(60_000)
  client.shown()
  await platform.pass(60_000)
  expect(((await late) as Fault).kind).toBe('interrupted')
  expect(platform.calls.length).toBe(1)
})

test('the server’s clock counts, not the phone’s', async () => {
  const { platform, client } = made(() => ({ headers: { date: new Date(1_700_000_100_000).toUTCString() } }))
  await client.get('/a')
  expect(client.now() - platform.now()).toBeGreaterThan(99_000)
})

describe('following an order', () => {
  function watched(server: Server) {
    const { platform, api } = made(server)
    const seen: Order[] = []
    const links: boolean[] = []
    const lost: unknown[] = []
    const follow = new Follow(api, '0199', { moved: (o) => seen.push(o), link: (l) => links.push(l), lost: (e) => lost.push(e) })
    follow.start()
    return { platform, follow, seen, links, lost }
  }

  test('waits at the server, and ends with the order', async () => {
    let n = 0
    const states = ['starting', 'active', 'settled'] as const
    const { platform, seen } = watched(() => ({
      headers: { etag: `"v${n}"`, 'preference-applied': 'wait=20' },
      body: anOrder({ state: states[n++], version: n }),
    }))
    await platform.pass(60_000)
    expect(seen.map((o) => o.state)).toEqual(['starting', 'active', 'settled'])
    expect(platform.calls.length).toBe(3)
    expect(platform.calls[0].headers.Prefer).toBeUndefined()
    expect(platform.calls[1].headers).toMatchObject({ Prefer: 'wait=20', 'If-None-Match': '"v0"' })
    expect(platform.calls[1].timeout).toBeGreaterThan(20_000)
  })

  test('never asks more than once a second, whatever the server answers', async () => {
    let v = 0
    const { platform } = watched(() => ({ headers: { etag: `"v${v}"` }, body: anOrder({ state: 'active', version: v++ }) }))
    await platform.pass(60_000)
    expect(platform.calls.length).toBeLessThanOrEqual(63)
  })

  test('a server that does not wait is asked every few seconds', async () => {
    const { platform } = watched((c) =>
      c.headers['If-None-Match'] ? { status: 304, headers: { etag: '"v1"' } } : { headers: { etag: '"v1"' }, body: anOrder() },
    )
    await platform.pass(60_000)
    expect(platform.calls.length).toBeLessThanOrEqual(50)
  })

  test('a dead link is said, and asked less and less', async () => {
    const { platform, links } = watched(() => down())
    await platform.pass(120_000)
    expect(links.every((l) => !l)).toBe(true)
    expect(platform.calls.length).toBeLessThanOrEqual(16)
    platform.server = () => ({ headers: { etag: '"v1"' }, body: anOrder({ state: 'settled' }) })
    await platform.pass(30_000)
    expect(links.at(-1)).toBe(true)
  })

  test('an order that is not there is told, and not asked for again', async () => {
    const { platform, lost } = watched(() => problem(404, 'order_unknown'))
    await platform.pass(60_000)
    expect(lost).toHaveLength(1)
    expect(platform.calls.length).toBe(1)
  })

  test('a nudge asks at once; a stop cuts what runs', async () => {
    let n = 0
    const { platform, follow } = watched(() => (++n === 2 ? 'silence' : { headers: { etag: '"v1"' }, body: anOrder() }))
    await platform.pass(2000)
    expect(platform.calls.length).toBe(2)
    follow.nudge()
    await platform.pass(10)
    expect(platform.aborted).toBe(1)
    expect(platform.calls.length).toBeGreaterThanOrEqual(3)
    follow.stop()
    const before = platform.calls.length
    await platform.pass(60_000)
    expect(platform.calls.length).toBe(before)
  })
})
