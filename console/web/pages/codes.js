// Codes: batches that are printed before they are bound, sheets of their labels, one
// code and what can be done to it, and stickers that look pasted over.
import { html, useEffect, useState } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { number, when } from '../lib/format.js'
import { Link, go, staying, useQuery } from '../lib/router.js'
import { Badge, Button, Card, Check, DataTable, Dialog, Empty, Field, KeyValue, Loaded, More, Page, ProblemBox, Select, Tabs, confirmAct, toast, useLoad, usePages } from '../lib/ui.js'
import { Figure, newKey, useVenues } from './office.js'
import { PrintCard } from './print.js'
import '../words/codes.js'

/** @param {{query: Record<string, string>}} props */
export default function Codes({ query }) {
  const [, setQuery] = useQuery()
  const tab = query.batch ? 'batches' : query.q ? 'one' : query.tab ?? 'batches'
  return html`<${Page} title=${t('code.title')} sub=${t('code.sub')} actions=${can('field') && html`<${Link} class="button" to="/codes/scan">${t('code.to_scan')}<//>`}>
    <${Tabs} label=${t('code.title')} value=${tab} onChange=${v => go('/codes', v === 'batches' ? {} : { tab: v })}
      tabs=${[{ value: 'batches', word: t('code.batches') }, { value: 'one', word: t('code.one') }, { value: 'suspects', word: t('code.suspects') }]} />
    ${tab === 'batches' && (query.batch ? html`<${Batch} key=${query.batch} id=${query.batch} query=${query} />` : html`<${Batches} query=${query} setQuery=${setQuery} />`)}
    ${tab === 'one' && html`<${One} q=${query.q ?? ''} />`}
    ${tab === 'suspects' && html`<${Suspects} query=${query} setQuery=${setQuery} />`}
  <//>`
}

