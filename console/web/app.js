// The console: who is signed in, where one is, and the frame around it.
import { Component, h, html, render, signal, effect, useEffect, useState } from './lib/html.js'
import { can, loadMe, me, signOut } from './lib/api.js'
import { commands, KeyDialogs, openPalette, openSheet, register } from './lib/keys.js'
import { minute } from './lib/format.js'
import { alarms, items, lostAt, needFleet, onUpdate, startLive, stream } from './lib/live.js'
import { go, Link, route, setPages } from './lib/router.js'
import { isDark, setTheme } from './lib/look.js'
import { Button, Dialogs, Empty, Icon, Page, pageTitle, ProblemBox, Spinner, toast, Toasts } from './lib/ui.js'
import { addWords, language, setLanguage, t, tCode } from './lib/words.js'
import words from './words/app.js'

addWords(words)

/** Patterns of addresses below /console and the names of their pages. */
export const pages = {
  '/': 'fleet', '/devices/:id': 'device', '/orders': 'orders', '/orders/:id': 'order', '/riders': 'riders', '/riders/:id': 'rider', '/faults': 'faults',
  '/items': 'items', '/alarms': 'alarms', '/wall': 'wall', '/closes': 'closes', '/codes': 'codes', '/codes/scan': 'scan', '/tariffs': 'tariffs', '/passes': 'passes',
  '/venues': 'venues', '/venues/:id': 'venue', '/bulk': 'bulk', '/import': 'import', '/audit': 'audit', '/reconciliation': 'reconciliation', '/statistics': 'statistics',
  '/staff': 'staff', '/webhooks': 'webhooks', '/settings': 'settings', '/me': 'me',
}

/**
 * The navigation: groups of [path, icon, word, key after g, least role].
 * @type {Array<[string, Array<[string, string, string, string, string]>]>}
 */
const navigation = [
  ['nav.watch', [['/', 'fleet', 'nav.fleet', 'f', 'viewer'], ['/alarms', 'alarm', 'nav.alarms', 'a', 'viewer'], ['/items', 'item', 'nav.items', 'i', 'viewer'],
    ['/faults', 'fault', 'nav.faults', 'x', 'viewer'], ['/wall', 'wall', 'nav.wall', 'w', 'viewer']]],
  ['nav.trade', [['/orders', 'order', 'nav.orders', 'o', 'viewer'], ['/riders', 'rider', 'nav.riders', 'r', 'viewer'], ['/tariffs', 'tariff', 'nav.tariffs', 't', 'viewer'],
    ['/passes', 'pass', 'nav.passes', 'p', 'viewer'], ['/closes', 'close', 'nav.closes', 'l', 'viewer'], ['/reconciliation', 'reconciliation', 'nav.reconciliation', 'n', 'finance'],
    ['/statistics', 'statistics', 'nav.statistics', 's', 'finance']]],
  ['nav.hardware', [['/codes', 'code', 'nav.codes', 'c', 'viewer'], ['/codes/scan', 'scan', 'nav.scan', 'q', 'field'], ['/venues', 'venue', 'nav.venues', 'v', 'viewer'],
    ['/bulk', 'bulk', 'nav.bulk', 'b', 'admin'], ['/import', 'import', 'nav.import', 'd', 'admin']]],
  ['nav.house', [['/staff', 'staff', 'nav.staff', 'k', 'admin'], ['/webhooks', 'webhook', 'nav.webhooks', 'h', 'admin'], ['/audit', 'audit', 'nav.audit', 'u', 'admin'],
    ['/settings', 'settings', 'nav.settings', 'e', 'admin']]],
]
const places = navigation.flatMap(([, list]) => list)
/** @type {Record<string, import('@preact/signals').Signal<number | null>>} */
const counts = { '/alarms': alarms, '/items': items }

for (const [path, , words, key] of [...places, ['/me', 'rider', 'nav.me', 'm', 'viewer']]) register({ keys: 'g ' + key, words, run: () => go(path) })

effect(() => {
  commands.value = [
    ...places.filter(p => can(p[4])).map(([path, icon, words]) => ({ icon, words, run: () => go(path) })),
    { icon: 'rider', words: 'nav.me', run: () => go('/me') },
    { icon: isDark() ? 'sun' : 'moon', words: isDark() ? 'app.go_light' : 'app.go_dark', run: () => setTheme(isDark() ? 'light' : 'dark') },
    { icon: 'language', words: 'app.other_language', run: () => setLanguage(language.value === 'en' ? 'zh-CN' : 'en') },
    { icon: 'keyboard', words: 'keys.sheet', run: openSheet },
    { icon: 'signout', words: 'app.sign_out', run: signOut },
  ]
})

