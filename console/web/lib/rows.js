// A table of any length whose rows are numbers: some forty real rows are moved and
// filled again as it scrolls, and a cell is written only when it says something else.

/**
 * @typedef {object} GridColumn
 * @property {string} key
 * @property {string} title
 * @property {boolean} [sort]
 * @property {boolean} [falls] its plain order begins with the most, as problems begin with the worst
 * @property {(cell: HTMLElement) => void} make once per real row
 * @property {(cell: HTMLElement, row: number) => void} fill with a row's facts
 * @property {(cell: HTMLElement, row: number) => string} [hover] the title of a cell, asked for when a pointer comes
 */

let grids = 0

export class Rows {
  /**
   * @param {HTMLElement} element an empty one that scrolls
   * @param {{columns: GridColumn[], label: string, height: () => number, rowAt: (place: number) => number, onOpen: (row: number, e: Event) => void,
   *   onActive: (row: number) => void, onHover: (row: number) => void, onSort: (key: string) => void}} options height: of a row, pixels
   */
  constructor(element, options) {
    this.element = element
    this.options = options
    this.count = 0
    this.active = -1 // place
    this.lit = -1    // row that the map points at
    /** @type {Array<{tr: HTMLTableRowElement, cells: HTMLElement[], place: number, row: number, active: boolean, lit: boolean}>} */ this.pool = []
    this.frame = 0
    this.row = 0  // its height, pixels
    this.seen = 0 // height of what is in sight, pixels
    this.id = 'rows' + ++grids
    this.table = document.createElement('table')
    this.table.className = 'rows'
    this.table.setAttribute('role', 'grid')
    this.table.tabIndex = 0
    this.table.setAttribute('aria-rowcount', '1')
    this.head = this.table.createTHead()
    this.head.setAttribute('role', 'rowgroup')
    this.body = this.table.createTBody()
    this.body.setAttribute('role', 'rowgroup')
    element.append(this.table)
    this.relabel(options.columns, options.label)
    element.addEventListener('scroll', () => this.soon(), { passive: true })
    this.sized = new ResizeObserver(() => this.resize())
    this.sized.observe(element)
    this.table.addEventListener('keydown', e => this.key(e))
    this.table.addEventListener('focus', () => { if (this.active < 0 && this.count) this.move(0) })
    this.body.addEventListener('click', e => {
      const at = this.of(e)
      if (!at || e.defaultPrevented || (e.target instanceof Element && e.target.closest('a') && (e.metaKey || e.ctrlKey || e.shiftKey))) return
      e.preventDefault()
      options.onOpen(at.row, e)
    })
    this.body.addEventListener('pointerover', e => {
      if (e.pointerType === 'touch') return
      const at = this.of(e), td = e.target instanceof Element && e.target.closest('td')
      const c = at && td ? at.cells.indexOf(td) : -1
      if (at && td && this.options.columns[c]?.hover) td.title = this.options.columns[c].hover(td, at.row)
      options.onHover(at?.row ?? -1)
    })
    this.body.addEventListener('pointerleave', () => options.onHover(-1))
  }

  remove() {
    this.sized.disconnect()
    cancelAnimationFrame(this.frame)
    this.table.remove()
  }

  /** relabel makes the head anew, in another language or order. @param {GridColumn[]} columns @param {string} label */
  relabel(columns, label) {
    this.options.columns = columns
    this.table.setAttribute('aria-label', label)
    this.table.setAttribute('aria-colcount', String(columns.length))
    this.head.replaceChildren()
    const tr = this.head.insertRow()
    tr.setAttribute('role', 'row')
    tr.setAttribute('aria-rowindex', '1')
    for (const c of columns) {
      const th = document.createElement('th')
      th.setAttribute('role', 'columnheader')
      th.className = 'c-' + c.key
      if (c.sort) {
        const b = document.createElement('button')
        b.type = 'button'
        b.textContent = c.title
        b.addEventListener('click', () => this.options.onSort(c.key))
        th.append(b)
      } else th.textContent = c.title
      tr.append(th)
    }
    for (const r of this.pool) r.tr.remove()
    this.pool = []
    this.sorted(this.by ?? 'id')
    this.resize()
  }

  /** sorted shows the order in the head. @param {string} by key, with - before it for the other way round */
  sorted(by) {
    this.by = by
    const down = by.startsWith('-'), key = down ? by.slice(1) : by
    for (const [i, c] of this.options.columns.entries()) {
      const th = this.head.rows[0].cells[i]
      if (c.sort) th.setAttribute('aria-sort', c.key !== key ? 'none' : down !== Boolean(c.falls) ? 'descending' : 'ascending')
    }
  }

