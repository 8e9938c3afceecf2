// Devices from a file: read in the browser, held against the installation row by row, then
// made known a hundred at a time. The rules are those of `unlatch devices import`.
import { html, useEffect, useRef, useState } from '../lib/html.js'
import { Problem, can, get, pages, post } from '../lib/api.js'
import { t } from '../lib/words.js'
import { number } from '../lib/format.js'
import { Link } from '../lib/router.js'
import { metres } from '../lib/datum.js'
import { Badge, Button, Card, DataTable, Empty, Page, ProblemBox, Select, VirtualTable, exportCSV, toast } from '../lib/ui.js'
import { Bar } from './office.js'
import { save, zip } from './archive.js'
import { BadFile, columns, readFleet, template } from './fleetfile.js'
import '../words/import.js'

const chunk = 100 // devices that one request may carry

/** @typedef {import('./fleetfile.js').Row} Row */

export default function Import() {
  const [file, setFile] = useState(/** @type {{name: string, rows: Row[]} | null} */ (null))
  const [bad, setBad] = useState(/** @type {any} */ (null)), [over, setOver] = useState(false)
  const [phase, setPhase] = useState('') // '', checking, checked, carrying, done
  const [progress, setProgress] = useState({ n: 0, of: 1 }), [only, setOnly] = useState('')
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const [, draw] = useState(0)
  const made = useRef(/** @type {Array<{id: string, file: any}>} */ ([])), taken = useRef(false), stop = useRef(false)
  const input = useRef(/** @type {any} */ (null))
  useEffect(() => {
    // Files that are shown once must not go with the tab.
    const leave = e => { if (phase === 'carrying' || made.current.length && !taken.current) { e.preventDefault(); e.returnValue = '' } }
    addEventListener('beforeunload', leave)
    return () => removeEventListener('beforeunload', leave)
  }, [phase])
  useEffect(() => () => { stop.current = true }, [])

  const open = async f => {
    if (!f || phase === 'carrying') return
    if (made.current.length && !taken.current && !confirm(t('import.leave'))) return
    made.current = []
    taken.current = false
    setBad(null)
    setProblem(null)
    setOnly('')
    try {
      const rows = readFleet(await f.arrayBuffer())
      setFile({ name: f.name, rows })
      await check(rows)
    } catch (e) {
      setFile(null)
      setPhase('')
      setBad(e)
    }
  }

  const check = async rows => {
    setPhase('checking')
    stop.current = false
    try {
      await checkRows(rows, (n, of) => { setProgress({ n, of }); draw(x => x + 1) }, () => stop.current)
      setPhase('checked')
    } catch (p) {
      setProblem(p)
      setPhase('')
    }
  }

  const carry = async () => {
    setPhase('carrying')
    setProblem(null)
    try {
      await carryOut(file?.rows ?? [], made.current, (n, of) => { setProgress({ n, of }); draw(x => x + 1) })
      toast(t('import.done'))
    } catch (p) { setProblem(p) }
    setPhase('done')
  }

  const rows = file?.rows ?? []
  const counts = { new: 0, known: 0, wrong: 0 }
  for (const r of rows) counts[r.wrong.length ? 'wrong' : r.known ? 'known' : 'new']++
  const shown = rows.filter(r => !only || (only === 'wrong' ? r.wrong.length : only === 'new' ? !r.known && !r.wrong.length : r.known && !r.wrong.length))
  const left = rows.filter(r => !['done', 'failed'].includes(r.state) && !r.wrong.length).length
  if (!can('admin')) return html`<${Page} title=${t('import.title')}><${Empty} icon="import" title=${t('part.role')} /><//>`
  return html`<${Page} title=${t('import.title')} sub=${t('import.sub')} actions=${html`<${Button} icon="import" onClick=${() => save(template, 'devices.csv', 'text/csv;charset=utf-8')}>${t('import.template')}<//>`}>
    <${Card}>
      <div class=${'dropzone' + (over ? ' over' : '')} onDragOver=${e => { e.preventDefault(); setOver(true) }} onDragLeave=${() => setOver(false)} onDrop=${e => { e.preventDefault(); setOver(false); open(e.dataTransfer.files[0]) }}>
        <p><strong>${file ? file.name : t('import.drop')}</strong>${file && ' · ' + t('import.rows', { n: rows.length })}</p>
        <${Button} icon="upload" disabled=${phase === 'carrying'} onClick=${() => input.current.click()}>${t(file ? 'import.other' : 'import.choose')}<//>
        <input ref=${input} type="file" hidden accept=".csv,text/csv" aria-label=${t('import.choose')} onChange=${e => { const f = e.currentTarget.files[0]; e.currentTarget.value = ''; open(f) }} />
        <p class="hint">${t('import.columns')} ${columns.map((c, i) => html`${i > 0 && ' '}<code>${c}</code>`)}</p>
      </div>
      ${bad && html`<div class="problem" role="alert"><div><strong>${bad instanceof BadFile ? t(bad.key, bad.vars) : String(bad.message ?? bad)}</strong></div></div>`}
      <${ProblemBox} problem=${problem} retry=${phase === '' && file ? () => check(rows) : undefined} />
      ${(phase === 'checking' || phase === 'carrying') && html`<div class="stack after"><${Bar} value=${progress.n / progress.of} label=${t('import.' + phase)} /><p aria-live="polite">${t('import.' + phase)} ${number(progress.n)} / ${number(progress.of)}</p></div>`}
      ${file && phase && html`<div class="row after" data-test="counts"><${Badge} state="ok" icon="plus" word=${t('import.n_new', { n: counts.new })} /><${Badge} state="info" icon="check" word=${t('import.n_known', { n: counts.known })} /><${Badge} state=${counts.wrong ? 'bad' : 'off'} word=${t('import.n_wrong', { n: counts.wrong })} />
        <span class="grow"></span>
        ${phase === 'checked' && (counts.wrong ? html`<span class="quiet">${t('import.mend')}</span>`
          : html`<${Button} kind="primary" icon="import" onClick=${carry}>${t('import.go', { n: rows.length })}<//>`)}
        ${phase === 'done' && left > 0 && html`<${Button} kind="primary" icon="reload" onClick=${carry}>${t('import.rest', { n: left })}<//>`}</div>`}
    <//>
    ${made.current.length > 0 && phase !== 'carrying' && html`<${Card} title=${t('import.files', { n: made.current.length })} class="danger-card">
      <p>${t('import.files_text')}</p><div class="actions after">
        <${Button} kind="primary" icon="import" onClick=${() => { save(zip(made.current.map(m => ({ name: m.id + '.json', text: JSON.stringify(m.file) + '\n' }))), 'provisioning.zip'); taken.current = true; draw(x => x + 1) }}>${t('import.zip')}<//>
        <${Button} icon="import" onClick=${() => { save(JSON.stringify(Object.fromEntries(made.current.map(m => [m.id, m.file])), null, 1), 'provisioning.json', 'application/json'); taken.current = true; draw(x => x + 1) }}>JSON<//>
        ${taken.current ? html`<${Badge} state="ok" word=${t('import.taken')} />` : html`<${Badge} state="warn" word=${t('import.not_taken')} />`}</div><//>`}
    ${file && html`<${Card} flush title=${t('import.report')} actions=${html`<${Select} inline label=${t('part.state')} value=${only} onChange=${setOnly} options=${[['', t('part.any')], ['wrong', t('import.wrong')], ['new', t('import.new')], ['known', t('import.known')]]} />
        <${Button} small icon="import" onClick=${() => exportCSV('import-report', [{ title: 'line', csv: r => r.line }, { title: 'id', csv: r => r.device.id }, { title: 'verdict', csv: verdict }, { title: 'says', csv: r => says(r).join('; ') }], rows)}>CSV<//>`}>
      <${rows.length > 60 ? VirtualTable : DataTable} height="min(60vh, 520px)" label=${t('import.report')} rowKey=${r => r.line} rows=${shown} rowClass=${r => r.wrong.length || r.state === 'failed' ? 'bad-row' : ''} empty=${html`<${Empty} icon="ok" />`} columns=${[
        { key: 'line', title: t('import.line'), align: 'end', width: '64px' },
        { key: 'id', title: t('part.device'), width: '180px', render: r => r.known || r.state === 'done' ? html`<${Link} to=${'/devices/' + r.device.id}>${r.device.id}<//>` : r.device.id },
        { key: 'verdict', title: t('part.state'), width: '130px', render: r => html`<${Badge} state=${{ wrong: 'bad', failed: 'failed', done: 'done', new: 'ok', known: 'info', left: 'off' }[verdict(r)]} word=${t('import.v.' + verdict(r))} />` },
        { key: 'says', title: t('import.says'), class: 'says', render: r => { const text = says(r).join('; '); return html`<span title=${text}>${text}</span>` } },
      ]} /><//>`}
  <//>`
}

const verdict = r => r.wrong.length ? 'wrong' : r.state === 'done' ? 'done' : r.state === 'failed' ? 'failed' : r.known ? 'known' : 'new'
const said = line => Array.isArray(line) ? t(line[0], line[1]) : String(line)
/** @param {Row} r */
const says = r => [...(r.wrong.length ? r.wrong : r.state ? r.did : r.plan), ...r.notes].map(said)

// chunks of a list.
function* chunks(list, size) { for (let i = 0; i < list.length; i += size) yield list.slice(i, i + size) }

/**
 * Asks the installation about every row; nothing is changed.
 * @param {Row[]} rows @param {(n: number, of: number) => void} tell @param {() => boolean} stopped
 */
async function checkRows(rows, tell, stopped) {
  const known = new Map(), codes = rows.filter(r => r.code && !r.wrong.length)
  const of = rows.length + codes.length
  let n = 0
  tell(0, of)
  for await (const page of pages('/devices', { limit: 100 })) for (const d of page.devices) known.set(d.id, d)
  const venues = new Map((await get('/venues')).venues.map(v => [v.id, v]))
  const fresh = []
  for (const r of rows) {
    if (r.wrong.length) { n++; continue }
    const d = r.device, k = r.known = known.get(d.id)
    if (!venues.has(d.venue)) r.wrong.push(['import.venue_unknown', { venue: d.venue }])
    if (k && k.kind !== d.kind) r.wrong.push(['import.other_kind', { kind: k.kind }])
    else if (k?.service === 'retired') r.wrong.push(['import.retired'])
    else if (k && k.venue !== d.venue) r.wrong.push(['import.other_venue', { venue: k.venue }])
    if (r.wrong.length) { n++; continue }
    if (!k) { r.plan.push(['import.would_make']); fresh.push(r); continue }
    n++
    if (moves(r)) r.plan.push(k.lat == null ? ['import.would_place'] : ['import.would_move', { m: apart(r) }])
    if (!r.plan.length && !r.code) r.plan.push(['import.as_is'])
    if (!k.heard_at) r.notes.push(['import.never_heard'])
  }
  for (const part of chunks(fresh, chunk)) {
    if (stopped()) return
    await tryOut(part)
    tell(n += part.length, of)
  }
  const lines = new Map()
  for (const r of codes) {
    if (stopped()) return
    if (!r.wrong.length) await checkCode(r, lines)
    if (++n % 10 === 0) tell(n, of)
  }
  tell(of, of)
}

/** @param {Row} row */
const moves = ({ device: d, known: k }) => d.lat !== undefined && (k.lat !== d.lat || k.lng !== d.lng)
/** @param {Row} row */
const apart = ({ device: d, known: k }) => number(Math.round(metres(k.lat, k.lng, d.lat ?? 0, d.lng ?? 0)))

// A refusal that a row is to blame for; anything else ends the check.
const ofTheRow = p => p instanceof Problem && p.status >= 400 && p.status < 500 && ![401, 403, 429].includes(p.status)
const words = p => [p.title, p.detail].filter(Boolean).join(': ') || p.code

// Where the request's very shape is refused, the rows are asked one by one: only one
// of them is to blame.
async function tryOut(rows) {
  try {
    const { devices } = await post('/devices', { devices: rows.map(r => r.device), only_new: true, dry_run: true, reason: 'imported' })
    devices.forEach((result, i) => {
      rows[i].notes.push(...(result.notes ?? []))
      if (result.problem) rows[i].wrong.push(words(result.problem))
    })
  } catch (p) {
    if (!ofTheRow(p)) throw p
    if (rows.length === 1) {
      rows[0].wrong.push([p.title, p.detail, ...p.errors.map(e => [e.location, e.message].filter(Boolean).join(' '))].filter(Boolean).join(': '))
      return
    }
    const half = Math.ceil(rows.length / 2)
    await tryOut(rows.slice(0, half))
    await tryOut(rows.slice(half))
  }
}

async function checkCode(r, lines) {
  let code
  try { code = await get('/codes/' + encodeURIComponent(r.code)) } catch (p) {
    if (!ofTheRow(p)) throw p
    r.wrong.push(`${r.code}: ${words(p)}`)
    return
  }
  const first = lines.get(code.number)
  if (!first) lines.set(code.number, r.line)
  if (first) r.wrong.push(['import.same_code', { line: first }])
  else if (code.revoked) r.wrong.push(['import.code_revoked', { code: code.printed }])
  else if (code.device === r.device.id) r.bound = true
  else if (code.device) r.wrong.push(['import.code_elsewhere', { code: code.printed, device: code.device }])
  else if (code.venue && code.venue !== r.device.venue) r.wrong.push(['import.code_venue', { code: code.printed, venue: code.venue }])
  else r.plan.push(['import.would_bind', { code: code.printed }])
}

/**
 * Makes new devices known and brings the rest up to the file. What was done stays done
 * when it breaks off; the rest can be carried on.
 * @param {Row[]} rows @param {Array<{id: string, file: any}>} made @param {(n: number, of: number) => void} tell
 */
async function carryOut(rows, made, tell) {
  const todo = rows.filter(r => r.state !== 'done' && !r.wrong.length)
  let n = 0
  const finish = r => { if (r.state !== 'failed') r.state = 'done'; tell(++n, todo.length) }
  const fail = (r, p) => { r.state = 'failed'; r.did.push(words(p)) }
  tell(0, todo.length)
  for (const part of chunks(todo.filter(r => !r.known), chunk)) {
    // What is asked now was looked at before: a device that somebody else made known
    // meanwhile is refused, and its file is theirs.
    const { devices } = await post('/devices', { devices: part.map(r => r.device), only_new: true, reason: 'imported' }).catch(p => {
      if (part.length === 1 && ofTheRow(p)) return { devices: [{ problem: p }] }
      throw p
    })
    for (const [i, result] of devices.entries()) {
      const r = part[i]
      if (result.file) {
        made.push({ id: result.id, file: result.file })
        r.known = { id: result.id, kind: r.device.kind, venue: r.device.venue, lat: r.device.lat, lng: r.device.lng }
        r.did.push(['import.made'])
        if (result.problem) r.notes.push(words(result.problem))
      } else if (result.problem) fail(r, result.problem)
      if (r.state !== 'failed') await bindCode(r).catch(p => { if (!ofTheRow(p)) throw p; fail(r, p) })
      finish(r)
    }
  }
  for (const r of todo.filter(r => r.known && !r.state)) {
    try {
      if (moves(r)) {
        await post(`/devices/${r.device.id}/position`, { lat: r.device.lat, lng: r.device.lng, datum: 'wgs84', reason: 'imported' })
        r.did.push(['import.placed'])
      }
      await bindCode(r)
    } catch (p) {
      if (!ofTheRow(p)) throw p
      fail(r, p)
    }
    finish(r)
  }
}

async function bindCode(r) {
  if (!r.code || r.bound) return
  const code = await post(`/codes/${encodeURIComponent(r.code)}/bind`, { device: r.device.id, reason: 'imported' })
  r.bound = true
  r.did.push(['import.bound', { code: code.printed }])
}
