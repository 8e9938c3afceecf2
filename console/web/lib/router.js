// Addresses of the console. The query is part of the address, so every filter can be
// kept, sent and gone back from.
import { html, signal } from './html.js'

const base = '/console'

/**
 * @typedef {{path: string, name: string, params: Record<string, string>, query: Record<string, string>}} Route
 */

/** @type {Array<{pattern: string, name: string, test: RegExp, names: string[]}>} */
let table = []

/** Sets the table of pages, pattern to name; called once by app.js. @param {Record<string, string>} pages */
export function setPages(pages) {
  table = Object.entries(pages).map(([pattern, name]) => {
    /** @type {string[]} */
    const names = []
    const test = pattern.replace(/:(\w+)/g, (_, n) => { names.push(n); return '([^/]+)' })
    return { pattern, name, names, test: new RegExp('^' + test + '/?$') }
  })
  route.value = read()
}

/** @returns {Route} */
function read() {
  const path = location.pathname.startsWith(base) ? location.pathname.slice(base.length) || '/' : '/'
  const query = Object.fromEntries(new URLSearchParams(location.search))
  for (const { test, names, name } of table) {
    const m = test.exec(path)
    if (m) return { path, name, params: Object.fromEntries(names.map((n, i) => [n, decodeURIComponent(m[i + 1])])), query }
  }
  return { path, name: '', params: {}, query }
}

/** Where the console is. */
export const route = signal(/** @type {Route} */ ({ path: '/', name: '', params: {}, query: {} }))

// visits counts the pages shown; a page that is gone back to is another visit.
let visits = 0

// arrive makes what the address says the page that shows.
function arrive() {
  const next = read()
  if (next.path !== route.peek().path) visits++
  route.value = next
}

addEventListener('popstate', arrive)

/**
 * Tells later whether the page that shows now still does. Who waits for an answer asks
 * before it goes on to a page or opens a dialog, since the answer may come when somebody
 * is elsewhere or has come back: const here = staying(); await …; if (here()) go(…)
 * @returns {() => boolean}
 */
export function staying() {
  const visit = visits
  return () => visit === visits
}

/**
 * The address of a path in the console. Empty values leave the query.
 * @param {string} path
 * @param {Record<string, any>} [query]
 */
export function href(path, query) {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query ?? {})) if (v != null && v !== '' && v !== false) q.set(k, String(v))
  const text = q.toString()
  return base + (path === '/' ? '/' : path) + (text ? '?' + text : '')
}

/**
 * Goes to a path.
 * @param {string} path below /console
 * @param {Record<string, any>} [query]
 * @param {{replace?: boolean}} [more] replace: without a step in the history
 */
export function go(path, query, { replace } = {}) {
  const to = href(path, query)
  if (to === location.pathname + location.search) return
  history[replace ? 'replaceState' : 'pushState'](null, '', to)
  const before = route.peek().path
  arrive()
  if (route.peek().path !== before) scrollTo(0, 0)
}

/**
 * A link inside the console; a real one, so that it opens in a new tab too.
 * @param {{to: string, query?: Record<string, any>, children?: any, class?: string, [more: string]: any}} props
 */
export function Link({ to, query, children, ...more }) {
  const follow = e => {
    if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    e.preventDefault()
    go(to, query)
  }
  return html`<a href=${href(to, query)} onClick=${follow} ...${more}>${children}</a>`
}

/**
 * The query of the address and a way to change some of it: setQuery({state: 'offline'})
 * leaves the rest; null or '' takes a value away. Once the page was left it changes nothing.
 * @returns {[Record<string, string>, (change: Record<string, any>, more?: {replace?: boolean}) => void]}
 */
export function useQuery() {
  const now = route.value, here = staying()
  return [now.query, (change, more = { replace: true }) => { if (here()) go(now.path, { ...route.peek().query, ...change }, more) }]
}
