// A fleet as CSV, read as `unlatch devices import` reads it: the same columns, other
// names and limits, so that a file that one takes the other takes too.

/** What a file may hold; id, kind and venue must be there. */
export const columns = ['id', 'kind', 'venue', 'lat', 'lng', 'sides', 'display', 'code', 'bluetooth']
// What the export writes besides is read over.
const passed = ['epoch', 'service', 'firmware', 'heard_at']
const otherNames = { latitude: 'lat', lon: 'lng', long: 'lng', longitude: 'lng' }

/** The template that people fill in. */
export const template = '\ufeff' + columns.join(',') + '\r\n' +
  'bike-0001,lock,campus,31.024800,121.433900,,,1234-5678-9012-34,yes\r\n' +
  'pump-01,pump,station,31.023000,121.434500,"1=92,2=95|1=92,2=95",yes,,\r\n'

/**
 * @typedef {{line: number, device: {id: string, kind: string, venue: string, lat?: number, lng?: number, sides?: any[], display?: boolean, bluetooth?: boolean},
 *   code: string, wrong: Array<[string, Record<string, any>?]>, notes: any[], plan: any[], did: any[], known?: any, bound?: boolean, state: string}} Row
 * A complaint is a key of words/import.js and its variables.
 */

/** The whole file cannot be read: key is one of words/import.js. */
export class BadFile extends Error {
  /** @param {string} key @param {Record<string, any>} [vars] */
  constructor(key, vars) {
    super(key)
    this.key = key
    this.vars = vars
  }
}

// split reads one line: no value of a fleet holds a line break, and a quote that is
// not closed must not swallow the rows below it.
function split(line, comma) {
  const fields = []
  let at = 0
  for (;;) {
    while (line[at] === ' ' || line[at] === '\t') at++
    let value = ''
    if (line[at] === '"') {
      for (at++; ; at++) {
        if (at >= line.length) return { fields, wrong: true }
        if (line[at] !== '"') { value += line[at]; continue }
        if (line[at + 1] === '"') { value += '"'; at++; continue }
        at++
        break
      }
      while (line[at] === ' ') at++
      if (at < line.length && line[at] !== comma) return { fields, wrong: true }
    } else {
      const end = line.indexOf(comma, at)
      value = line.slice(at, end < 0 ? undefined : end)
      if (value.includes('"')) return { fields, wrong: true }
      at = end < 0 ? line.length : end
    }
    fields.push(value.trim())
    if (at >= line.length) return { fields, wrong: false }
    at++
  }
}

/**
 * Reads a file's bytes.
 * @param {ArrayBuffer} bytes
 * @returns {Row[]}
 */
export function readFleet(bytes) {
  let text
  try { text = new TextDecoder('utf-8', { fatal: true }).decode(bytes) } catch { throw new BadFile('import.not_utf8') }
  if (text.includes('\0')) throw new BadFile('import.not_utf8')
  const lines = text.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n').split('\n')
  const comma = !lines[0].includes(',') && lines[0].includes(';') ? ';' : ','
  const head = split(lines[0], comma)
  if (head.wrong || !head.fields.some(Boolean)) throw new BadFile('import.no_header', { columns: columns.join(', ') })
  /** @type {Record<string, number>} */
  const where = {}
  head.fields.forEach((name, i) => {
    name = name.toLowerCase()
    name = otherNames[name] ?? name
    if (!name) return // spreadsheets write columns that once held something
    if (![...columns, ...passed].includes(name)) throw new BadFile('import.column_unknown', { column: head.fields[i], columns: columns.join(', ') })
    if (name in where) throw new BadFile('import.column_twice', { column: name })
    where[name] = i
  })
  for (const name of columns.slice(0, 3)) if (!(name in where)) throw new BadFile('import.column_missing', { column: name })
  const named = head.fields.filter(Boolean).length
  /** @type {Row[]} */
  const rows = []
  const seen = new Map(), lower = new Map()
  lines.slice(1).forEach((line, i) => {
    const { fields, wrong } = split(line, comma)
    if (!line.trim() || !wrong && !fields.some(Boolean)) return
    const field = name => fields[where[name]] ?? ''
    /** @type {Row} */
    const row = { line: i + 2, device: { id: field('id'), kind: '', venue: '' }, code: '', wrong: [], notes: [], plan: [], did: [], state: '' }
    rows.push(row)
    if (wrong) row.wrong.push(['import.quote'])
    else if (fields.some((v, n) => v && !head.fields[n])) row.wrong.push(['import.too_many_fields', { n: fields.length, want: named }])
    else fill(row, field)
    const { id } = row.device
    if (!id) return
    if (seen.has(id)) row.wrong.push(['import.same_id', { line: seen.get(id) }])
    else if (lower.has(id.toLowerCase())) row.wrong.push(['import.same_id_capitals', { line: lower.get(id.toLowerCase()) }])
    else seen.set(id, row.line)
    lower.set(id.toLowerCase(), row.line)
  })
  if (!rows.length) throw new BadFile('import.no_rows')
  return rows
}

/** @param {Row} row @param {(name: string) => string} field */
function fill(row, field) {
  const complain = (key, vars) => { row.wrong.push([key, vars]) }
  const device = row.device = { id: field('id'), kind: field('kind').toLowerCase(), venue: field('venue') }
  row.code = field('code')
  if (!/^[A-Za-z0-9_-]{1,24}$/.test(device.id)) complain('import.bad_id', { id: device.id })
  if (!['lock', 'pump'].includes(device.kind)) complain('import.bad_kind', { kind: field('kind') })
  if (!device.venue) complain('import.no_venue')
  const degrees = (name, most) => {
    const text = field(name)
    if (!text) return undefined
    if (/^[+-]?\d+,\d+$/.test(text)) { complain('import.point', { name, text }); return undefined }
    const v = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN
    if (Math.abs(v) <= most) return v
    complain(name === 'lat' && Math.abs(v) <= 180 ? 'import.swapped' : 'import.degrees', { name, text, most })
    return undefined
  }
  const lat = degrees('lat', 90), lng = degrees('lng', 180)
  if ((lat === undefined) !== (lng === undefined) && !row.wrong.some(([k]) => /degrees|point|swapped/.test(k))) complain('import.half_position')
  if (lat !== undefined && lng !== undefined) Object.assign(device, { lat, lng })
  const sides = field('sides')
  if (sides) {
    const read = sides.split('|').map(side => ({ nozzles: side.split(',').map(nozzle => {
      const m = /^\s*(\d{1,3})\s*=\s*(\S{1,16})\s*$/.exec(nozzle)
      return m && Number(m[1]) > 0 && Number(m[1]) < 256 ? { nozzle: Number(m[1]), grade: m[2] } : null
    }) }))
    if (read.length > 16 || read.some(s => s.nozzles.some(n => !n))) complain('import.bad_sides', { text: sides })
    else Object.assign(device, { sides: read })
  }
  for (const name of ['display', 'bluetooth']) {
    const text = field(name).toLowerCase()
    if (['yes', 'true', '1'].includes(text)) Object.assign(device, { [name]: true })
    else if (!['', 'no', 'false', '0'].includes(text)) complain('import.yes_no', { name, text: field(name) })
  }
}
