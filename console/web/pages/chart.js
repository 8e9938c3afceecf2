// Charts by day, in the colours of the page. A table of the same figures stands beside
// each chart: a canvas says nothing to who cannot see it.
import uPlot from 'uplot'
import { html, useEffect, useRef } from '../lib/html.js'
import { language } from '../lib/words.js'
import { colour, isDark } from '../lib/look.js'
import { style } from './office.js'

await style('../vendor/uPlot.min.css')

/**
 * @typedef {{label: string, values: Array<number | null>, colour: string, bars?: boolean, side?: number}} Series
 *   colour: a name of style.css, such as --ok. side: of several bars on a day, -1 left, 1 right
 */

/**
 * @param {{days: string[], series: Series[], format?: (v: number) => string, label: string, height?: number}} props
 *   days: 2006-01-02
 */
export function DayChart({ days, series, format = String, label, height = 200 }) {
  const box = useRef(/** @type {any} */ (null))
  const dark = isDark(), lang = language.value
  useEffect(() => {
    const at = box.current
    if (!at || !days.length) return
    const width = () => Math.max(220, at.clientWidth)
    const quiet = colour('--quiet') || (dark ? '#aab' : '#556'), line = colour('--line') || (dark ? '#334' : '#dde')
    const short = new Intl.DateTimeFormat(lang, { month: 'short', day: 'numeric', timeZone: 'UTC' })
    const pairs = series.filter(s => s.side).length > 1
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: '12px system-ui, sans-serif' }
    const plot = new uPlot({
      width: width(), height, legend: { show: false }, cursor: { y: false, points: { size: 6 } }, padding: [10, 8, 0, 0],
      scales: { x: { time: false, range: () => [-.6, days.length - .4] }, y: { range: (_, least, most) => [Math.min(0, least), most > 0 ? most * 1.08 : 1] } },
      axes: [
        { ...axis, grid: { show: false }, values: (_, ticks) => ticks.map(i => Number.isInteger(i) && days[i] ? short.format(new Date(days[i] + 'T00:00:00Z')) : ''),
          splits: () => { const step = Math.max(1, Math.ceil(days.length / Math.max(2, Math.floor(width() / 70)))); return days.map((_, i) => i).filter(i => i % step === 0) } },
        { ...axis, size: 62, values: (_, ticks) => ticks.map(v => format(v)) },
      ],
      series: [{}, ...series.map(s => ({ label: s.label, stroke: colour(s.colour), fill: s.bars ? colour(s.colour) : undefined, width: s.bars ? 0 : 2, points: { show: !s.bars && days.length < 40, size: 5 },
        ...(s.bars && { paths: uPlot.paths.bars?.({ size: pairs ? [.34, 34] : [.62, 48], align: /** @type {any} */ (s.side ?? 0) }) }) }))],
    }, /** @type {any} */ ([days.map((_, i) => i), ...series.map(s => s.values)]), at)
    const watch = new ResizeObserver(() => plot.setSize({ width: width(), height }))
    watch.observe(at)
    return () => { watch.disconnect(); plot.destroy() }
  }, [days.join(), JSON.stringify(series), dark, lang, height])
  return html`<figure class="chart" role="img" aria-label=${label}>
    <div class="chart-box" ref=${box} style=${{ minHeight: height + 'px' }}></div>
    ${series.length > 1 && html`<figcaption>${series.map(s => html`<span><i style=${{ background: `var(${s.colour})` }}></i>${s.label}</span>`)}</figcaption>`}
  </figure>`
}
