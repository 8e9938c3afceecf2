// Showing facts: pairs, steps in time, files to take along.
import { html } from './html.js'
import { Icon } from './icons.js'

/**
 * Pairs of name and value. Rows that are null or false are left out.
 * @param {{rows: Array<[any, any] | {key: any, value: any} | null | false | undefined>, class?: string}} props
 */
export function KeyValue({ rows, class: more }) {
  return html`<dl class=${'pairs ' + (more ?? '')}>${rows.filter(Boolean).map(row => {
    const [k, v] = Array.isArray(row) ? row : [/** @type {any} */ (row).key, /** @type {any} */ (row).value]
    return html`<div><dt>${k}</dt><dd>${v ?? html`<span class="quiet">–</span>`}</dd></div>`
  })}</dl>`
}

/**
 * Steps in time, the first one first.
 * @param {{steps: Array<{title: any, text?: any, time?: any, tone?: string, icon?: string} | null | false>}} props tone: ok, busy, warn, bad, off
 */
export function Timeline({ steps }) {
  return html`<ol class="timeline">${steps.filter(Boolean).map(step => {
    const s = /** @type {any} */ (step)
    return html`<li class=${s.tone ?? 'off'}><span class="mark"><${Icon} name=${s.icon ?? { ok: 'ok', busy: 'clock', warn: 'warn', bad: 'bad' }[s.tone] ?? 'minus'} /></span>
      <div class="step"><div class="step-head"><span class="step-title">${s.title}</span>${s.time && html`<span class="quiet">${s.time}</span>`}</div>${s.text && html`<div class="step-text">${s.text}</div>`}</div></li>`
  })}</ol>`
}

/**
 * A file of comma-separated values as spreadsheets open it: with a byte order mark. A
 * cell that a spreadsheet would run as a formula gets a quote before it.
 * @param {Array<{key?: string, title: string, csv?: (row: any) => any}>} columns
 * @param {any[]} rows
 */
export function csv(columns, rows) {
  const cell = v => {
    let s = v == null ? '' : String(v)
    if (/^[=+\-@\t\r]/.test(s) && !/^-?\d+([.,]\d+)?$/.test(s)) s = "'" + s
    return /[",\r\n]/.test(s) ? '"' + s.replaceAll('"', '""') + '"' : s
  }
  const lines = [columns.map(c => c.title), ...rows.map(row => columns.map(c => c.csv ? c.csv(row) : row[c.key ?? '']))]
  return '\ufeff' + lines.map(line => line.map(cell).join(',')).join('\r\n') + '\r\n'
}

/**
 * Hands a file of these rows to the browser.
 * @param {string} name without .csv
 * @param {Array<{key?: string, title: string, csv?: (row: any) => any}>} columns csv: the cell's value, else row[key]
 * @param {any[]} rows
 */
export function exportCSV(name, columns, rows) {
  const url = URL.createObjectURL(new Blob([csv(columns, rows)], { type: 'text/csv;charset=utf-8' }))
  const a = Object.assign(document.createElement('a'), { href: url, download: name + '.csv' })
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
