// How figures and times read, in the language in use.
import { html, signal } from './html.js'
import { language, t } from './words.js'

/** Ticks every ten seconds, so that relative times stay true. */
export const tick = signal(Date.now())
setInterval(() => { if (!document.hidden) tick.value = Date.now() }, 10_000)

/** @type {Map<string, any>} */
const made = new Map()

function intl(Kind, options) {
  const key = Kind.name + language.value + JSON.stringify(options)
  let f = made.get(key)
  if (!f) made.set(key, f = new Kind(language.value, options))
  return f
}

/** @param {number | null | undefined} n */
export const number = (n, digits = 0) => n == null ? '–' : intl(Intl.NumberFormat, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(n)

/**
 * Fen as yuan: 150 is ¥1.50, -5 is −¥0.05. Exact: no float holds more than 2^53 Fen.
 * @param {number | null | undefined} fen
 */
export function money(fen) {
  if (fen == null) return '–'
  const whole = Math.trunc(Math.abs(fen) / 100), rest = String(Math.abs(fen) % 100).padStart(2, '0')
  return (fen < 0 ? '−' : '') + '¥' + number(whole) + '.' + rest
}

/** Millilitres as litres with three places. @param {number | null | undefined} ml */
export const litres = (ml, digits = 2) => ml == null ? '–' : number(ml / 1000, digits) + ' L'

/** A share from 0 to 1 as a percentage. @param {number | null | undefined} x */
export const percent = (x, digits = 0) => x == null ? '–' : intl(Intl.NumberFormat, { style: 'percent', maximumFractionDigits: digits }).format(x)

/** A length of time in milliseconds, in the two greatest units. @param {number | null | undefined} ms */
export function duration(ms) {
  if (ms == null) return '–'
  if (ms < 1000) return number(Math.round(ms)) + ' ms'
  return age(ms / 1000, ms < 10_000 ? 1 : 0)
}

/** Seconds, in the two greatest units: 3 m 20 s, 5 h, 2 d 4 h. @param {number | null | undefined} seconds */
export function age(seconds, digits = 0) {
  if (seconds == null) return '–'
  const s = Math.max(0, seconds)
  if (s < 60) return number(s, digits) + ' ' + t('unit.s')
  const parts = [[86400, 'unit.d'], [3600, 'unit.h'], [60, 'unit.m'], [1, 'unit.s']]
  let rest = Math.floor(s), said = []
  const from = parts.findIndex(([size]) => rest >= Number(size))
  for (const [size, unit] of parts.slice(from, from + 2)) {
    const n = Math.floor(rest / Number(size))
    rest -= n * Number(size)
    if (n) said.push(number(n) + ' ' + t(String(unit)))
  }
  return said.join(' ')
}

/** How long ago, or in how long, in words: 5 minutes ago. @param {string | number | Date} at @param {number} [now] */
export function relative(at, now = tick.value) {
  const s = (new Date(at).getTime() - now) / 1000
  const f = intl(Intl.RelativeTimeFormat, { numeric: 'auto', style: 'short' })
  const size = Math.abs(s)
  if (size < 45) return f.format(Math.min(0, Math.round(s / 10) * 10) || 0, 'second')
  if (size < 3600) return f.format(Math.round(s / 60), 'minute')
  if (size < 86400) return f.format(Math.round(s / 3600), 'hour')
  if (size < 30 * 86400) return f.format(Math.round(s / 86400), 'day')
  if (size < 365 * 86400) return f.format(Math.round(s / 30 / 86400), 'month')
  return f.format(Math.round(s / 365 / 86400), 'year')
}

/** Date and time to the second, in the zone, or this browser's. @param {string | number | Date} at @param {string} [zone] */
export const absolute = (at, zone) => intl(Intl.DateTimeFormat, { dateStyle: 'medium', timeStyle: 'medium', timeZone: zone }).format(new Date(at))

/** Time of day to the second. @param {string | number | Date} at @param {string} [zone] */
export const clock = (at, zone) => intl(Intl.DateTimeFormat, { timeStyle: 'medium', timeZone: zone }).format(new Date(at))

/** Time of day to the minute. @param {string | number | Date} at @param {string} [zone] */
export const minute = (at, zone) => intl(Intl.DateTimeFormat, { timeStyle: 'short', timeZone: zone }).format(new Date(at))

/** The day. @param {string | number | Date} at @param {string} [zone] */
export const day = (at, zone) => intl(Intl.DateTimeFormat, { dateStyle: 'medium', timeZone: zone }).format(new Date(at))

/**
 * A time for people: relative, with the exact one in the zone and UTC as its title.
 * @param {string | number | Date | null | undefined} at RFC 3339
 * @param {string} [zone] IANA name; absent: this browser's
 */
export function when(at, zone) {
  if (at == null || at === '' || at === 0) return html`<span class="quiet">–</span>`
  const iso = new Date(at).toISOString()
  return html`<time datetime=${iso} title=${absolute(at, zone) + ' · ' + iso.replace('.000', '')}>${relative(at)}</time>`
}

/** A time to the second, with UTC as its title. @param {string | number | Date | null | undefined} at @param {string} [zone] */
export function at(at, zone) {
  if (at == null || at === '' || at === 0) return html`<span class="quiet">–</span>`
  const iso = new Date(at).toISOString()
  return html`<time datetime=${iso} title=${iso}>${absolute(at, zone)}</time>`
}

/** A zone as times are read in it now: GMT+8. @param {string} [zone] absent: this browser's */
export const zoneName = zone => intl(Intl.DateTimeFormat, { timeZone: zone, timeZoneName: 'shortOffset' }).formatToParts(new Date()).find(p => p.type === 'timeZoneName')?.value ?? zone ?? ''