const isHere = path => path === '/' ? ['/'].includes(route.value.path) || route.value.path.startsWith('/devices/')
  : route.value.path === path || route.value.path.startsWith(path + '/') && !places.some(([other]) => other.length > path.length && route.value.path.startsWith(other))

const menu = signal(false)

function Count({ path }) {
  const n = counts[path]?.value
  return n ? html`<span class=${'count ' + (path === '/alarms' ? 'bad' : '')}>${n > 199 ? '199+' : n}</span>` : null
}

function Place({ place }) {
  const [path, icon, word] = place
  return html`<li><${Link} to=${path} aria-current=${isHere(path) ? 'page' : undefined} onClick=${() => { menu.value = false }}><${Icon} name=${icon} /><span class="grow">${t(word)}</span><${Count} path=${path} /><//></li>`
}

function Side() {
  const who = me.value
  return html`<nav class=${'side' + (menu.value ? ' open' : '')} aria-label=${t('nav.title')} id="side">
    <div class="side-head"><${Link} to="/" class="brand"><svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" /><path d="M9 15.5h14V25H9zM12 15.5V11.5a4.5 4.5 0 0 1 8.7-1.6" /></svg><span class="clip">${who?.display_name || 'unlatch'}</span><//>
      <${Button} kind="quiet" icon="x" label=${t('ui.close')} class="phone-only" onClick=${() => { menu.value = false }} /></div>
    <button type="button" class="search-button" onClick=${openPalette}><${Icon} name="search" /><span class="grow">${t('app.search')}</span><kbd>/</kbd></button>
    <div class="side-scroll" tabindex="-1">${navigation.map(([title, list]) => {
      const mine = list.filter(p => can(p[4]))
      return mine.length > 0 && html`<section key=${title}><h2>${t(title)}</h2><ul>${mine.map(p => html`<${Place} key=${p[0]} place=${p} />`)}</ul></section>`
    })}</div>
    <div class="side-foot">
      <${Stream} />
      <div class="who"><${Link} to="/me" class="who-link" aria-current=${route.value.name === 'me' ? 'page' : undefined} onClick=${() => { menu.value = false }}>
        <span class="face" aria-hidden="true">${(who?.name || '?').slice(0, 1).toUpperCase()}</span>
        <span class="who-text"><b>${who?.name}</b><span>${tCode('role', who?.role ?? '')}</span></span><//>
        <${Button} kind="quiet" icon="keyboard" label=${t('keys.title')} onClick=${openSheet} class="desk-only" />
        <${Button} kind="quiet" icon="signout" label=${t('app.sign_out')} onClick=${signOut} /></div>
    </div>
  </nav>`
}

function Stream() {
  const state = stream.value
  return html`<p class=${'stream ' + state} role="status"><${Icon} name=${state === 'live' ? 'online' : state === 'lost' ? 'offline' : 'clock'} /><span>${t('app.stream_' + state)}</span></p>`
}

const blink = 3_000 // ms for which a stream may be away without a word

/** Says over every page that what it shows may be old. */
function NotLive() {
  const since = lostAt.value
  const [said, setSaid] = useState(0) // the loss that has lasted
  useEffect(() => {
    if (!since) return
    const wait = setTimeout(() => setSaid(since), Math.max(0, since + blink - Date.now()))
    return () => clearTimeout(wait)
  }, [since])
  return html`<div class="not-live-place" role="alert">${since > 0 && said === since && html`<p class="not-live"><${Icon} name="offline" /><span><strong>${t('app.not_live', { time: minute(since) })}</strong> ${t('app.not_live.again')}</span></p>`}</div>`
}

