// Passes: what riders may buy ahead, version by version.
import { html, useState } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { duration, money } from '../lib/format.js'
import { useQuery } from '../lib/router.js'
import { Badge, Button, Card, Check, DataTable, Dialog, Empty, Field, Loaded, Page, ProblemBox, Select, confirmAct, toast, useLoad } from '../lib/ui.js'
import { useVenues } from './office.js'
import { fen, yuan } from './pricewords.js'
import '../words/passes.js'

// What a pass gives, in sentences.
function gives(p) {
  const said = []
  if (p.unlock_free) said.push(t('pass.say.unlock'))
  if (p.ride_free_ms) said.push(t('pass.say.ride', { length: duration(p.ride_free_ms) }))
  if (p.budget_ms) said.push(t('pass.say.budget', { length: duration(p.budget_ms) }))
  if (!said.length) said.push(t('pass.say.nothing'))
  return said
}

const bodyOf = p => ({ id: p.id, name: p.name, venue: p.venue, kind: p.kind, days: p.days, price_fen: p.price_fen, ...(p.group && { group: p.group }),
  ...(p.ride_free_ms && { ride_free_ms: p.ride_free_ms }), ...(p.budget_ms && { budget_ms: p.budget_ms }), ...(p.unlock_free && { unlock_free: true }) })

/** @param {{query: Record<string, string>}} props */
export default function Passes({ query }) {
  const [, setQuery] = useQuery()
  const venues = useVenues()
  const load = useLoad(async abort => (await get('/passes', {}, abort)).passes, [])
  const [edited, setEdited] = useState(/** @type {any} */ (null))
  const sale = async p => {
    const on = !p.on_sale, body = { ...bodyOf(p), on_sale: on }
    if (await confirmAct({ title: t(on ? 'pass.offer' : 'pass.withdraw', { name: p.name }), text: t(on ? 'pass.offer_text' : 'pass.withdraw_text'), reason: 'optional', word: t(on ? 'pass.put_on_sale' : 'pass.take_off'),
      curl: { method: 'POST', path: '/passes', body }, run: reason => post('/passes', { ...body, ...(reason && { reason }) }) })) { toast(t('office.saved')); load.reload() }
  }
  return html`<${Page} title=${t('pass.title')} sub=${t('pass.sub')} actions=${can('admin') && html`<${Button} kind="primary" icon="plus" onClick=${() => setEdited({})}>${t('pass.new')}<//>`}>
    <div class="filters"><${Select} inline label=${t('part.venue')} value=${query.venue} options=${venues.options(t('office.all_venues'))} onChange=${venue => setQuery({ venue })} />
      <${Select} inline label=${t('part.state')} value=${query.sale} options=${[['', t('part.any')], ['yes', t('pass.on_sale')], ['no', t('pass.off_sale')]]} onChange=${sale => setQuery({ sale })} /></div>
    <${Loaded} load=${load}>${passes => html`<${Card} flush><${DataTable} label=${t('pass.title')} rows=${passes.filter(p => (!query.venue || p.venue === query.venue) && (!query.sale || p.on_sale === (query.sale === 'yes')))}
      onOpen=${can('admin') ? setEdited : undefined}
      empty=${html`<${Empty} icon="pass" title=${t('pass.none')} text=${t('pass.none_text')} />`} columns=${[
        { key: 'name', title: t('pass.name'), sort: true, render: p => html`<strong>${p.name}</strong><br /><span class="quiet nowrap"><code>${p.id}</code> ${t('pass.version', { n: p.version })}</span>` },
        { key: 'on_sale', title: t('part.state'), sort: p => p.on_sale ? 0 : 1, render: p => html`<${Badge} state=${p.on_sale ? 'ok' : 'off'} word=${t(p.on_sale ? 'pass.on_sale' : 'pass.off_sale')} />` },
        { key: 'venue', title: t('part.venue'), wide: true, sort: p => venues.name(p.venue), render: p => html`${venues.name(p.venue)}<br /><span class="quiet">${tCode('kind', p.kind)}${p.group ? ' · ' + p.group : ''}</span>` },
        { key: 'price_fen', title: t('pass.price'), align: 'end', sort: true, render: p => p.price_fen ? money(p.price_fen) : t('pass.gift') },
        { key: 'days', title: t('pass.valid'), align: 'end', wide: true, sort: true, render: p => t('pass.days', { n: p.days }) },
        { key: 'gives', title: t('pass.gives'), wide: true, render: p => html`<ul class="sentences">${gives(p).map(s => html`<li>${s}</li>`)}</ul>` },
        ...(can('admin') ? [{ key: 'act', title: '', align: /** @type {'end'} */ ('end'), render: p => html`<div class="actions"><${Button} small icon=${p.on_sale ? 'pause' : 'play'} onClick=${() => sale(p)}>${t(p.on_sale ? 'pass.take_off' : 'pass.put_on_sale')}<//><${Button} small icon="edit" onClick=${() => setEdited(p)}>${t('pass.next')}<//></div>` }] : []),
      ]} /><//>`}<//>
    ${edited && html`<${Edit} of=${edited} onClose=${() => setEdited(null)} done=${() => { setEdited(null); load.reload() }} />`}
  <//>`
}

