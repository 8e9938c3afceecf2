// Tables: real ones, with the arrow keys for rows and Enter to open one.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from './html.js'
import { Icon } from './icons.js'
import { t } from './words.js'

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {any} title
 * @property {(row: any) => any} [render] absent: row[key]
 * @property {'start' | 'end' | 'center'} [align] end for figures
 * @property {boolean | ((row: any) => any)} [sort] value to sort by; true: row[key]
 * @property {boolean} [wide] hidden on a phone
 * @property {string} [class]
 * @property {string} [width] CSS width
 */

/**
 * @typedef {object} TableProps
 * @property {Column[]} columns
 * @property {any[]} rows
 * @property {(row: any) => void} [onOpen]
 * @property {(row: any) => any} [rowKey] absent: row.id
 * @property {any} [empty] shown instead of no rows
 * @property {string} [label]
 * @property {{key: string, down: boolean}} [sorted] the order to begin with
 * @property {(sorted: {key: string, down: boolean}) => void} [onSort]
 * @property {(row: any) => string} [rowClass]
 * @property {Set<any>} [selected] keys of ticked rows; with onSelect rows can be ticked
 * @property {(selected: Set<any>) => void} [onSelect]
 * @property {(row: any | null, index: number) => void} [onActive] the row that the keyboard is on
 */

const valueOf = (column, row) => typeof column.sort === 'function' ? column.sort(row) : row[column.key]

/** Sorts by a column, missing values last either way. @param {Column[]} columns @param {any[]} rows @param {{key: string, down: boolean} | null | undefined} by */
export function sortRows(columns, rows, by) {
  const column = by && columns.find(c => c.key === by.key)
  if (!by || !column?.sort) return rows
  const sign = by.down ? -1 : 1
  const text = new Intl.Collator(undefined, { numeric: true })
  return [...rows].sort((a, b) => {
    const x = valueOf(column, a), y = valueOf(column, b)
    if (x == null || y == null) return (x == null ? 1 : 0) - (y == null ? 1 : 0)
    return sign * (typeof x === 'number' && typeof y === 'number' ? x - y : text.compare(String(x), String(y)))
  })
}

/** @param {any} props */
function Head({ columns, by, setBy, onSelect, allOn, toggleAll }) {
  return html`<thead><tr>
    ${onSelect && html`<th class="tick" scope="col"><input type="checkbox" checked=${allOn} aria-label=${t('ui.select_all')} onChange=${toggleAll} /></th>`}
    ${columns.map(c => html`<th key=${c.key} scope="col" class=${`${c.align ?? ''} ${c.wide ? 'wide-only' : ''} ${c.class ?? ''}`} style=${c.width ? { width: c.width } : undefined}
        aria-sort=${c.sort ? by?.key === c.key ? by.down ? 'descending' : 'ascending' : 'none' : undefined}>
      ${c.sort ? html`<button type="button" class="sorter" onClick=${() => setBy({ key: c.key, down: by?.key === c.key ? !by.down : false })}>${c.title}<${Icon} name=${by?.key === c.key ? by.down ? 'down' : 'up' : 'sort'} class=${by?.key === c.key ? '' : 'faint'} /></button>` : c.title}
    </th>`)}
  </tr></thead>`
}

/** @param {any} props */
function Cells({ columns, row, onSelect, ticked, toggle }) {
  return html`${onSelect && html`<td class="tick"><input type="checkbox" tabindex="-1" checked=${ticked} aria-label=${t('ui.select_row')} onClick=${e => e.stopPropagation()} onChange=${toggle} /></td>`}
    ${columns.map(c => html`<td key=${c.key} class=${`${c.align ?? ''} ${c.wide ? 'wide-only' : ''} ${c.class ?? ''}`}>${c.render ? c.render(row) : row[c.key]}</td>`)}`
}

/** What both tables share: order, the row that the keyboard is on, ticks. @param {TableProps} props @param {(index: number) => void} show */
function useTable({ columns, rows, onOpen, rowKey, sorted, onSort, selected, onSelect, onActive }, show) {
  const [by, setByState] = useState(sorted ?? null)
  const setBy = next => { setByState(next); onSort?.(next) }
  const keyOf = rowKey ?? (row => row.id)
  const list = useMemo(() => sortRows(columns, rows, by), [rows, by, columns])
  const [activeKey, setActiveKey] = useState(/** @type {any} */ (undefined))
  const found = activeKey === undefined ? -1 : list.findIndex(row => keyOf(row) === activeKey)
  const active = Math.max(0, found)
  const last = useRef(-1)
  const activate = index => {
    const to = Math.min(list.length - 1, Math.max(0, index))
    if (!list[to]) return
    setActiveKey(keyOf(list[to]))
    onActive?.(list[to], to)
    show(to)
  }
  const toggle = (row, index, range) => {
    const next = new Set(selected)
    const key = keyOf(row)
    const on = !next.has(key)
    const [from, to] = range && last.current >= 0 ? [Math.min(last.current, index), Math.max(last.current, index)] : [index, index]
    for (let i = from; i <= to; i++) next[on ? 'add' : 'delete'](keyOf(list[i]))
    last.current = index
    onSelect?.(next)
  }
  const keys = e => {
    if (e.target instanceof HTMLElement && e.target.matches('input:not([type=checkbox]), select, textarea')) return
    const on = e.target instanceof HTMLElement && e.target.matches('a, button')
    const page = 12
    const to = { ArrowDown: active + 1, ArrowUp: active - 1, Home: 0, End: list.length - 1, PageDown: active + page, PageUp: active - page, j: active + 1, k: active - 1 }[e.key]
    if (e.ctrlKey || e.metaKey || e.altKey) return
    if (to !== undefined) { e.preventDefault(); activate(to) }
    else if (e.key === 'Enter' && onOpen && !on && list[active]) { e.preventDefault(); onOpen(list[active]) }
    else if (e.key === ' ' && onSelect && !on && list[active]) { e.preventDefault(); toggle(list[active], active, e.shiftKey) }
  }
  const allOn = onSelect != null && list.length > 0 && list.every(row => selected?.has(keyOf(row)))
  const toggleAll = () => onSelect?.(allOn ? new Set() : new Set(list.map(keyOf)))
  return { by, setBy, list, keyOf, active, activate, toggle, keys, allOn, toggleAll }
}

