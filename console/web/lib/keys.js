// The keyboard: shortcuts and their sheet, the palette, and the barcode gun, which is a
// keyboard that types fast.
import { html, signal, useEffect, useRef, useState } from './html.js'
import { get } from './api.js'
import { go, staying } from './router.js'
import { Dialog, Icon, toast } from './ui.js'
import { t } from './words.js'

/**
 * @typedef {{keys: string, words: string, run: () => void, group?: string}} Shortcut
 *   keys: 'r', '?' or a sequence as 'g f'; words: key of its name
 */

/** @type {import('@preact/signals').Signal<Shortcut[]>} */
export const shortcuts = signal([])

/**
 * Adds a shortcut; it holds until the returned function is called. The newest one of
 * the same keys wins.
 * @param {Shortcut} shortcut
 */
export function register(shortcut) {
  shortcuts.value = [...shortcuts.value, shortcut]
  return () => { shortcuts.value = shortcuts.value.filter(s => s !== shortcut) }
}

/** Shortcuts while a component is there. @param {Shortcut[]} list @param {any[]} [deps] */
export function useKeys(list, deps = []) {
  useEffect(() => {
    const cancel = list.map(register)
    return () => cancel.forEach(c => c())
  }, deps)
}

const sheet = signal(false), palette = signal(false)
export const openSheet = () => { sheet.value = true }
export const openPalette = () => { palette.value = true }

const inField = e => e.target instanceof HTMLElement && (e.target.isContentEditable || e.target.matches('input:not([type=checkbox]):not([type=radio]), select, textarea'))
const inDialog = () => document.querySelector('dialog[open]') != null

/* A gun sends its keys within some milliseconds of each other and Enter at the end. A
   shortcut waits as long as that, so that the letters of an address run none. */
const gunGap = 45
let burst = '', lastKey = 0
let begun = '' // of a sequence
let timer = /** @type {any} */ (0), forget = /** @type {any} */ (0)

addEventListener('keydown', e => {
  if ((e.ctrlKey || e.metaKey) && !e.altKey && e.key.toLowerCase() === 'k') {
    e.preventDefault()
    if (!inDialog()) openPalette()
    return
  }
  if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || inField(e)) return
  const now = e.timeStamp
  const fast = now - lastKey < gunGap
  if (e.key === 'Enter') {
    const text = burst
    burst = ''
    if (fast && scanned(text) && !inDialog()) {
      clearTimeout(timer)
      e.preventDefault()
      e.stopImmediatePropagation()
      openScanned(text)
    }
    return
  }
  if (e.key.length !== 1) return
  lastKey = now
  clearTimeout(timer)
  burst = fast ? burst + e.key : e.key
  if (burst.length > 2 && fast) { begun = ''; e.preventDefault(); return }
  if (inDialog()) return
  const keys = (begun + ' ' + e.key).trim()
  const found = shortcuts.peek().findLast(s => s.keys === keys) ?? shortcuts.peek().findLast(s => s.keys === e.key)
  const starts = shortcuts.peek().some(s => s.keys.startsWith(e.key + ' '))
  if (found || e.key === '?' || e.key === '/') e.preventDefault()
  timer = setTimeout(() => {
    if (found?.keys === keys || !starts) begun = ''
    clearTimeout(forget)
    if (found) return found.run()
    if (e.key === '?') return openSheet()
    if (e.key === '/') return openPalette()
    if (starts) {
      begun = e.key
      forget = setTimeout(() => { begun = '' }, 1200)
    }
  }, gunGap + 5)
}, true)

const scanned = text => /^\d{6,}$/.test(text) || /^https?:\/\/\S{4,}$/i.test(text) || /^weixin:\S{4,}$/i.test(text)

let asked = 0 // of two codes read one after the other the last one counts

/** Opens what a code, its address or an id leads to. @param {string} text */
export async function openScanned(text) {
  const stayed = staying(), mine = ++asked, here = () => stayed() && mine === asked
  try {
    const { hits } = await get('/search', { q: text })
    if (!here()) return // somebody went on by hand meanwhile
    const hit = hits.find(h => h.kind === 'device') ?? hits[0]
    if (!hit) return toast(t('keys.nothing', { text: text.slice(0, 60) }), 'bad')
    if (await openHit(hit, here)) toast(t('keys.opened', { text: hit.kind === 'code' ? text.slice(0, 60) : hit.id }), 'info')
  } catch (p) { toast(p.detail || p.message || t('ui.refused'), 'bad') }
}

const places = { device: '/devices/', order: '/orders/', rider: '/riders/', venue: '/venues/' }
const hitIcons = { device: 'device', order: 'order', rider: 'rider', venue: 'venue', code: 'code' }

// openHit goes where a hit leads, and tells whether it did; a code that is on a device leads
// to the device.
/** @param {{kind: string, id: string}} hit @param {() => boolean} [here] */
async function openHit(hit, here = staying()) {
  if (hit.kind !== 'code') { go(places[hit.kind] + encodeURIComponent(hit.id)); return true }
  const { device } = await get('/codes/' + encodeURIComponent(hit.id)).catch(() => ({ device: '' }))
  if (!here()) return false
  if (device) go('/devices/' + encodeURIComponent(device))
  else go('/codes', { q: hit.id })
  return true
}

/** The sheet and the palette; stands once in the shell. */
export function KeyDialogs() {
  return html`${sheet.value && html`<${Sheet} />`}${palette.value && html`<${Palette} />`}`
}

