// What the pages of the office share: venues by name, files to take along, secrets
// that are shown once, the style sheet of these pages.
import { html, signal, useEffect, useState } from '../lib/html.js'
import { Problem, address, get } from '../lib/api.js'
import { zoneName } from '../lib/format.js'
import { t } from '../lib/words.js'
import { Button, Icon, copy, problemWords, toast } from '../lib/ui.js'
import { save } from './archive.js'
import '../words/facts.js'
import '../words/office.js'

/**
 * Loads a style sheet beside this module, once. A page waits for it, so that nothing
 * is drawn without.
 * @param {string} path from pages/
 */
export function style(path) {
  const at = new URL(path, import.meta.url).href
  return new Promise(done => {
    if (document.querySelector(`link[href="${at}"]`)) return done(undefined)
    const link = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: at, onload: done, onerror: done })
    document.head.append(link)
  })
}

await style('./office.css')

/** @type {any} */
const venueList = signal(null)
let asked = 0

/** Reads the venues again, after one changed. */
export async function reloadVenues() {
  asked = Date.now()
  try { venueList.value = (await get('/venues')).venues } catch { venueList.value ??= [] }
}

/**
 * The venues; an empty list until they are known.
 * @returns {{venues: any[], known: boolean, name: (id?: string) => string, zone: (id?: string) => string | undefined, options: (all?: any) => Array<[string, string]>}}
 */
export function useVenues() {
  useEffect(() => { if (Date.now() - asked > 30_000) reloadVenues() }, [])
  const venues = venueList.value ?? []
  const find = id => venues.find(v => v.id === id)
  return { venues, known: venueList.value !== null, name: id => find(id)?.name ?? id ?? '', zone: id => find(id)?.time_zone,
    options: all => [...(all === undefined ? [] : [/** @type {[string, string]} */ (['', all])]), ...venues.map(v => /** @type {[string, string]} */ ([v.id, v.name]))] }
}

/** Which zone the times of a card or a page are in, told once: the venue's, or this browser's. @param {{venue?: string}} props */
export function Zone({ venue }) {
  const { zone } = useVenues(), name = zone(venue)
  return html`<span class="quiet zone" title=${name}>${t('part.zone', { zone: zoneName(name) })}</span>`
}

/** A file of the API, or its problem. @param {string} path @param {Record<string, any>} [params] */
export async function fetchFile(path, params) {
  const answer = await fetch(address(path, params), { credentials: 'same-origin', cache: 'no-store' }).catch(() => { throw new Problem(0, { code: 'no_answer' }) })
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})))
  return answer.blob()
}

/**
 * A button that takes a file of the API along and says where that failed.
 * @param {{path: string, params?: Record<string, any>, name: string, kind?: string, icon?: string, small?: boolean, disabled?: boolean, onProblem?: (problem: any) => void, children?: any}} props
 */
export function Download({ path, params, name, kind, icon = 'import', small, disabled, onProblem, children }) {
  const [busy, setBusy] = useState(false)
  const run = async () => {
    setBusy(true)
    onProblem?.(null)
    try { save(await fetchFile(path, params), name) } catch (p) {
      if (onProblem) onProblem(p)
      else { const { title, text } = problemWords(p); toast([title, text].filter(Boolean).join(': '), 'bad') }
    } finally { setBusy(false) }
  }
  return html`<${Button} kind=${kind} icon=${icon} small=${small} disabled=${disabled} busy=${busy} onClick=${run}>${children}<//>`
}

/** A text that is shown this once. @param {{label: any, text: string, hint?: any}} props */
export function Secret({ label, text, hint }) {
  return html`<div class="secret" role="group" aria-label=${label}>
    <p class="secret-label"><${Icon} name="key" />${label}</p>
    <div class="secret-box"><code>${text}</code><${Button} small icon="copy" onClick=${() => copy(text)}>${t('office.copy')}<//></div>
    <p class="hint">${hint ?? t('office.once')}</p>
  </div>`
}

/** A figure with its name. @param {{label: any, value: any, sub?: any, tone?: string}} props */
export function Figure({ label, value, sub, tone }) {
  return html`<div class=${'figure ' + (tone ?? '')}><span>${label}</span><b>${value}</b>${sub && html`<span>${sub}</span>`}</div>`
}

/** A bar from 0 to 1. @param {{value: number, label: string, tone?: string}} props */
export function Bar({ value, label, tone = 'busy' }) {
  const share = Math.max(0, Math.min(1, value || 0))
  return html`<div class=${'bar ' + tone} role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)}><span style=${{ width: share * 100 + '%' }}></span></div>`
}

/** Local date and time of an input, as RFC 3339; '' stays ''. @param {string} local */
export const instant = local => local ? new Date(local).toISOString() : ''

/** What an input of type datetime-local shows for a moment. @param {Date | string | number} at */
export function localInput(at) {
  const d = new Date(at)
  return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

/** A key for a form that may be sent twice and must count once. randomUUID is missing on plain http. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, '0')).join('')
