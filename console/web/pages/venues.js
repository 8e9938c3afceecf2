// The venues: where devices are, and whether riders may start there.
import { html, useState } from '../lib/html.js'
import { can, everywhere, get, put } from '../lib/api.js'
import { t } from '../lib/words.js'
import { Link, go, staying } from '../lib/router.js'
import { Badge, Button, Card, DataTable, Dialog, Empty, Field, Loaded, Page, ProblemBox, useLoad } from '../lib/ui.js'
import { reloadVenues } from './office.js'
import '../words/venues.js'

/** @param {{venue: any}} props */
export function VenueState({ venue }) {
  if (venue.stopped) return html`<${Badge} state="stopped" word=${t('venue.stopped')} />`
  return html`<${Badge} state=${venue.open ? 'ok' : 'off'} word=${t(venue.open ? 'venue.open' : 'venue.closed')} />`
}

export default function Venues() {
  const load = useLoad(async abort => (await get('/venues', {}, abort)).venues, [])
  const [making, setMaking] = useState(false)
  const [text, setText] = useState('')
  return html`<${Page} title=${t('venue.title')} sub=${t('venue.sub')} actions=${can('admin') && everywhere() && html`<${Button} kind="primary" icon="plus" onClick=${() => setMaking(true)}>${t('venue.new')}<//>`}>
    <${Loaded} load=${load}>${venues => html`
      ${venues.length > 8 && html`<div class="filters"><${Field} inline label=${t('venue.find')} value=${text} onInput=${setText} /></div>`}
      <${Card} flush><${DataTable} label=${t('venue.title')} rows=${venues.filter(v => (v.id + ' ' + v.name).toLowerCase().includes(text.trim().toLowerCase()))} onOpen=${v => go('/venues/' + v.id)}
      empty=${html`<${Empty} icon="venue" title=${t('venue.none')} text=${t('venue.none_text')} />`} columns=${[
        { key: 'name', title: t('venue.name'), sort: true, render: v => html`<${Link} to=${'/venues/' + v.id}><strong>${v.name}</strong><//><br /><code class="quiet">${v.id}</code>` },
        { key: 'open', title: t('part.state'), sort: v => v.stopped ? 0 : v.open ? 2 : 1, render: v => html`<${VenueState} venue=${v} />` },
        { key: 'opening_hours', title: t('venue.hours'), render: v => v.opening_hours || html`<span class="quiet">${t('venue.always')}</span>` },
        { key: 'time_zone', title: t('venue.zone'), wide: true, sort: true },
        { key: 'geofence', title: t('venue.fence'), wide: true, render: v => v.geofence ? t('venue.fence_n', { n: v.geofence.coordinates.length }) : html`<span class="quiet">–</span>` },
        { key: 'devices', title: '', align: 'end', wide: true, render: v => html`<${Link} to="/" query=${{ venue: v.id }}>${t('venue.devices')}<//>` },
      ]} /><//>`}<//>
    ${making && html`<${Make} onClose=${() => setMaking(false)} />`}
  <//>`
}

function Make({ onClose }) {
  const [f, setForm] = useState({ id: '', name: '', zone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'Asia/Shanghai' })
  const set = change => setForm(o => ({ ...o, ...change }))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null)), [tried, setTried] = useState(false)
  const fine = /^[A-Za-z0-9_-]{1,32}$/.test(f.id) && f.name.trim()
  const make = async e => {
    e.preventDefault()
    setTried(true)
    if (!fine) return
    setBusy(true)
    setProblem(null)
    const here = staying()
    try {
      // put-venue replaces what is there: an id that is taken must not be.
      const taken = await get('/venues/' + f.id).then(() => true, p => { if (p.status === 404) return false; throw p })
      if (taken) throw new Error(t('venue.taken', { id: f.id }))
      await put('/venues/' + f.id, { name: f.name.trim(), time_zone: f.zone.trim(), open: false })
      await reloadVenues()
      if (here()) go('/venues/' + f.id)
    } catch (p) { setProblem(p); setBusy(false) }
  }
  return html`<${Dialog} title=${t('venue.new')} onClose=${onClose}><form class="stack" onSubmit=${make}>
    <p class="quiet">${t('venue.new_text')}</p>
    <${Field} label=${t('venue.name')} value=${f.name} onInput=${name => set({ name })} maxlength="100" autofocus problem=${tried && !f.name.trim() && t('venue.wrong_name')} />
    <${Field} label=${t('venue.id')} value=${f.id} onInput=${id => set({ id })} spellcheck="false" hint=${t('venue.id_hint')} problem=${tried && !/^[A-Za-z0-9_-]{1,32}$/.test(f.id) && t('venue.wrong_id')} />
    <${Field} label=${t('venue.zone')} value=${f.zone} onInput=${zone => set({ zone })} list="zones" spellcheck="false" />
    <${Zones} />
    <${ProblemBox} problem=${problem} />
    <div class="dialog-foot"><${Button} onClick=${onClose}>${t('office.cancel')}<//><${Button} type="submit" kind="primary" busy=${busy}>${t('venue.make')}<//></div>
  </form><//>`
}

/** The names of time zones that this browser knows, for an input's list. */
export function Zones() {
  return html`<datalist id="zones">${(Intl.supportedValuesOf?.('timeZone') ?? ['Asia/Shanghai']).map(z => html`<option value=${z} />`)}</datalist>`
}
