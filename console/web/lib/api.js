// The operator's API as the console uses it: cookie in, JSON both ways, problems as
// exceptions. Everything that the console does goes through here, so everything can
// be done with curl too.
import { signal } from './html.js'

const prefix = '/v1/operator'

/** A refusal of the API, RFC 9457. */
export class Problem extends Error {
  /**
   * @param {number} status HTTP status; 0 when no answer came
   * @param {{code?: string, title?: string, detail?: string, errors?: Array<{message?: string, location?: string, value?: any}>}} body
   * @param {'' | 'open' | 'kept'} [act] of an act that got no answer, which may have been done: open, or kept where trying again sends the
   *   same Idempotency-Key; otherwise ''
   */
  constructor(status, body, act = '') {
    super(body.detail || body.title || body.code || String(status))
    this.name = 'Problem'
    this.status = status
    this.code = body.code ?? (status === 0 ? 'no_answer' : 'http_' + status)
    this.title = body.title ?? ''
    this.detail = body.detail ?? ''
    this.errors = body.errors ?? []
    this.body = body
    this.act = act
  }
}

/**
 * Who is signed in; null until known. display_name is the operator's.
 * @type {import('@preact/signals').Signal<null | {id: string, name: string, role: string, venues: string[] | null, login?: {id: string} | null, has_password?: boolean, passkeys?: number, display_name?: string, version?: string, time?: string}>}
 */
export const me = signal(null)

const rank = { viewer: 1, field: 2, finance: 3, admin: 4 }

/**
 * Tells whether who is signed in has the role, or one that includes it. A server
 * refuses regardless of what a page shows; this is for what to offer.
 * @param {string} least viewer, field, finance or admin
 */
export const can = least => (rank[me.value?.role] ?? 0) >= (rank[least] ?? 9)

/** Whether who is signed in answers for every venue. */
export const everywhere = () => me.value != null && me.value.venues == null

/**
 * The address of a path: '/devices' is below /v1/operator, '/v1/...' stands as it is.
 * Absent, null and '' parameters are left out; arrays repeat.
 * @param {string} path
 * @param {Record<string, any>} [params]
 */
export function address(path, params) {
  const query = new URLSearchParams()
  for (const [k, v] of Object.entries(params ?? {})) {
    if (v == null || v === '') continue
    for (const one of Array.isArray(v) ? v : [v]) query.append(k, String(one))
  }
  const text = query.toString()
  return (path.startsWith('/v1/') ? path : prefix + path) + (text ? '?' + text : '')
}

/** A fresh Idempotency-Key. crypto.randomUUID is not there on http beyond localhost. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, '0')).join('')

// touched is when somebody last did something here. What a page asks by itself long after
// says so: an open page must not keep its login from ending.
let touched = Date.now()
for (const type of ['pointerdown', 'keydown', 'wheel']) globalThis.addEventListener?.(type, () => { touched = Date.now() }, { capture: true, passive: true })
const alone = 5 * 60_000

/**
 * What the server asks of who makes people: a login of the last ten minutes. ask signs in
 * again and says whether it did; the page's dialogs set it.
 * @type {{ask: null | (() => Promise<boolean>)}}
 */
export const fresh = { ask: null }

/**
 * @param {string} method
 * @param {string} path
 * @param {{params?: Record<string, any>, body?: any, key?: boolean | string, signal?: AbortSignal, headers?: Record<string, string>, again?: boolean}} [more]
 * @returns {Promise<any>} the body; null where there is none
 */
export async function call(method, path, { params, body, key, signal: abort, headers, again } = {}) {
  /** @type {Record<string, string>} */
  const head = { Accept: 'application/json', ...(Date.now() - touched > alone && { 'X-Unattended': '1' }), ...headers }
  /** @type {any} */
  let data
  if (body instanceof FormData || body instanceof Blob) data = body
  else if (body !== undefined) {
    head['Content-Type'] = 'application/json'
    data = JSON.stringify(body)
  }
  if (key) head['Idempotency-Key'] = key === true ? newKey() : key
  const act = method === 'GET' ? '' : typeof key === 'string' ? 'kept' : 'open'
  let answer, text
  try {
    answer = await fetch(address(path, params), { method, headers: head, body: data, signal: abort, credentials: 'same-origin', cache: 'no-store' })
    text = await answer.text() // which may break off
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e
    throw new Problem(0, { code: 'no_answer', detail: '' }, act)
  }
  let value = null
  if (text) {
    try { value = JSON.parse(text) } catch { if (answer.ok) value = text }
  }
  if (answer.ok) return value
  const problem = new Problem(answer.status, value && typeof value === 'object' ? value : {})
  if ([502, 504].includes(problem.status) && !problem.body.code) throw new Problem(0, { code: 'no_answer', detail: '' }, act) // a proxy's: it got none either
  if (answer.status === 401 && !path.startsWith('/logins')) signedOut()
  if (problem.code === 'proof_needed' && !again && path !== '/passkeys/options' && fresh.ask && await fresh.ask()) {
    return call(method, path, { params, body, key, signal: abort, headers, again: true })
  }
  throw problem
}

/** @param {string} path @param {Record<string, any>} [params] @param {AbortSignal} [abort] */
export const get = (path, params, abort) => call('GET', path, { params, signal: abort })

/**
 * @param {string} path
 * @param {any} [body]
 * @param {{key?: boolean | string, params?: Record<string, any>}} [more] key: true adds a fresh Idempotency-Key;
 *   a string is used as it is, for a form that may send the same thing again
 */
export const post = (path, body = {}, more = {}) => call('POST', path, { body, ...more })

/** @param {string} path @param {any} body */
export const put = (path, body) => call('PUT', path, { body })

/**
 * Yields the answers of a list, one page after another.
 * @param {string} path
 * @param {Record<string, any>} [params]
 * @returns {AsyncGenerator<any>}
 */
export async function* pages(path, params = {}) {
  let cursor = params.cursor
  do {
    const page = await get(path, { ...params, cursor })
    yield page
    cursor = page.next_cursor
  } while (cursor)
}

const quote = text => "'" + text.replaceAll("'", "'\\''") + "'"

/**
 * A command line that does the same with an API key in $UNLATCH_KEY.
 * @param {string} method
 * @param {string} path
 * @param {any} [body]
 * @param {{key?: boolean}} [more]
 */
export function curl(method, path, body, { key } = {}) {
  const parts = ['curl -sS']
  if (method !== 'GET') parts.push('-X ' + method)
  parts.push(quote(location.origin + address(path)), '-H "Authorization: Bearer $UNLATCH_KEY"')
  if (key) parts.push('-H "Idempotency-Key: $(uuidgen)"')
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", '-d ' + quote(JSON.stringify(body)))
  return parts.join(' ')
}

let leaving = false

function signedOut() {
  if (leaving) return
  leaving = true
  const to = location.pathname + location.search
  location.assign('/sign-in?' + new URLSearchParams({ to }))
}

/** Reads who is signed in. */
export async function loadMe() {
  me.value = await get('/me')
  return me.value
}

/** Signs out here and leaves for the sign-in page. */
export async function signOut() {
  try { await post('/logout') } finally {
    leaving = true
    location.assign('/sign-in')
  }
}
