// One act on many devices: what a filter picks, what is done to them, how far it is.
import { html, useEffect, useMemo, useState } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { number, when } from '../lib/format.js'
import { Link, go, staying, useQuery } from '../lib/router.js'
import { Badge, Button, Card, DataTable, Empty, Field, KeyValue, More, Page, ProblemBox, Select, confirmAct, useLoad, usePages } from '../lib/ui.js'
import { kinds, problemNames, services, states } from '../lib/fleet.js'
import { Bar, Download, newKey, useVenues } from './office.js'
import '../words/fleet.js'
import '../words/bulk.js'

const acts = ['maintenance', 'in_service', 'ring', 'probe', 'transfer', 'retire']
const filterKeys = ['venue', 'kind', 'problem', 'state', 'service', 'q', 'battery', 'firmware', 'box']

// The devices that the fleet's page handed over by name.
function handed(query) {
  if (!query.ids) return null
  if (query.ids !== 'kept') return query.ids.split(',').filter(Boolean)
  try { return JSON.parse(sessionStorage.getItem('unlatch.bulk.ids') ?? 'null') } catch { return null }
}

/** @param {{query: Record<string, string>}} props */
export default function Bulk({ query }) {
  if (!can('admin')) return html`<${Page} title=${t('bulk.title')}><${Empty} icon="bulk" title=${t('part.role')} /><//>`
  return query.run ? html`<${Run} key=${query.run} id=${query.run} />` : html`<${Choose} query=${query} />`
}

function Choose({ query }) {
  const [, setQuery] = useQuery()
  const venues = useVenues()
  const [act, setAct] = useState(query.act ?? 'maintenance'), [venue, setVenue] = useState('')
  const ids = useMemo(() => handed(query), [query.ids])
  const filter = useMemo(() => ids ? { ids } : Object.fromEntries(filterKeys.filter(k => query[k]).map(k => [k, query[k]])), [ids, ...filterKeys.map(k => query[k])])
  const args = act === 'transfer' ? { venue } : undefined
  const ready = act !== 'transfer' || venue
  const everything = !ids && Object.keys(filter).length === 0
  const body = { filter, act, ...(args && { args }) }
  const preview = useLoad(async abort => {
    await new Promise(done => setTimeout(done, 250)) // while somebody types
    if (abort.aborted || !ready) return null
    return post('/bulk', { ...body, preview: true })
  }, [JSON.stringify(body)])
  const list = usePages((cursor, abort) => get('/bulk', { cursor, limit: 20 }, abort), 'bulks', [])
  const count = preview.data?.count, set = preview.data?.set
  const begin = async () => {
    const key = newKey(), here = staying()
    const done = await confirmAct({ title: t(`bulk.do.${act}`, { n: count }), word: t('bulk.go'), danger: ['retire', 'transfer', 'maintenance'].includes(act), reason: true, typed: String(count),
      text: html`<p>${t('bulk.sure', { n: count })} ${t(`bulk.text.${act}`, { venue: venues.name(venue) })}</p>${everything && html`<p class="note"><${Badge} state="warn" word=${t('bulk.everything')} /></p>`}`,
      curl: { method: 'POST', path: '/bulk', body: { ...body, set } },
      run: reason => post('/bulk', { ...body, reason, set }, { key }) })
    if (done && here()) go('/bulk', { run: done.id })
  }
  const select = (name, label, options) => html`<${Select} label=${label} value=${query[name]} disabled=${!!ids} options=${[['', t('part.any')], ...options]} onChange=${v => setQuery({ [name]: v })} />`
  return html`<${Page} title=${t('bulk.title')} sub=${t('bulk.sub')}>
    <div class="halves">
      <${Card} title=${t('bulk.which')}>
        ${ids ? html`<p>${t('bulk.named', { n: ids.length })} <${Button} small kind="quiet" icon="x" onClick=${() => setQuery({ ids: null })}>${t('bulk.by_filter')}<//></p>` : html`<div class="fields">
          ${select('venue', t('part.venue'), venues.options())}
          ${select('kind', t('part.kind'), kinds.map(k => [k, tCode('kind', k)]))}
          ${select('state', t('part.state'), states.map(s => [s, tCode('state', s)]))}
          ${select('service', t('bulk.service'), services.map(s => [s, tCode('service', s)]))}
          ${select('problem', t('bulk.problem'), ['any', ...problemNames].map(p => [p, p === 'any' ? t('bulk.problem.any') : t('fleet.problem.' + p)]))}
          <${Field} label=${t('bulk.q')} value=${query.q} onInput=${v => setQuery({ q: v })} spellcheck="false" />
          <${Field} label=${t('bulk.battery')} value=${query.battery} onInput=${v => setQuery({ battery: v })} inputmode="numeric" unit="%" />
          ${query.firmware && html`<${Field} label=${t('bulk.firmware')} value=${query.firmware} onInput=${v => setQuery({ firmware: v })} spellcheck="false" />`}
        </div>`}
        ${query.box && !ids && html`<p class="after"><${Badge} state="info" icon="fleet" word=${t('bulk.box')} /> <${Button} small kind="quiet" icon="x" onClick=${() => setQuery({ box: null })}>${t('bulk.no_box')}<//></p>`}
        <p class="quiet after">${t('bulk.same')} <${Link} to="/" query=${Object.fromEntries(filterKeys.map(k => [k, query[k]]))}>${t('bulk.on_map')}<//></p>
      <//>
      <${Card} title=${t('bulk.what')}>
        <${Select} label=${t('bulk.act')} value=${act} onChange=${setAct} options=${acts.map(a => [a, t('bulk.act.' + a)])} hint=${t(`bulk.text.${act}`, { venue: venues.name(venue) || '…' })} />
        ${act === 'transfer' && html`<${Select} label=${t('bulk.to_venue')} value=${venue} onChange=${setVenue} options=${[['', '–'], ...venues.options()]} />`}
        <div class="picked" data-test="preview">
          ${preview.problem ? html`<${ProblemBox} problem=${preview.problem} retry=${preview.reload} />` : !ready ? html`<p class="quiet">${t('bulk.choose_venue')}</p>` : count === undefined || preview.data === null ? html`<p class="quiet">${t('bulk.counting')}</p>` : html`
            <p class="big">${t('bulk.count', { n: number(count) })}</p>
            ${count > 0 && html`<p class="quiet">${t('bulk.sample')} ${preview.data.sample.map((id, i) => html`${i > 0 && ', '}<${Link} to=${'/devices/' + id}>${id}<//>`)}${count > preview.data.sample.length ? ' …' : ''}</p>`}`}
        </div>
        <div class="actions"><${Button} kind="primary" icon="bulk" disabled=${!count || preview.loading || !ready} onClick=${begin}>${t('bulk.begin')}<//></div>
      <//>
    </div>
    <${Card} flush title=${t('bulk.runs')}>
      <${ProblemBox} problem=${list.problem} retry=${list.reload} />
      ${list.data && html`<${Runs} rows=${list.rows} />`}<${More} list=${list} />
    <//>
  <//>`
}

