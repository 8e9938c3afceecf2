// Requests: to /v1 as any client does, to /demo for what only a demo has.

// All that stays on the phone: a name of the double, the token, and where the last order was made.
const kept = 'unlatch.rider'
export const rider = JSON.parse(localStorage.getItem(kept) ?? '{}')

export function forget() {
  localStorage.removeItem(kept)
  delete rider.token
  delete rider.last
}

export function keep(more) {
  localStorage.setItem(kept, JSON.stringify(Object.assign(rider, more)))
}

let ahead = 0 // of the server's clock, in ms
export const now = () => Date.now() + ahead

async function send(method, path, { body, headers, signal } = {}) {
  const r = await fetch(path, {
    method, signal, cache: 'no-store',
    headers: { ...(body && { 'Content-Type': 'application/json' }), ...(rider.token && { Authorization: `Bearer ${rider.token}` }), ...headers },
    body: body && JSON.stringify(body),
  })
  const date = Date.parse(r.headers.get('Date'))
  if (date && Math.abs(date - now()) > 2000) ahead = date - Date.now()
  if (r.ok || r.status === 304) return r
  throw { status: r.status, ...await r.json().catch(() => {}) } // a problem document; what has no status is the network's
}

const pause = ms => new Promise(done => setTimeout(done, ms))

// ask reads an answer. With a key it is sent again while the network fails.
export async function ask(method, path, body, key) {
  for (let tries = 1; ; tries++) {
    try {
      const r = await send(method, path, { body, headers: key && { 'Idempotency-Key': key } })
      const text = await r.text()
      return text && JSON.parse(text)
    } catch (e) {
      if (e.status || !key || tries === 5) throw e
      await pause(1000)
    }
  }
}

export async function login(name) {
  forget()
  const { login_code } = await ask('POST', `/demo/wechat/${name}/login-code`)
  const { token } = await ask('POST', '/v1/login', { login_code })
  keep({ name, token })
}

const over = o => ['settled', 'voided'].includes(o.state) && (o.payments ?? []).every(p => ['paid', 'closed', 'abnormal'].includes(p.state))

// follow shows an order now and each time that it moves, until it is over; lost is told
// whether the network fails. A ride's figures are read every ten seconds.
export async function follow(id, show, lost, signal) {
  let tag, order
  while (!signal.aborted && !(order && over(order))) {
    try {
      const wait = order?.kind === 'lock' && order.state === 'active' ? 10 : 25
      const r = await send('GET', `/v1/orders/${id}`, { signal, headers: tag && { 'If-None-Match': tag, Prefer: `wait=${wait}` } })
      lost(false)
      tag = r.status === 200 && r.headers.get('ETag')
      if (tag) show(order = await r.json())
    } catch (e) {
      if (signal.aborted) return
      if (e.status < 500 && e.status !== 429) throw e
      lost(true)
      await pause(1500)
    }
  }
}