// opens tells whether a click on a row means the row and not what lies in it.
const opens = e => !e.target.closest('a, button, input, select, summary, label') && !String(getSelection())

/**
 * A table of up to some hundreds of rows.
 * @param {TableProps} props
 */
export function DataTable(props) {
  const { columns, onOpen, empty, label, rowClass, selected, onSelect } = props
  const body = useRef(/** @type {any} */ (null))
  const focus = index => requestAnimationFrame(() => body.current?.rows[index]?.focus())
  const s = useTable(props, focus)
  if (!props.rows.length && empty) return empty
  return html`<div class="table-box"><table class="table" aria-label=${label}>
    <${Head} columns=${columns} by=${s.by} setBy=${s.setBy} onSelect=${onSelect} allOn=${s.allOn} toggleAll=${s.toggleAll} />
    <tbody ref=${body} onKeyDown=${s.keys}>
      ${s.list.map((row, i) => html`<tr key=${s.keyOf(row)} tabindex=${i === s.active ? 0 : -1} class=${`${onOpen ? 'opens' : ''} ${rowClass?.(row) ?? ''}`}
          onFocus=${e => { if (e.target === e.currentTarget && i !== s.active) s.activate(i) }} onClick=${e => { if (onOpen && opens(e)) onOpen(row) }}>
        <${Cells} columns=${columns} row=${row} onSelect=${onSelect} ticked=${selected?.has(s.keyOf(row))} toggle=${e => s.toggle(row, i, e.shiftKey)} />
      </tr>`)}
    </tbody>
  </table></div>`
}

/**
 * A table of any number of rows: only what is in view is in the page. Rows are one
 * line high. It fills the box that it stands in, which needs a height.
 * @param {TableProps & {height?: string}} props
 */
export function VirtualTable(props) {
  const { columns, onOpen, empty, label, rowClass, selected, onSelect, height } = props
  const box = useRef(/** @type {any} */ (null)), body = useRef(/** @type {any} */ (null))
  const [view, setView] = useState({ top: 0, high: 600, row: 33 })
  const wanted = useRef(-1)
  const show = index => {
    const b = box.current, head = b.querySelector('thead').offsetHeight
    const top = index * view.row
    if (top < b.scrollTop) b.scrollTop = top
    else if (top + view.row > b.scrollTop + b.clientHeight - head) b.scrollTop = top + view.row - b.clientHeight + head
    wanted.current = index
    setView(v => ({ ...v, top: b.scrollTop }))
  }
  const s = useTable(props, show)
  const count = s.list.length
  useLayoutEffect(() => {
    const b = box.current
    if (!b) return
    const measure = () => {
      const row = body.current?.querySelector('tr[aria-rowindex]')?.getBoundingClientRect().height || view.row
      setView(v => v.high === b.clientHeight && Math.abs(v.row - row) < .01 ? v : { ...v, high: b.clientHeight, row })
    }
    const watch = new ResizeObserver(measure)
    watch.observe(b)
    measure()
    return () => watch.disconnect()
  }, [count > 0])
  const from = Math.max(0, Math.floor(view.top / view.row) - 10)
  const to = Math.min(count, Math.ceil((view.top + view.high) / view.row) + 10)
  useEffect(() => {
    if (wanted.current < 0) return
    body.current?.querySelector(`tr[aria-rowindex="${wanted.current + 2}"]`)?.focus({ preventScroll: true })
    wanted.current = -1
  })
  if (!count && empty) return empty
  return html`<div class="table-box virtual" ref=${box} style=${height ? { height } : undefined} onScroll=${e => { const top = e.currentTarget.scrollTop; setView(v => Math.abs(v.top - top) < v.row ? v : { ...v, top }) }}>
    <table class="table" aria-label=${label} aria-rowcount=${count + 1}>
    <${Head} columns=${columns} by=${s.by} setBy=${s.setBy} onSelect=${onSelect} allOn=${s.allOn} toggleAll=${s.toggleAll} />
    <tbody ref=${body} onKeyDown=${s.keys}>
      ${from > 0 && html`<tr key="above" aria-hidden="true" class="gap"><td colspan=${columns.length + 1} style=${{ height: from * view.row + 'px' }}></td></tr>`}
      ${s.list.slice(from, to).map((row, n) => {
        const i = from + n
        return html`<tr key=${s.keyOf(row)} aria-rowindex=${i + 2} tabindex=${i === s.active || (n === 0 && (s.active < from || s.active >= to)) ? 0 : -1} class=${`${onOpen ? 'opens' : ''} ${rowClass?.(row) ?? ''}`}
            onFocus=${e => { if (e.target === e.currentTarget && i !== s.active) s.activate(i) }} onClick=${e => { if (onOpen && opens(e)) onOpen(row) }}>
          <${Cells} columns=${columns} row=${row} onSelect=${onSelect} ticked=${selected?.has(s.keyOf(row))} toggle=${e => s.toggle(row, i, e.shiftKey)} />
        </tr>`
      })}
      ${to < count && html`<tr key="below" aria-hidden="true" class="gap"><td colspan=${columns.length + 1} style=${{ height: (count - to) * view.row + 'px' }}></td></tr>`}
    </tbody>
  </table></div>`
}