function Batches({ query, setQuery }) {
  const venues = useVenues()
  const [minting, setMinting] = useState(false)
  const list = usePages((cursor, abort) => get('/codes/batches', { venue: query.venue, cursor, limit: 50 }, abort), 'batches', [query.venue])
  return html`<div class="filters">
      <${Select} inline label=${t('part.venue')} value=${query.venue} options=${venues.options(t('office.all_venues'))} onChange=${venue => setQuery({ venue })} />
      <span class="grow"></span>
      ${can('admin') && html`<${Button} kind="primary" icon="plus" onClick=${() => setMinting(true)}>${t('code.mint')}<//>`}
    </div>
    <${ProblemBox} problem=${list.problem} retry=${list.reload} />
    ${list.data && html`<${Card} flush><${DataTable} label=${t('code.batches')} rows=${list.rows} onOpen=${b => go('/codes', { batch: b.id })}
      empty=${html`<${Empty} icon="code" title=${t('code.no_batches')} text=${t('code.no_batches_text')} />`} columns=${[
        { key: 'venue', title: t('part.venue'), render: b => html`<${Link} to="/codes" query=${{ batch: b.id }}><strong>${b.venue_name}</strong><//>${b.caption && html`<br /><span class="quiet clip">${b.caption.split('\n')[0]}</span>`}` },
        { key: 'created_at', title: t('code.minted'), sort: true, render: b => when(b.created_at) },
        { key: 'count', title: t('code.count'), align: 'end', sort: true, render: b => number(b.count) },
        { key: 'bound', title: t('code.bound'), align: 'end', sort: true, render: b => number(b.bound) },
        { key: 'unbound', title: t('code.unbound'), align: 'end', wide: true, sort: true, render: b => number(b.unbound) },
        { key: 'revoked', title: t('code.revoked'), align: 'end', wide: true, sort: true, render: b => number(b.revoked) },
        { key: 'id', title: t('code.batch'), wide: true, render: b => html`<code>${b.id.slice(-12)}</code>` },
      ]} /><//>`}
    <${More} list=${list} />
    ${minting && html`<${Mint} onClose=${() => setMinting(false)} />`}`
}

function Mint({ onClose }) {
  const venues = useVenues()
  const [f, setForm] = useState({ venue: '', count: '24', caption: '', kiosk: false, reason: '' })
  const set = change => setForm(o => ({ ...o, ...change }))
  const [once] = useState(() => newKey()) // the same form never mints twice
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null)), [tried, setTried] = useState(false)
  const count = Number(f.count), venue = f.venue || (venues.venues.length === 1 ? venues.venues[0].id : '')
  const wrong = !(Number.isInteger(count) && count >= 1 && count <= 100_000)
  const mint = async e => {
    e.preventDefault()
    setTried(true)
    if (wrong || !venue) return
    setBusy(true)
    setProblem(null)
    const here = staying()
    try {
      const b = await post('/codes/batches', { venue, count, ...(f.caption.trim() && { caption: f.caption.trim() }), ...(f.kiosk && { kiosk: true }), ...(f.reason && { reason: f.reason }) }, { key: once })
      toast(t('code.minted_n', { n: b.count }))
      if (here()) go('/codes', { batch: b.id })
    } catch (p) { setProblem(p); setBusy(false) }
  }
  return html`<${Dialog} title=${t('code.mint')} onClose=${onClose}><form class="stack" onSubmit=${mint}>
    <p class="quiet">${t('code.mint_text')}</p>
    <div><${Select} label=${t('part.venue')} value=${venue} options=${[['', '–'], ...venues.options()]} onChange=${v => set({ venue: v })} />${tried && !venue && html`<p class="field-problem">${t('code.choose_venue')}</p>`}</div>
    <${Field} label=${t('code.count')} value=${f.count} onInput=${v => set({ count: v })} inputmode="numeric" problem=${tried && wrong ? t('code.count_wrong') : undefined} />
    <${Field} label=${t('code.caption')} value=${f.caption} onInput=${v => set({ caption: v })} rows=${2} maxlength="200" hint=${t('code.caption_hint')} />
    <${Check} label=${t('code.kiosk')} checked=${f.kiosk} onChange=${kiosk => set({ kiosk })} />
    <${Field} label=${`${t('office.reason')} (${t('office.optional')})`} value=${f.reason} onInput=${v => set({ reason: v })} maxlength="500" />
    <${ProblemBox} problem=${problem} />
    <div class="dialog-foot"><${Button} onClick=${onClose}>${t('office.cancel')}<//><${Button} type="submit" kind="primary" busy=${busy}>${t('code.mint_go')}<//></div>
  </form><//>`
}

function Batch({ id, query }) {
  const load = useLoad(abort => get(`/codes/batches/${id}`, {}, abort), [id])
  const list = usePages((cursor, abort) => get(`/codes/batches/${id}/codes`, { cursor, limit: 100 }, abort), 'codes', [id])
  const [only, setOnly] = useState('')
  const [label, setLabel] = useState('')
  const rows = list.rows.filter(c => only === '' || only === 'revoked' && c.revoked || only === 'bound' && !c.revoked && c.device || only === 'free' && !c.revoked && !c.device)
  return html`<p><${Link} to="/codes">← ${t('code.all_batches')}<//></p>
    <${Loaded} load=${load}>${b => html`
      <div class="figures"><${Figure} label=${b.venue_name} value=${t('code.n_labels', { n: b.count })} sub=${when(b.created_at)} />
        <${Figure} label=${t('code.bound')} value=${number(b.bound)} /><${Figure} label=${t('code.unbound')} value=${number(b.unbound)} /><${Figure} label=${t('code.revoked')} value=${number(b.revoked)} /></div>
      ${can('field') && html`<${PrintCard} batch=${b} first=${list.rows.find(c => !c.revoked)} label=${label} onLabel=${setLabel} />`}
      <${Card} flush title=${t('code.codes')} actions=${html`<${Select} inline label=${t('part.state')} value=${only} onChange=${setOnly} options=${[['', t('part.any')], ['free', t('code.unbound')], ['bound', t('code.bound')], ['revoked', t('code.revoked')]]} />`}>
        <${ProblemBox} problem=${list.problem} retry=${list.reload} />
        ${list.data && html`<${DataTable} label=${t('code.codes')} rowKey=${c => c.number} rows=${rows} onOpen=${c => go('/codes', { q: c.number })} empty=${html`<${Empty} icon="code" />`} columns=${[
          { key: 'label', title: t('code.label'), align: 'end', sort: true },
          { key: 'printed', title: t('code.number'), render: c => html`<code>${c.printed}</code>` },
          { key: 'state', title: t('part.state'), render: c => html`<${CodeState} code=${c} />` },
          { key: 'device', title: t('part.device'), sort: true, render: c => c.device ? html`<${Link} to=${'/devices/' + c.device}>${c.device}<//>` : html`<span class="quiet">–</span>` },
          { key: 'act', title: '', align: 'end', render: c => !c.revoked && can('field') && html`<${Button} small icon="print" onClick=${() => { setLabel(String(c.label)); document.getElementById('print')?.scrollIntoView({ behavior: 'smooth' }) }}>${t('code.reprint')}<//>` },
        ]} />`}<${More} list=${list} /><//>`}<//>`
}

