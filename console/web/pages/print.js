// Printing labels: which template, where on the sheet, and how it will look.
import { html, useMemo, useState } from '../lib/html.js'
import { get } from '../lib/api.js'
import { t } from '../lib/words.js'
import { number } from '../lib/format.js'
import { Button, Card, Field, ProblemBox, Select, useLoad } from '../lib/ui.js'
import { Download } from './office.js'

const most = 1000 // labels of one answer of the server

const kept = () => { try { return JSON.parse(localStorage.getItem('unlatch.print') ?? '{}') } catch { return {} } }

/**
 * Labels of a batch, or of one code that stands alone.
 * @param {{batch?: any, code?: any, first?: any, label?: string, onLabel?: (label: string) => void}} props label: one of the batch to print again
 */
export function PrintCard({ batch, code, first, label = '', onLabel }) {
  const sheets = useLoad(async abort => (await get('/codes/sheets', {}, abort)).sheets, [])
  const [f, setForm] = useState(() => ({ sheet: 'a4-3x8', dpi: '300', start: '1', x: '0', y: '0', ...kept(), from: '1', to: '' }))
  const set = change => setForm(o => {
    const next = { ...o, ...change }
    // The printer and its offset stay the same from one day to the next; the rest does not.
    try { localStorage.setItem('unlatch.print', JSON.stringify({ sheet: next.sheet, dpi: next.dpi, x: next.x, y: next.y })) } catch { /* a private window keeps nothing */ }
    return next
  })
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const sheet = sheets.data?.find(s => s.name === f.sheet) ?? sheets.data?.[0]
  const perPage = sheet ? sheet.columns * sheet.rows : 1
  const start = clamp(f.start, 1, perPage), x = Number(f.x) || 0, y = Number(f.y) || 0
  const from = label ? Number(label) : clamp(f.from, 1, batch?.count ?? 1), to = label ? Number(label) : f.to ? clamp(f.to, from, batch?.count ?? 1) : batch?.count ?? 1
  const count = to - from + 1, pages = Math.ceil((count + start - 1) / perPage)
  const params = { sheet: sheet?.name, dpi: f.dpi, start, offset_x: x, offset_y: y, ...(batch && { first: from, last: to }) }
  const path = batch ? `/codes/batches/${batch.id}` : `/codes/${code?.number}`
  const name = batch ? `${batch.venue}-${batch.id.slice(-12)}${from > 1 || to < batch.count ? `-${from}-${to}` : ''}` : code?.printed
  const parts = batch && count > most ? Array.from({ length: Math.ceil(count / most) }, (_, i) => [from + i * most, Math.min(to, from + (i + 1) * most - 1)]) : null
  const single = perPage === 1
  return html`<${Card} title=${t('print.title')} id="print" class="print">
    <${ProblemBox} problem=${sheets.problem} retry=${sheets.reload} />
    <div class="print-box">
      <div class="stack">
        <${Select} label=${t('print.sheet')} value=${sheet?.name} onChange=${v => set({ sheet: v, start: '1' })} options=${(sheets.data ?? []).map(s => [s.name, sheetWord(s)])} />
        <div class="fields">
          ${!single && html`<${Field} label=${t('print.start')} type="number" min="1" max=${perPage} value=${f.start} onInput=${v => set({ start: v })} hint=${t('print.start_hint')} />`}
          ${batch && !label && html`<${Field} label=${t('print.from')} type="number" min="1" max=${batch.count} value=${f.from} onInput=${v => set({ from: v })} />
            <${Field} label=${t('print.to')} type="number" min="1" max=${batch.count} value=${f.to} placeholder=${String(batch.count)} onInput=${v => set({ to: v })} />`}
          <${Select} label=${t('print.dpi')} value=${f.dpi} onChange=${v => set({ dpi: v })} options=${[['203', '203 dpi'], ['300', '300 dpi'], ['600', '600 dpi'], ['1200', '1200 dpi']]} />
        </div>
        ${label && html`<p class="note">${t('print.only', { n: label })} <${Button} small kind="quiet" icon="x" onClick=${() => onLabel?.('')}>${t('print.whole')}<//></p>`}
        <details class="offset" open=${x !== 0 || y !== 0}><summary>${t('print.offset')}</summary>
          <p class="quiet">${t('print.offset_text')}</p>
          <div class="fields"><${Field} label=${t('print.right')} type="number" step="0.1" min="-10" max="10" unit="mm" value=${f.x} onInput=${v => set({ x: v })} /><${Field} label=${t('print.down')} type="number" step="0.1" min="-10" max="10" unit="mm" value=${f.y} onInput=${v => set({ y: v })} /></div>
          <${Download} small icon="print" path="/codes/ruler.pdf" params=${{ sheet: sheet?.name, offset_x: x, offset_y: y }} name=${`ruler-${sheet?.name}.pdf`} onProblem=${setProblem}>${t('print.ruler')}<//>
        </details>
        <p class="quiet">${single ? t('print.rolls', { n: count }) : t('print.pages', { n: pages, labels: number(count) })} ${t('print.scale')}</p>
        <${ProblemBox} problem=${problem} />
        ${parts ? html`<p>${t('print.parts', { n: number(most) })}</p><div class="actions wrap">${parts.map(([a, b]) => html`<${Download} key=${a} small icon="print" path=${path + '/sheet.pdf'} params=${{ ...params, first: a, last: b }} name=${`${batch.venue}-${batch.id.slice(-12)}-${a}-${b}.pdf`} onProblem=${setProblem}>${number(a)}–${number(b)}<//>`)}</div>`
          : html`<div class="actions wrap">
            <${Download} kind="primary" icon="print" path=${path + (batch ? '/sheet.pdf' : '/label.pdf')} params=${params} name=${name + '.pdf'} onProblem=${setProblem}>PDF<//>
            ${single && html`<${Download} path=${path + (batch ? '/labels.zpl' : '/label.zpl')} params=${params} name=${name + '.zpl'} onProblem=${setProblem}>ZPL<//>`}
            ${batch && html`<${Download} path=${path + '/labels.zip'} params=${params} name=${name + '.zip'} onProblem=${setProblem}>ZIP (SVG)<//>
              <${Download} path=${path + '/labels.zip'} params=${{ ...params, format: 'png' }} name=${name + '-png.zip'} onProblem=${setProblem}>ZIP (PNG)<//>
              <${Download} path=${path + '/codes.csv'} params=${params} name=${name + '.csv'} onProblem=${setProblem}>CSV<//>`}
          </div>`}
        ${!single && html`<p class="quiet">${t('print.zpl_hint')}</p>`}
      </div>
      ${sheet && html`<${Preview} sheet=${sheet} start=${start} from=${from} count=${count} x=${x} y=${y} symbol=${(code ?? first)?.number} onStart=${n => set({ start: String(n) })} />`}
    </div>
  <//>`
}

const clamp = (text, least, limit) => Math.min(limit, Math.max(least, Math.trunc(Number(text)) || least))

const sheetWord = s => s.columns * s.rows === 1
  ? t('print.roll', { w: s.label_width_mm, h: s.label_height_mm }) : t('print.paper', { n: s.columns * s.rows, w: s.label_width_mm, h: s.label_height_mm, name: s.name })

// The first page in millimetres. A click on a label begins there.
function Preview({ sheet, start, from, count, x, y, symbol, onStart }) {
  const labels = useMemo(() => Array.from({ length: sheet.columns * sheet.rows }, (_, i) => ({
    i, left: sheet.left_mm + i % sheet.columns * sheet.pitch_x_mm, top: sheet.top_mm + Math.floor(i / sheet.columns) * sheet.pitch_y_mm,
  })), [sheet])
  const { label_width_mm: w, label_height_mm: h, page_width_mm: pw, page_height_mm: ph } = sheet
  const beside = w > h * 1.2, side = beside ? Math.min(h, w / 2) * .82 : Math.min(w, h * .72) * .82
  const last = Math.min(labels.length, start - 1 + count)
  const small = Math.min(w, h) / (beside ? 3.6 : 7)
  return html`<figure class="preview" data-test="preview" data-used=${last - start + 1}>
    <svg viewBox=${`-1 -1 ${pw + 2} ${ph + 2}`} role="img" aria-label=${t('print.preview', { n: last - start + 1, start })}>
      <rect class="paper" width=${pw} height=${ph} rx=${labels.length === 1 ? 2 : 0} />
      ${labels.map(l => {
        const used = l.i >= start - 1 && l.i < last
        return html`<g key=${l.i} class=${used ? 'used' : 'left'} transform=${`translate(${l.left} ${l.top})`} onClick=${() => labels.length > 1 && onStart(l.i + 1)}>
          <rect class="edge" width=${w} height=${h} rx="1.5" />
          ${used ? html`<g transform=${`translate(${x} ${y})`}>
            ${symbol && l.i === start - 1 ? html`<image href=${`/v1/operator/codes/${symbol}/symbol.svg`} x=${beside ? (h - side) / 2 : (w - side) / 2} y=${beside ? (h - side) / 2 : h * .06} width=${side} height=${side} />`
              : html`<${Finder} x=${beside ? (h - side) / 2 : (w - side) / 2} y=${beside ? (h - side) / 2 : h * .06} side=${side} />`}
            <text x=${beside ? h + (w - h) / 2 : w / 2} y=${beside ? h / 2 + small / 2 : h * .06 + side + small * 1.6} font-size=${small} text-anchor="middle">${from + l.i - start + 1}</text></g>`
            : html`<line x1="2" y1="2" x2=${w - 2} y2=${h - 2} />`}
        </g>`
      })}
    </svg>
    <figcaption class="quiet">${labels.length > 1 ? t('print.preview_hint') : t('print.preview_one')}</figcaption>
  </figure>`
}

// Where a symbol will stand: its three corners.
function Finder({ x, y, side }) {
  const q = side * .28
  return html`<g class="finder" transform=${`translate(${x} ${y})`}>${[[0, 0], [side - q, 0], [0, side - q]].map(([a, b]) => html`<g transform=${`translate(${a} ${b})`}><rect width=${q} height=${q} class="ring" stroke-width=${q / 7} /><rect x=${q * .3} y=${q * .3} width=${q * .4} height=${q * .4} /></g>`)}
    <rect x=${side * .42} y=${side * .42} width=${side * .16} height=${side * .16} opacity=".5" /><rect x=${side * .72} y=${side * .72} width=${side * .2} height=${side * .2} opacity=".5" /></g>`
}