function Edit({ of, onClose, done }) {
  const venues = useVenues()
  const [f, setForm] = useState(() => ({ id: of.id ?? '', name: of.name ?? '', venue: of.venue ?? '', kind: of.kind ?? 'lock', group: of.group ?? '', price: yuan(of.price_fen ?? 0), days: String(of.days ?? 30),
    ride: of.ride_free_ms ? String(of.ride_free_ms / 60_000) : '', budget: of.budget_ms ? String(of.budget_ms / 60_000) : '', unlock: !!of.unlock_free, sale: of.on_sale ?? true, reason: '' }))
  const set = change => setForm(o => ({ ...o, ...change }))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null)), [tried, setTried] = useState(false)
  const price = fen(f.price), days = Number(f.days), ride = Number(f.ride || 0), budget = Number(f.budget || 0)
  const wrong = { id: !/^[A-Za-z0-9_-]{1,32}$/.test(f.id), name: !f.name.trim(), venue: !f.venue, price: Number.isNaN(price), days: !(Number.isInteger(days) && days >= 1 && days <= 366), ride: !(ride >= 0), budget: !(budget >= 0) }
  const bad = name => tried && wrong[name] ? t('pass.wrong.' + name) : undefined
  const body = { id: f.id, name: f.name.trim(), venue: f.venue, kind: f.kind, days, price_fen: price, on_sale: f.sale, ...(f.group && { group: f.group }), ...(ride > 0 && { ride_free_ms: Math.round(ride * 60_000) }),
    ...(budget > 0 && { budget_ms: Math.round(budget * 60_000) }), ...(f.unlock && { unlock_free: true }), ...(f.reason && { reason: f.reason }) }
  const save = async e => {
    e.preventDefault()
    setTried(true)
    if (Object.values(wrong).some(Boolean)) return
    setBusy(true)
    setProblem(null)
    try { const made = await post('/passes', body); toast(t('pass.saved', { name: made.name, n: made.version })); done() } catch (p) { setProblem(p); setBusy(false) }
  }
  return html`<${Dialog} wide title=${of.id ? t('pass.next_of', { name: of.name, n: of.version + 1 }) : t('pass.new')} onClose=${onClose}>
    <form class="stack" onSubmit=${save}>
      ${of.id && html`<p class="quiet">${t('pass.keep')}</p>`}
      <div class="fields">
        <${Field} label=${t('pass.name')} value=${f.name} onInput=${name => set({ name })} maxlength="100" problem=${bad('name')} autofocus />
        <${Field} label=${t('pass.id')} value=${f.id} onInput=${id => set({ id })} disabled=${!!of.id} problem=${bad('id')} spellcheck="false" />
        <div><${Select} label=${t('part.venue')} value=${f.venue} options=${[['', '–'], ...venues.options()]} disabled=${!!of.id} onChange=${venue => set({ venue })} />${bad('venue') && html`<p class="field-problem">${bad('venue')}</p>`}</div>
        <${Select} label=${t('part.kind')} value=${f.kind} options=${[['lock', t('kind.lock')], ['pump', t('kind.pump')]]} disabled=${!!of.id} onChange=${kind => set({ kind })} />
        <${Field} label=${t('pass.price')} value=${f.price} onInput=${price => set({ price })} inputmode="decimal" unit=${t('office.yuan')} problem=${bad('price')} hint=${t('pass.price_hint')} />
        <${Field} label=${t('pass.valid')} value=${f.days} onInput=${days => set({ days })} inputmode="numeric" unit=${t('pass.days_unit')} problem=${bad('days')} />
        <${Field} label=${t('pass.ride_free')} value=${f.ride} onInput=${ride => set({ ride })} inputmode="decimal" unit=${t('office.minutes')} problem=${bad('ride')} hint=${t('pass.ride_hint')} />
        <${Field} label=${t('pass.budget')} value=${f.budget} onInput=${budget => set({ budget })} inputmode="decimal" unit=${t('office.minutes')} problem=${bad('budget')} hint=${t('pass.budget_hint')} />
        <${Field} label=${t('pass.group')} value=${f.group} onInput=${group => set({ group })} hint=${t('pass.group_hint')} spellcheck="false" />
        <${Field} label=${`${t('office.reason')} (${t('office.optional')})`} value=${f.reason} onInput=${reason => set({ reason })} maxlength="500" />
      </div>
      <${Check} label=${t('pass.unlock_free')} checked=${f.unlock} onChange=${unlock => set({ unlock })} />
      <${Check} label=${t('pass.on_sale')} checked=${f.sale} onChange=${sale => set({ sale })} />
      <p><strong>${t('pass.gives')}:</strong> ${gives({ unlock_free: f.unlock, ride_free_ms: ride * 60_000, budget_ms: budget * 60_000 }).join('; ')}</p>
      <${ProblemBox} problem=${problem} />
      <div class="dialog-foot"><${Button} onClick=${onClose}>${t('office.cancel')}<//><${Button} type="submit" kind="primary" busy=${busy}>${t('office.save')}<//></div>
    </form>
  <//>`
}