/** @param {{code: any}} props */
export function CodeState({ code }) {
  if (code.revoked) return html`<${Badge} state="revoked" word=${t('code.is_revoked')} />`
  if (code.device) return html`<${Badge} state="ok" word=${t(code.kiosk ? 'code.is_kiosk' : 'code.is_bound')} />`
  return html`<${Badge} state="off" word=${t('code.is_free')} />`
}

/** The number in what was typed, pasted or scanned: an address, a number with or without dashes. @param {string} text */
export function numberIn(text) {
  let s = String(text ?? '').trim()
  const slash = s.lastIndexOf('/')
  if (slash >= 0) {
    s = s.slice(slash + 1).split(/[?#]/)[0]
    const otp = /^(\d{14})-/.exec(s) // a screen's password behind it
    if (otp) s = otp[1]
  }
  const m = /^(\d{4})-?(\d{4})-?(\d{4})-?(\d{2})$/.exec(s.replace(/\s/g, ''))
  return m ? m.slice(1).join('') : ''
}

function One({ q }) {
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  const number = numberIn(q)
  // A number leads to one code; anything else is taken for a device, whose codes show.
  const load = useLoad(async abort => {
    if (!q) return null
    if (number || /^[\d-]{6,}$/.test(q) || q.includes('/')) return { codes: [await get('/codes/' + encodeURIComponent(number || q.trim()), {}, abort)], one: true }
    return { codes: (await get('/codes', { device: q.trim() }, abort)).codes, one: false }
  }, [q])
  const look = e => { e.preventDefault(); go('/codes', { q: text.trim() || undefined, tab: text.trim() ? undefined : 'one' }) }
  return html`<form class="filters look-up" onSubmit=${look}><${Field} label=${t('code.find')} value=${text} onInput=${setText} class="wide" autofocus autocomplete="off" spellcheck="false" hint=${t('code.find_hint')} /><${Button} type="submit" kind="primary" icon="search">${t('code.look')}<//></form>
    ${q && html`<${Loaded} load=${load}>${found => found && (found.codes.length
      ? html`<div class="cards">${found.codes.map(c => html`<${CodeCard} key=${c.number} code=${c} reload=${load.reload} />`)}</div>`
      : html`<${Empty} icon="code" title=${t('code.device_has_none', { device: q })}>${can('field') && html`<${Button} icon="plus" onClick=${() => mintFor(q.trim(), load.reload)}>${t('code.mint_one')}<//>`}<//>`)}<//>`}`
}

async function mintFor(device, reload) {
  const made = await confirmAct({ title: t('code.mint_one'), text: t('code.mint_one_text', { device }), reason: 'optional', curl: { method: 'POST', path: '/codes', body: { device } },
    run: reason => post('/codes', { device, ...(reason && { reason }) }) })
  if (made) { toast(t('code.made', { number: made.printed })); reload() }
}

function CodeCard({ code, reload }) {
  const venues = useVenues()
  const [printing, setPrinting] = useState(false)
  const act = async (what, more) => {
    const path = `/codes/${code.number}/${what}`, here = staying()
    const done = await confirmAct({ title: t(`code.${what}_title`, { number: code.printed }), text: t(`code.${what}_text`), reason: 'optional', curl: { method: 'POST', path, body: {} }, ...more, run: reason => post(path, reason ? { reason } : {}) })
    if (!done) return
    toast(t(`code.${what}_done`, { number: done.printed }))
    if (!here()) return
    if (what === 'remint') go('/codes', { q: done.number })
    else reload()
  }
  return html`<${Card} title=${html`<code>${code.printed}</code>`} actions=${html`<${CodeState} code=${code} />`}>
    <div class="code-card">
      ${!code.revoked && can('field') && html`<img class="symbol" src=${`/v1/operator/codes/${code.number}/symbol.svg`} alt=${t('code.symbol', { number: code.printed })} width="132" height="132" />`}
      <${KeyValue} rows=${[
        [t('part.device'), code.device ? html`<${Link} to=${'/devices/' + code.device}>${code.device}<//>${code.outlet > 1 ? ' · ' + t('part.outlet.n', { n: code.outlet }) : ''}` : html`<span class="quiet">${t('code.hangs_nowhere')}</span>`],
        code.venue && [t('part.venue'), html`<${Link} to=${'/venues/' + code.venue}>${venues.name(code.venue)}<//>`],
        code.batch && [t('code.batch'), html`<${Link} to="/codes" query=${{ batch: code.batch }}>${t('code.label_of', { n: code.label })}<//>`],
        code.kiosk && [t('code.place'), t('code.at_kiosk')],
        [t('code.says'), html`<a href=${code.url} rel="noreferrer" target="_blank" class="break">${code.url}</a>`],
      ]} />
    </div>
    ${!code.revoked && can('field') && html`<div class="actions">
      <${Button} icon="link" onClick=${() => bind(code, reload)}>${t(code.device ? 'code.move' : 'code.bind')}<//>
      <${Button} icon="reload" onClick=${() => swap(code, reload)}>${t('code.swap')}<//>
      <${Button} icon="print" onClick=${() => setPrinting(!printing)} aria-expanded=${String(printing)}>${t('code.reprint')}<//>
      <${Button} icon="code" onClick=${() => act('remint')}>${t('code.remint')}<//>
      <${Button} kind="danger" icon="x" onClick=${() => act('revoke', { danger: true })}>${t('code.revoke')}<//>
    </div>`}
    ${printing && html`<${PrintCard} code=${code} />`}
  <//>`
}

// Fields that stand in a dialog of confirmAct keep what was typed here.
function bind(code, reload) {
  const typed = { device: '', outlet: '' }
  const path = `/codes/${code.number}/bind`
  return confirmAct({ title: t(code.device ? 'code.move_title' : 'code.bind_title', { number: code.printed }), word: t(code.device ? 'code.move' : 'code.bind'), reason: 'optional',
    text: code.device ? t('code.move_text', { device: code.device }) : t('code.bind_text'),
    children: html`<${Kept} of=${typed} fields=${[['device', t('code.device_or_code'), { autofocus: true, autocomplete: 'off', spellcheck: 'false' }], ['outlet', t('part.outlet'), { inputmode: 'numeric', hint: t('code.outlet_hint') }]]} />`,
    run: reason => {
      const other = typed.device.trim(), outlet = Number(typed.outlet)
      return post(path, { ...(numberIn(other) || other.includes('/') ? { device_code: other } : { device: other }), ...(outlet > 0 && { outlet }), ...(code.device && { move: true }), ...(reason && { reason }) })
    } }).then(done => { if (done) { toast(t('code.bound_to', { device: done.device })); reload() } })
}

function swap(code, reload) {
  const typed = { b: '' }
  return confirmAct({ title: t('code.swap_title', { number: code.printed }), word: t('code.swap'), reason: 'optional', text: t('code.swap_text'),
    children: html`<${Kept} of=${typed} fields=${[['b', t('code.other_code'), { autofocus: true, autocomplete: 'off', spellcheck: 'false' }]]} />`,
    run: reason => post('/codes/swap', { a: code.number, b: typed.b.trim(), ...(reason && { reason }) }) })
    .then(done => { if (done) { toast(t('code.swapped')); reload() } })
}

function Kept({ of, fields }) {
  const [, draw] = useState(0)
  return fields.map(([name, label, more]) => html`<${Field} key=${name} label=${label} value=${of[name]} onInput=${v => { of[name] = v; draw(n => n + 1) }} ...${more} />`)
}

function Suspects({ query, setQuery }) {
  const venues = useVenues()
  const load = useLoad(async abort => (await get('/codes/suspects', { venue: query.venue }, abort)).suspects ?? [], [query.venue])
  const gone = async s => {
    const path = `/codes/${s.number}/remint`, here = staying()
    const made = await confirmAct({ title: t('code.remint_title', { number: dashed(s.number) }), text: t('code.remint_text'), reason: 'optional', curl: { method: 'POST', path, body: {} }, run: reason => post(path, { reason: reason || t('code.suspect_reason') }) })
    if (made) { toast(t('code.remint_done', { number: made.printed })); if (here()) go('/codes', { q: made.number }) }
  }
  return html`<p class="quiet prose">${t('code.suspects_text')}</p>
    <div class="filters"><${Select} inline label=${t('part.venue')} value=${query.venue} options=${venues.options(t('office.all_venues'))} onChange=${venue => setQuery({ venue, tab: 'suspects' })} /></div>
    <${Loaded} load=${load}>${list => html`<${Card} flush><${DataTable} label=${t('code.suspects')} rowKey=${s => s.number} rows=${list} onOpen=${s => go('/codes', { q: s.number })}
      empty=${html`<${Empty} icon="ok" title=${t('code.no_suspects')} text=${t('code.no_suspects_text')} />`} columns=${[
        { key: 'number', title: t('code.number'), render: s => html`<${Link} to="/codes" query=${{ q: s.number }}><code>${dashed(s.number)}</code><//>` },
        { key: 'device', title: t('part.device'), sort: true, render: s => html`<${Link} to=${'/devices/' + s.device}>${s.device}<//><br /><span class="quiet">${venues.name(s.venue)}</span>` },
        { key: 'reasons', title: t('code.why'), render: s => html`<ul class="sentences">${(s.reasons ?? []).map(r => html`<li><${Badge} state="warn" word=${tCode('code.reason', r)} /> <span class="quiet">${reasonText(r, s)}</span></li>`)}</ul>` },
        { key: 'last_scan_at', title: t('code.last_scan'), wide: true, sort: true, render: s => when(s.last_scan_at) },
        { key: 'act', title: '', align: 'end', render: s => can('field') && html`<${Button} small icon="code" onClick=${() => gone(s)}>${t('code.remint')}<//>` },
      ]} /><//>`}<//>`
}

const dashed = n => n.replace(/^(\d{4})(\d{4})(\d{4})(\d{2})$/, '$1-$2-$3-$4')

function reasonText(reason, s) {
  switch (reason) {
    case 'far_scans': return t('code.far_text', { n: s.far_scans, of: s.located ?? s.scans, m: number(s.far_mean_m ?? Math.round(s.median_far_m ?? 0)) })
    case 'no_unlocks': return t('code.no_unlocks_text', { n: s.scans, starts: s.starts })
    case 'silence': return t('code.silence_text')
  }
  return ''
}