/** What a phone shows at the top and at the bottom. */
function PhoneBars() {
  const bar = places.filter(p => ['/', '/alarms', '/items', can('field') ? '/codes/scan' : '/orders'].includes(p[0]))
  return html`<header class="phone-top"><${Button} kind="quiet" icon="menu" label=${t('nav.title')} aria-expanded=${String(menu.value)} aria-controls="side" onClick=${() => { menu.value = true }} />
      <span class="grow phone-title">${me.value?.display_name || 'unlatch'}</span><${Button} kind="quiet" icon="search" label=${t('app.search')} onClick=${openPalette} /><${Bell} /></header>
    <nav class="phone-bar" aria-label=${t('nav.short')}>${bar.map(([path, icon, word]) => html`<${Link} key=${path} to=${path} aria-current=${isHere(path) ? 'page' : undefined}><span class="phone-icon"><${Icon} name=${icon} /><${Count} path=${path} /></span><span>${t(word)}</span><//>`)}
      <button type="button" onClick=${() => { menu.value = true }}><span class="phone-icon"><${Icon} name="menu" /></span><span>${t('app.more')}</span></button></nav>`
}

/** The bell leads to the alarms and counts them. */
function Bell() {
  const n = alarms.value
  return html`<${Link} to="/alarms" class=${'bell' + (n ? ' rings' : '')} aria-label=${n ? t('app.bell', { n }) : t('app.bell_none')} title=${n ? t('app.bell', { n }) : t('app.bell_none')}><${Icon} name="alarm" />${n ? html`<span class="count bad" aria-hidden="true">${n > 199 ? '199+' : n}</span>` : null}<//>`
}

/* Pages come when they are asked for. */

/** @type {Map<string, any>} */
const modules = new Map()
const arrived = signal(0)

function want(name) {
  if (modules.has(name)) return modules.get(name)
  const entry = { page: null, problem: null }
  modules.set(name, entry)
  import(`./pages/${name}.js`).then(m => { entry.page = m.default }, e => { console.error(e); entry.problem = e; modules.delete(name); failed.set(name, e) })
    .finally(() => { arrived.value++ })
  return entry
}

/** @type {Map<string, any>} */
const failed = new Map()

function Outlet() {
  arrived.value
  const { name, params, query, path } = route.value
  const [broken, setBroken] = useState(/** @type {any} */ (null))
  useEffect(() => { setBroken(null); menu.value = false }, [path])
  if (!name) return html`<${Page} title=${t('app.no_page')}><${Empty} icon="unknown" title=${t('app.no_page')} text=${t('app.no_page_text')}><${Link} to="/" class="button primary">${t('nav.fleet')}<//><//><//>`
  if (failed.has(name)) return html`<${Page} title=${t('app.not_loaded')}><${Empty} icon="offline" title=${t('app.not_loaded')} text=${t('app.not_loaded_text')}><${Button} kind="primary" icon="reload" onClick=${() => location.reload()}>${t('app.reload')}<//><//><//>`
  const entry = want(name)
  if (!entry.page) return html`<main class="page" id="main"><${Spinner} /></main>`
  if (broken) return html`<${Page} title=${t('ui.broken')}><${ProblemBox} problem=${broken} retry=${() => setBroken(null)} /><//>`
  return html`<${Guard} key=${path} onBroken=${setBroken}>${h(entry.page, { params, query })}<//>`
}

// Guard keeps a fault of one page from taking the frame with it.
class Guard extends Component {
  componentDidCatch(e) {
    console.error(e)
    this.props.onBroken(e)
  }
  render() { return this.props.children }
}

function Shell() {
  const tv = route.value.query.tv === '1' && route.value.name === 'wall'
  return html`<a class="skip" href="#main">${t('app.skip')}</a>
    <div class=${'shell' + (tv ? ' tv' : '')}>
      ${!tv && html`<${Side} />${menu.value && html`<div class="shade" onClick=${() => { menu.value = false }}></div>`}<${PhoneBars} />`}
      <div class="content">${!tv && html`<div class="desk-bell"><${Bell} /></div>`}<${NotLive} /><${Outlet} /></div>
    </div><${Dialogs} /><${KeyDialogs} /><${Toasts} />`
}

effect(() => {
  const n = alarms.value
  document.title = (n ? `(${n}) ` : '') + (pageTitle.value ? pageTitle.value + ' · ' : '') + 'unlatch'
})

onUpdate('alarm', a => {
  if (a.state === 'open' || a.state === 'raised') toast(t('app.new_alarm', { what: tCode('alarm', a.kind) }), 'bad')
})

setPages(pages)
const root = /** @type {HTMLElement} */ (document.getElementById('app'))

async function boot() {
  render(html`<${Spinner} />`, root)
  try {
    await loadMe()
    if (['fleet', 'wall'].includes(route.peek().name)) needFleet() // while the page's modules come
    render(html`<${Shell} />`, root)
    startLive()
  } catch (problem) {
    render(html`<main class="page"><${ProblemBox} problem=${problem} retry=${boot} /></main>`, root)
  }
}
boot()
