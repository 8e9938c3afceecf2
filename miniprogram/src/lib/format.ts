// Amounts, volumes, times and distances as riders read them.

import type { Words } from './words'

export function yuan(fen: number): string {
  const sign = fen < 0 ? '-' : ''
  const n = Math.abs(fen)
  return `${sign}¥${Math.floor(n / 100)}.${String(n % 100).padStart(2, '0')}`
}

/** Milli-yuan per litre; the third digit only where there is one. */
export function unitPrice(milli: number): string {
  const s = `${Math.floor(milli / 1000)}.${String(milli % 1000).padStart(3, '0')}`
  return `¥${s.endsWith('0') ? s.slice(0, -1) : s}`
}

export function litres(ml: number): string {
  return `${Math.floor(ml / 1000)}.${String(Math.floor((ml % 1000) / 10)).padStart(2, '0')} L`
}

/** A running clock: 0:07, 12:30, 1:02:03. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  const h = Math.floor(s / 3600)
  return h > 0 ? `${h}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`
}

export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (values[name] === undefined ? whole : String(values[name])))
}

/** A length of time in words, rounded up: 40 seconds, 5 minutes, 2 hours. */
export function span(seconds: number, t: Words): string {
  const s = Math.max(0, Math.ceil(seconds))
  if (s < 90) return fill(t.common.seconds, { n: s })
  if (s < 5400) return fill(t.common.minutes, { n: Math.ceil(s / 60) })
  return fill(t.common.hours, { n: Math.ceil(s / 3600) })
}

export function distance(m: number, t: Words): string {
  if (m < 1000) return fill(t.common.metres, { n: m < 100 ? m : Math.round(m / 10) * 10 })
  return fill(t.common.kilometres, { n: (m / 1000).toFixed(1) })
}

/** The time of day on this phone. */
export function hour(time: string): string {
  const d = new Date(time)
  return `${String(d.getHours()).padStart(2, '0')}:${String(d.getMinutes()).padStart(2, '0')}`
}

export function day(time: string): string {
  const d = new Date(time)
  return `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, '0')}-${String(d.getDate()).padStart(2, '0')} ${hour(time)}`
}

/** Reads what a rider typed as yuan; undefined where it is no amount with at most two digits behind the point. */
export function parseYuan(text: string): number | undefined {
  const m = /^\s*(\d{1,5})(?:[.。](\d{1,2}))?\s*$/.exec(text)
  if (!m) return undefined
  const fen = Number(m[1]) * 100 + Number((m[2] ?? '').padEnd(2, '0'))
  return fen > 0 ? fen : undefined
}