  resize() {
    this.row = this.options.height()
    this.seen = this.element.clientHeight
    const width = this.element.clientWidth
    this.table.className = 'rows ' + (width <= 620 ? 'few' : width <= 800 ? 'some' : 'all')
    const want = Math.min(this.count, Math.ceil(this.seen / this.row) + 8)
    while (this.pool.length < want) this.pool.push(this.make())
    this.body.style.height = this.count * this.row + 'px'
    for (const r of this.pool) r.place = -1
    this.fill()
  }

  make() {
    const tr = document.createElement('tr')
    tr.setAttribute('role', 'row')
    tr.hidden = true
    const cells = this.options.columns.map(c => {
      const td = tr.insertCell()
      td.setAttribute('role', 'gridcell')
      td.className = 'c-' + c.key
      c.make(td)
      return td
    })
    this.body.append(tr)
    return { tr, cells, place: -1, row: -1, active: false, lit: false }
  }

  /** show takes over another count of rows, or another order of them. @param {number} count */
  show(count) {
    if (count !== this.count) {
      this.count = count
      this.table.setAttribute('aria-rowcount', String(count + 1))
      if (this.active >= count) this.move(count - 1, false)
      this.resize()
    } else this.again()
  }

  /** again fills what is in sight, since facts changed. */
  again() {
    for (const r of this.pool) r.row = -1
    this.soon()
  }

  soon() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.fill() })
  }

  // fill gives every place in sight a real row; a row keeps its place while it is in sight.
  fill() {
    if (!this.row) return
    const top = this.element.scrollTop, first = Math.max(0, Math.floor(top / this.row) - 3)
    const n = this.pool.length
    if (!n) return
    const last = Math.min(this.count, first + n)
    for (let place = first; place < last; place++) {
      const r = this.pool[place % n], row = this.options.rowAt(place)
      if (r.place !== place) {
        r.tr.hidden = false
        r.tr.style.transform = `translateY(${place * this.row}px)`
        r.tr.setAttribute('aria-rowindex', String(place + 2))
        r.tr.id = this.id + '-' + place
        r.place = place
        r.row = -1
      }
      const active = place === this.active, lit = row === this.lit
      if (r.active !== active) { r.active = active; r.tr.classList.toggle('active', active); r.tr.setAttribute('aria-selected', String(active)) }
      if (r.lit !== lit) { r.lit = lit; r.tr.classList.toggle('lit', lit) }
      if (r.row === row) continue
      r.row = row
      for (let c = 0; c < r.cells.length; c++) this.options.columns[c].fill(r.cells[c], row)
    }
    for (const r of this.pool) if ((r.place < first || r.place >= last) && !r.tr.hidden) { r.tr.hidden = true; r.place = -1 }
  }

  of(e) {
    const tr = e.target instanceof Element && e.target.closest('tr')
    return this.pool.find(r => r.tr === tr)
  }

  key(e) {
    if (e.target instanceof Element && e.target.closest('thead')) return
    const page = Math.max(1, Math.floor(this.seen / this.row) - 2)
    const to = { ArrowDown: this.active + 1, j: this.active + 1, ArrowUp: this.active - 1, k: this.active - 1, PageDown: this.active + page, PageUp: this.active - page, Home: 0, End: this.count - 1 }[e.key]
    if (to !== undefined && !e.altKey && !e.metaKey && !e.ctrlKey) {
      e.preventDefault()
      this.move(to)
    } else if (e.key === 'Enter' && this.active >= 0 && this.active < this.count) {
      e.preventDefault()
      this.options.onOpen(this.options.rowAt(this.active), e)
    }
  }

  /** move makes a place the active one. @param {number} place @param {boolean} [tell] */
  move(place, tell = true) {
    this.active = Math.max(this.count ? 0 : -1, Math.min(this.count - 1, place))
    if (this.active < 0) { this.table.removeAttribute('aria-activedescendant'); return }
    this.reveal(this.active)
    this.table.setAttribute('aria-activedescendant', this.id + '-' + this.active)
    if (tell) this.options.onActive(this.options.rowAt(this.active))
  }

  /** reveal scrolls a place into sight. @param {number} place */
  reveal(place) {
    const head = this.head.offsetHeight, top = place * this.row, now = this.element.scrollTop
    if (top < now) this.element.scrollTop = top
    else if (top + this.row > now + this.seen - head) this.element.scrollTop = top + this.row - this.seen + head
    this.fill()
  }

  /** light marks a row that the map points at. @param {number} row */
  light(row) {
    if (this.lit === row) return
    this.lit = row
    this.soon()
  }
}
