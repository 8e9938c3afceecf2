// Tariffs: which version counts where and from when, drafts, and what a draft would
// have made of past orders before it is put in force.
import { html, useMemo, useState } from '../lib/html.js'
import { can, get } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { at, when } from '../lib/format.js'
import { Link, useQuery } from '../lib/router.js'
import { Badge, Button, Card, Empty, Loaded, Page, Select, useLoad } from '../lib/ui.js'
import { useVenues } from './office.js'
import { sentences } from './pricewords.js'
import { Draft } from './draft.js'
import '../words/tariffs.js'

/** Versions of one place, kind and group, newest first, with what each is now. */
export function lanesOf(tariffs, now = Date.now()) {
  const lanes = new Map()
  for (const v of tariffs) {
    const key = [v.venue, v.kind, v.group ?? ''].join(' ')
    if (!lanes.has(key)) lanes.set(key, { key, venue: v.venue, kind: v.kind, group: v.group ?? '', versions: [] })
    lanes.get(key).versions.push(v)
  }
  for (const lane of lanes.values()) {
    lane.versions.sort((a, b) => Date.parse(b.effective_at) - Date.parse(a.effective_at) || b.version - a.version)
    const inForce = lane.versions.find(v => Date.parse(v.effective_at) <= now)
    lane.now = inForce
    lane.ahead = lane.versions.filter(v => Date.parse(v.effective_at) > now)
    lane.past = lane.versions.filter(v => v !== inForce && Date.parse(v.effective_at) <= now)
  }
  return [...lanes.values()].sort((a, b) => a.venue.localeCompare(b.venue) || a.kind.localeCompare(b.kind) || a.group.localeCompare(b.group))
}

/** @param {{query: Record<string, string>}} props */
export default function Tariffs({ query }) {
  const [, setQuery] = useQuery()
  const venues = useVenues()
  const load = useLoad(async abort => (await get('/tariffs', {}, abort)).tariffs, [])
  const lanes = useMemo(() => lanesOf(load.data ?? []), [load.data])
  if (query.draft && load.data && venues.known) {
    const [id, version] = query.draft.split('@')
    const from = load.data.find(v => v.id === id && String(v.version) === version)
    return html`<${Draft} key=${query.draft} from=${from} lanes=${lanes} done=${() => { setQuery({ draft: null }, {}); load.reload() }} />`
  }
  const shown = lanes.filter(l => (!query.venue || l.venue === query.venue) && (!query.kind || l.kind === query.kind))
  return html`<${Page} title=${t('tariff.title')} sub=${t('tariff.sub')}
      actions=${can('finance') && html`<${Button} kind="primary" icon="plus" onClick=${() => setQuery({ draft: 'new' }, {})}>${t('tariff.new')}<//>`}>
    <div class="filters">
      <${Select} inline label=${t('part.venue')} value=${query.venue} options=${venues.options(t('office.all_venues'))} onChange=${venue => setQuery({ venue })} />
      <${Select} inline label=${t('part.kind')} value=${query.kind} options=${[['', t('office.all_kinds')], ['lock', t('kind.lock')], ['pump', t('kind.pump')]]} onChange=${kind => setQuery({ kind })} />
    </div>
    <${Loaded} load=${load}>${() => shown.length === 0
      ? html`<${Empty} icon="tariff" title=${t('tariff.none')} text=${t('tariff.none_text')} />`
      : html`<div class="cards">${shown.map(lane => html`<${Lane} key=${lane.key} lane=${lane} venue=${venues.name(lane.venue)} zone=${venues.zone(lane.venue)}
          draft=${v => setQuery({ draft: `${v.id}@${v.version}` }, {})} />`)}</div>`}<//>
  <//>`
}

function Lane({ lane, venue, zone, draft }) {
  const [all, setAll] = useState(false)
  const one = (v, state, word) => html`<li key=${v.id + v.version} class="version">
    <div class="version-head"><${Badge} state=${state} word=${word} /><strong>${v.name}</strong><span class="quiet"><code>${v.id}</code> ${t('tariff.version', { n: v.version })}</span></div>
    <ul class="sentences">${sentences(v).map(s => html`<li>${s}</li>`)}</ul>
    <div class="version-foot"><span class="quiet">${state === 'reserved' ? t('tariff.from') : t('tariff.since')} ${at(v.effective_at, zone)} (${when(v.effective_at)})</span>
      ${can('finance') && html`<${Button} small icon="edit" onClick=${() => draft(v)}>${t('tariff.draft_from')}<//>`}</div>
  </li>`
  return html`<${Card} title=${html`<${Link} to=${'/venues/' + lane.venue}>${venue}<//> · ${tCode('kind', lane.kind)}${lane.group ? html` · ${t('tariff.group_of', { group: lane.group })}` : ''}`}>
    <ol class="versions">
      ${lane.ahead.map(v => one(v, 'reserved', t('tariff.coming')))}
      ${lane.now ? one(lane.now, 'ok', t('tariff.in_force')) : html`<li class="version"><${Badge} state="warn" word=${t('tariff.no_price_now')} /></li>`}
      ${all && lane.past.map(v => one(v, 'off', t('tariff.replaced')))}
    </ol>
    ${lane.past.length > 0 && html`<${Button} small kind="quiet" icon=${all ? 'up' : 'history'} onClick=${() => setAll(!all)}>${all ? t('tariff.hide_past') : t('tariff.show_past', { n: lane.past.length })}<//>`}
  <//>`
}