function Runs({ rows }) {
  return html`<${DataTable} label=${t('bulk.runs')} rows=${rows} onOpen=${r => go('/bulk', { run: r.id })} empty=${html`<${Empty} icon="bulk" title=${t('bulk.no_runs')} />`} columns=${[
    { key: 'act', title: t('bulk.act'), render: r => html`<${Link} to="/bulk" query=${{ run: r.id }}>${tCode('bulk.act', r.act)}<//>` },
    { key: 'state', title: t('part.state'), render: r => html`<${Badge} state=${r.state} word=${tCode('bulk.state', r.state)} />` },
    { key: 'done', title: t('bulk.done'), align: 'end', render: r => `${number(r.done)} / ${number(r.total)}` },
    { key: 'failed', title: t('bulk.failed'), align: 'end', render: r => r.failed ? html`<strong class="bad-text">${number(r.failed)}</strong>` : '0' },
    { key: 'reason', title: t('office.reason'), wide: true },
    { key: 'at', title: t('part.when'), wide: true, render: r => when(r.at ?? r.created_at) },
  ]} />`
}

// FilterWords says a filter as it is chosen above.
function FilterWords({ filter }) {
  const venues = useVenues()
  const words = { venue: v => [t('part.venue'), venues.name(v)], kind: v => [t('part.kind'), tCode('kind', v)], state: v => [t('part.state'), tCode('state', v)], service: v => [t('bulk.service'), tCode('service', v)],
    problem: v => [t('bulk.problem'), v === 'any' ? t('bulk.problem.any') : tCode('fleet.problem', v)], q: v => [t('bulk.q'), v], battery: v => [t('bulk.battery'), v + ' %'], firmware: v => [t('bulk.firmware'), v], box: v => [t('bulk.box'), v], ids: v => ['', t('bulk.named', { n: v.length })] }
  const said = Object.entries(filter ?? {}).filter(([k, v]) => words[k] && v && v.length !== 0).map(([k, v]) => words[k](v).filter(Boolean).join(': '))
  return html`${said.length ? said.join(' · ') : t('bulk.everything')}`
}

function Run({ id }) {
  const venues = useVenues()
  const names = useLoad(async abort => new Map((await get('/staff', {}, abort)).staff.map(s => [s.id, s.name])), [])
  const [only, setOnly] = useState(''), [cursor, setCursor] = useState(/** @type {string | undefined} */ (undefined))
  const [run, setRun] = useState(/** @type {any} */ (null)), [problem, setProblem] = useState(/** @type {any} */ (null))
  useEffect(() => {
    let gone = false, timer = /** @type {any} */ (0)
    const read = async () => {
      try {
        const now = await get('/bulk/' + id, { limit: 100, cursor, state: only })
        if (gone) return
        setRun(now)
        setProblem(null)
        if (now.state === 'running') timer = setTimeout(read, 1000)
      } catch (p) { if (!gone) { setProblem(p); if (p.status === 0 || p.status >= 500) timer = setTimeout(read, 3000) } }
    }
    read()
    return () => { gone = true; clearTimeout(timer) }
  }, [id, only, cursor])
  const halt = () => confirmAct({ title: t('bulk.halt_title'), text: t('bulk.halt_text'), danger: true, reason: 'optional', word: t('bulk.halt'), curl: { method: 'POST', path: `/bulk/${id}/halt`, body: {} }, run: reason => post(`/bulk/${id}/halt`, reason ? { reason } : {}) })
  const over = (run?.done ?? 0) + (run?.failed ?? 0), share = run?.total ? over / run.total : 1
  const rows = run?.results?.filter(r => !only || r.state === only) ?? []
  return html`<${Page} title=${run ? tCode('bulk.act', run.act) : t('bulk.title')} sub=${run && html`<${Badge} state=${run.state} word=${tCode('bulk.state', run.state)} />`} back=${html`<${Link} to="/bulk" class="button quiet bare" aria-label=${t('bulk.title')}>←<//>`}
      actions=${run?.state === 'running' && html`<${Button} kind="danger" icon="stop" onClick=${halt}>${t('bulk.halt')}<//>`}>
    <${ProblemBox} problem=${problem} />
    ${run && html`<${Card}>
      <div class="stack" data-test="progress" data-state=${run.state}>
        <${Bar} value=${share} label=${t('bulk.progress')} tone=${run.state === 'halted' ? 'bad' : run.state === 'done' ? 'ok' : 'busy'} />
        <p class="big" aria-live="polite">${t('bulk.progress_n', { n: number(over), total: number(run.total) })}${run.failed > 0 ? html` · <span class="bad-text">${t('bulk.failed_n', { n: run.failed })}</span>` : ''}</p>
        <${KeyValue} rows=${[[t('office.reason'), run.reason], [t('part.when'), when(run.at ?? run.created_at)], [t('part.staff'), names.data?.get(run.staff) ?? run.staff], [t('bulk.filter'), html`<${FilterWords} filter=${run.filter} />`], run.args?.venue && [t('bulk.to_venue'), venues.name(run.args.venue)]]} />
      </div><//>
      <${Card} flush title=${t('bulk.results')} actions=${html`<${Select} inline label=${t('part.state')} value=${only} onChange=${v => { setOnly(v); setCursor(undefined) }} options=${[['', t('part.any')], ...['failed', 'done', 'waiting', 'halted'].map(s => [s, t('bulk.one.' + s)])]} />
          <${Download} small path=${`/bulk/${id}/results.csv`} params=${{ state: 'failed' }} name=${`bulk-${id.slice(-8)}-failed.csv`} disabled=${!run.failed}>${t('bulk.csv_failed')}<//>
          <${Download} small path=${`/bulk/${id}/results.csv`} name=${`bulk-${id.slice(-8)}.csv`}>CSV<//>`}>
        <${DataTable} label=${t('bulk.results')} rowKey=${r => r.device} rows=${rows} onOpen=${r => go('/devices/' + r.device)} empty=${html`<${Empty} icon="ok" title=${t('bulk.no_results')} />`} columns=${[
          { key: 'device', title: t('part.device'), sort: true, render: r => html`<${Link} to=${'/devices/' + r.device}>${r.device}<//>` },
          { key: 'state', title: t('part.state'), sort: true, render: r => html`<${Badge} state=${r.state === 'doing' ? 'running' : r.state} word=${tCode('bulk.one', r.state)} />` },
          { key: 'detail', title: t('bulk.why'), render: r => r.detail || r.code ? html`${r.detail} ${r.code && html`<code class="quiet">${r.code}</code>`}` : '' },
          { key: 'at', title: t('part.when'), wide: true, render: r => when(r.at) },
        ]} />
        ${(cursor || run.next_cursor) && html`<div class="more">${cursor && html`<${Button} onClick=${() => setCursor(undefined)}>${t('bulk.first_page')}<//>`}${run.next_cursor && html`<${Button} onClick=${() => setCursor(run.next_cursor)}>${t('bulk.next_page')}<//>`}</div>`}
      <//>`}
  <//>`
}