const Keys = ({ keys }) => html`<span class="keys">${keys.split(' ').map((k, i) => html`${i > 0 && html`<span class="then">${t('keys.then')}</span>`}<kbd>${k}</kbd>`)}</span>`

function Sheet() {
  const list = [...new Map(shortcuts.value.map(s => [s.keys, s])).values()]
  const always = [{ keys: '?', words: 'keys.sheet' }, { keys: '/', words: 'keys.palette' }, { keys: 'Ctrl-K', words: 'keys.palette' }]
  const groups = [[t('keys.here'), list.filter(s => !s.keys.startsWith('g '))], [t('keys.anywhere'), always], [t('keys.jumps'), list.filter(s => s.keys.startsWith('g '))]]
  return html`<${Dialog} title=${t('keys.title')} wide onClose=${() => { sheet.value = false }}>
    <div class="key-sheet">${groups.filter(([, rows]) => rows.length).map(([title, rows]) => html`<section class=${/** @type {any[]} */ (rows).length > 8 ? 'long' : ''}><h3>${title}</h3><dl>${/** @type {any[]} */ (rows).map(s => html`<div><dt><${Keys} keys=${s.keys} /></dt><dd>${t(s.words)}</dd></div>`)}</dl></section>`)}
      <section><h3>${t('keys.tables')}</h3><dl>
        <div><dt><kbd>↑</kbd> <kbd>↓</kbd></dt><dd>${t('keys.rows')}</dd></div>
        <div><dt><kbd>Enter</kbd></dt><dd>${t('keys.open')}</dd></div>
        <div><dt><kbd>Esc</kbd></dt><dd>${t('keys.close')}</dd></div></dl></section>
      <section><h3>${t('keys.gun')}</h3><p class="quiet">${t('keys.gun_text')}</p></section></div>
  <//>`
}

// matches tells whether the letters of q come in text in this order, and how well: less
// is better, -1 not at all.
function matches(text, q) {
  const low = text.toLowerCase()
  const whole = low.indexOf(q)
  if (whole >= 0) return whole
  let at = -1, cost = 50
  for (const c of q) {
    const next = low.indexOf(c, at + 1)
    if (next < 0) return -1
    cost += next - at
    at = next
  }
  return cost
}

/** @type {import('@preact/signals').Signal<Array<{icon: string, words: string, run: () => void}>>} */
export const commands = signal([])

function Palette() {
  const [q, setQ] = useState(''), [at, setAt] = useState(0)
  const [found, setFound] = useState(/** @type {any[]} */ ([])), [busy, setBusy] = useState(false)
  const list = useRef(/** @type {any} */ (null))
  const close = () => { palette.value = false }
  const text = q.trim()
  useEffect(() => {
    setFound([])
    if (text.length < 2) return
    const abort = new AbortController()
    setBusy(true)
    const wait = setTimeout(() => get('/search', { q: text }, abort.signal).then(a => setFound(a.hits ?? []), () => {}).finally(() => { if (!abort.signal.aborted) setBusy(false) }), 120)
    return () => { clearTimeout(wait); abort.abort() }
  }, [text])
  const own = commands.value.map(c => ({ ...c, word: t(c.words), cost: text ? matches(t(c.words), text.toLowerCase()) : 0 })).filter(c => c.cost >= 0)
    .sort((a, b) => a.cost - b.cost).slice(0, text ? 8 : 40)
  const hits = found.map(h => ({ icon: hitIcons[h.kind] ?? 'search', word: h.id, note: h.title || t('keys.kind_' + h.kind), run: () => openHit(h) }))
  const rows = /** @type {any[]} */ (/\d|^https?:/.test(text) ? [...hits, ...own] : [...own, ...hits])
  const index = Math.min(at, rows.length - 1)
  const run = row => { close(); row?.run() }
  const keys = e => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key]
    if (step) {
      e.preventDefault()
      const to = (index + step + rows.length) % Math.max(1, rows.length)
      setAt(to)
      requestAnimationFrame(() => list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }))
    } else if (e.key === 'Enter') { e.preventDefault(); if (rows[index]) run(rows[index]); else if (text) { close(); openScanned(text) } }
  }
  return html`<${Dialog} title=${t('keys.palette')} class="palette" onClose=${close}>
    <div class="palette-box"><${Icon} name="search" />
      <input role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant=${rows.length ? 'palette-' + index : undefined} aria-label=${t('keys.palette_hint')} placeholder=${t('keys.palette_hint')}
        autofocus autocomplete="off" spellcheck="false" value=${q} onInput=${e => { setQ(e.currentTarget.value); setAt(0) }} onKeyDown=${keys} />${busy && html`<span class="spin" aria-hidden="true"></span>`}</div>
    <ul role="listbox" id="palette-list" aria-label=${t('keys.palette')} ref=${list}>${rows.map((row, i) => html`<li role="option" id=${'palette-' + i} key=${i} aria-selected=${String(i === index)} onMouseMove=${() => { if (i !== index) setAt(i) }} onClick=${() => run(row)}>
      <${Icon} name=${row.icon} /><span class="grow">${row.word}</span>${row.note && html`<span class="quiet">${row.note}</span>`}</li>`)}</ul>
    ${!rows.length && !busy && html`<p class="quiet pad" role="status">${t('keys.no_match')}</p>`}
  <//>`
}
