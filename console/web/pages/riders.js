// Riders: found by the number of an order or of their own, by what they rode and when, or
// in the list of the newest. Nothing here tells who they are.
import { html, useEffect, useState } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { at, when } from '../lib/format.js'
import { go, staying, useQuery } from '../lib/router.js'
import { Badge, Button, Card, DataTable, Empty, Field, More, Page, ProblemBox, Spinner, useLoad, usePages } from '../lib/ui.js'
import { t } from '../lib/words.js'
import { DeviceLink, OrderBadge, OrderLink, RiderLink } from './desk.js'
import { instant, Zone } from './office.js'
import '../words/orders.js'
import '../words/riders.js'

/** A rider's state. @param {any} r */
export const stateOf = r => r.erased_at ? 'erased' : r.blocked ? 'blocked' : 'ok'

/** @param {{rider: any}} props */
export const RiderBadge = ({ rider }) => html`<${Badge} state=${{ erased: 'removed', blocked: 'blocked', ok: 'ok' }[stateOf(rider)]} word=${t('riders.state.' + stateOf(rider))} />`

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** @param {{query: Record<string, string>}} props */
export default function Riders({ query }) {
  const [found, setFound] = useState(/** @type {any[] | null} */ (null)) // by a phone number, which stands in no address
  return html`<${Page} title=${t('riders.title')}>
    <p class="lead">${t('riders.find.text')}</p>
    <div class="find-forms"><${ByNumber} q=${query.q ?? ''} /><${ByUse} query=${query} />${can('field') && html`<${ByPhone} onFound=${setFound} />`}</div>
    ${found && html`<${Card} flush><${DataTable} label=${t('riders.phone')} rows=${found} onOpen=${r => go('/riders/' + r.id)} empty=${html`<${Empty} icon="search" title=${t('riders.phone.none')} />`} columns=${columns(t('part.rider'))} /><//>`}
    <${Used} query=${query} /><${Found} q=${query.q ?? ''} /><${Newest} />
  <//>`
}

function ByNumber({ q }) {
  const [, setQuery] = useQuery()
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  return html`<${Card} title=${t('riders.find')}><form onSubmit=${e => { e.preventDefault(); setQuery({ q: text.trim(), device: '', at: '' }, { replace: false }) }}>
    <${Field} label=${t('riders.q')} value=${text} onInput=${setText} autocomplete="off" spellcheck="false" required minlength="8" maxlength="64" />
    <${Button} type="submit" icon="search" kind="primary">${t('riders.q.go')}<//></form><//>`
}

// Found is what a number leads to: straight to the rider where it is one or their order.
function Found({ q }) {
  const load = useLoad(async abort => {
    if (!q) return null
    const id = q.replace(/^.*\//, '')
    if (uuid.test(id)) {
      const [order, rider] = await Promise.all([get('/orders/' + id, {}, abort).catch(() => null), get('/riders/' + id, {}, abort).catch(() => null)])
      if (order || rider) return [{ kind: order ? 'order' : 'rider', id, rider: order?.rider ?? id, order }]
    }
    const { hits } = await get('/search', { q: id }, abort)
    return hits.filter(h => h.kind === 'rider' || h.kind === 'order').map(h => ({ ...h, rider: h.kind === 'rider' ? h.id : undefined }))
  }, [q])
  const hits = load.data
  useEffect(() => {
    if (hits?.length === 1 && hits[0].rider && !hits[0].rider.startsWith('staff:')) go('/riders/' + hits[0].rider, {}, { replace: true })
  }, [hits])
  if (!q) return null
  if (load.problem) return html`<${ProblemBox} problem=${load.problem} retry=${load.reload} />`
  if (!hits) return html`<${Spinner} />`
  if (!hits.length) return html`<${Card}><${Empty} icon="search" title=${t('riders.q.none')} /><//>`
  return html`<${Card} flush class="gap-above"><${DataTable} label=${t('riders.find')} rows=${hits} rowKey=${h => h.kind + h.id} onOpen=${h => go(h.rider && !h.rider.startsWith('staff:') ? '/riders/' + h.rider : '/orders/' + h.id)} columns=${[
    { key: 'kind', title: t('part.kind'), render: h => t(h.kind === 'rider' ? 'part.rider' : 'part.order') },
    { key: 'id', title: t('riders.number'), render: h => h.kind === 'rider' ? html`<${RiderLink} id=${h.id} />` : html`<${OrderLink} id=${h.id} />` },
    { key: 'title', title: '', render: h => h.order ? html`<${OrderBadge} order=${h.order} />` : h.title !== h.id ? h.title : '' },
  ]} /><//>`
}

function ByPhone({ onFound }) {
  const [phone, setPhone] = useState(''), [reason, setReason] = useState('')
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  const find = async e => {
    e.preventDefault()
    if (busy) return
    setBusy(true)
    setProblem(null)
    const here = staying()
    try {
      const { riders } = await post('/riders/find', { phone: phone.trim(), reason: reason.trim() })
      if (!here()) return
      if (riders.length === 1) go('/riders/' + riders[0].id)
      else onFound(riders)
    } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  return html`<${Card} title=${t('riders.phone')}><form onSubmit=${find}>
    <${Field} label=${t('riders.phone.number')} type="tel" value=${phone} onInput=${setPhone} autocomplete="off" required pattern="[+0-9 \\(\\)\\-]{6,24}" placeholder="138 0000 0000" />
    <${Field} label=${t('part.reason')} value=${reason} onInput=${setReason} autocomplete="off" required maxlength="500" />
    <${Button} type="submit" icon="search" busy=${busy}>${t('riders.q.go')}<//></form><p class="hint">${t('riders.phone.text')}</p><${ProblemBox} problem=${problem} /><//>`
}

function ByUse({ query }) {
  const [, setQuery] = useQuery()
  const [device, setDevice] = useState(query.device ?? ''), [moment, setMoment] = useState(query.at ?? '')
  return html`<${Card} title=${t('riders.used')}><form onSubmit=${e => { e.preventDefault(); setQuery({ device: device.trim(), at: moment, q: '' }, { replace: false }) }}>
    <${Field} label=${t('part.device')} value=${device} onInput=${setDevice} autocomplete="off" spellcheck="false" required pattern="[A-Za-z0-9_\\-]{1,24}" placeholder="bike-001" />
    <${Field} label=${t('riders.used.at')} type="datetime-local" value=${moment} onInput=${setMoment} required />
    <${Button} type="submit" icon="search">${t('riders.q.go')}<//></form><p class="hint">${t('riders.used.text')}</p><//>`
}

function Used({ query: { device, at: moment } }) {
  const load = useLoad(async abort => {
    if (!device || !moment || Number.isNaN(new Date(moment).getTime())) return null
    const middle = new Date(instant(moment)).getTime()
    return (await get('/orders', { device, from: new Date(middle - 3600_000).toISOString(), to: new Date(middle + 3600_000).toISOString(), limit: 100 }, abort)).orders
  }, [device, moment])
  if (!device || !moment) return null
  if (load.problem) return html`<${ProblemBox} problem=${load.problem} retry=${load.reload} />`
  if (!load.data) return html`<${Spinner} />`
  return html`<${Card} flush class="gap-above" title=${t('riders.used')} actions=${html`<${Zone} />`}><${DataTable} label=${t('riders.used')} rows=${load.data} onOpen=${o => o.rider.startsWith('staff:') ? go('/orders/' + o.id) : go('/riders/' + o.rider)}
    empty=${html`<${Empty} icon="rider" title=${t('riders.used.none', { device })} />`} columns=${[
      { key: 'rider', title: t('part.rider'), render: o => html`<${RiderLink} id=${o.rider} />` },
      { key: 'device', title: t('part.device'), render: o => html`<${DeviceLink} id=${o.device} />`, wide: true },
      { key: 'state', title: t('part.state'), render: o => html`<${OrderBadge} order=${o} />` },
      { key: 'active_at', title: t('part.from'), render: o => at(o.active_at ?? o.created_at) },
      { key: 'ended_at', title: t('part.to'), render: o => at(o.ended_at), wide: true },
      { key: 'id', title: t('part.order'), render: o => html`<${OrderLink} id=${o.id} />`, wide: true },
    ]} /><//>`
}

function Newest() {
  const list = usePages((cursor, abort) => get('/riders', { cursor, limit: 50 }, abort), 'riders', [])
  return html`<section class="gap-above"><${ProblemBox} problem=${list.problem} retry=${list.reload} />
    ${list.data ? html`<${Card} flush title=${null}><${DataTable} label=${t('riders.newest')} rows=${list.rows} onOpen=${r => go('/riders/' + r.id)} empty=${html`<${Empty} icon="rider" title=${t('riders.none')} />`} columns=${columns(t('riders.newest'))} /><${More} list=${list} /><//>` : list.loading && html`<${Spinner} />`}</section>`
}

const columns = title => [
  { key: 'id', title, render: r => html`<span class="two"><${RiderLink} id=${r.id} /><span class="narrow-only">${when(r.since)}${r.group && ' · ' + r.group}</span></span>` },
  { key: 'state', title: t('part.state'), render: r => html`<${RiderBadge} rider=${r} />`, sort: stateOf },
  { key: 'group', title: t('riders.group'), wide: true, render: r => r.group || html`<span class="quiet">${t('riders.everybody')}</span>`, sort: r => r.group || null },
  { key: 'since', title: t('riders.since'), render: r => when(r.since), wide: true, sort: true },
]
