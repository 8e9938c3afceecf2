// Alarms: the open ones first, the grave ones before the others. A keyboard gets along
// without a mouse: arrows choose one, a, s and c act on it.
import { html, signal, useEffect, useMemo, useState } from '../lib/html.js'
import { can, pages, post } from '../lib/api.js'
import { clock, relative, when } from '../lib/format.js'
import { useKeys } from '../lib/keys.js'
import { go, Link, useQuery } from '../lib/router.js'
import { Badge, Button, Card, confirmAct, DataTable, Empty, Field, Page, ProblemBox, Select, Spinner, Tabs, toast, useLoad } from '../lib/ui.js'
import { has, t, tCode } from '../lib/words.js'
import { DeviceLink, Filters, useStaff, VenueLink } from './desk.js'
import { useFresh } from './orders.js'
import { instant, localInput, useVenues } from './office.js'
import '../words/items.js'
import '../words/alarms.js'

const kinds = ['emergency_stop', 'totaliser_gap', 'unresolved_long', 'evidence_gap', 'unlock_failures', 'jammed', 'device_offline', 'low_battery', 'clock_drift', 'open_item']

/** Where an alarm stands. @param {any} a */
export const stateOf = a => a.cleared_at ? 'cleared' : a.snoozed_until && new Date(a.snoozed_until).getTime() > Date.now() ? 'snoozed' : a.acked_at ? 'acked' : 'open'

const place = { open: 0, acked: 1, snoozed: 2, cleared: 3 }
const urgent = (a, b) => place[stateOf(a)] - place[stateOf(b)] || Number(b.severity === 'critical') - Number(a.severity === 'critical') || new Date(b.cleared_at ?? b.raised_at).getTime() - new Date(a.cleared_at ?? a.raised_at).getTime()

/** @param {{query: Record<string, string>}} props */
export default function Alarms({ query }) {
  const [, setQuery] = useQuery()
  const venues = useVenues(), all = query.all === '1'
  const load = useLoad(async abort => read({ open: all ? undefined : true, kind: query.kind, venue: query.venue, limit: 100 }, abort), [all, query.kind, query.venue])
  useFresh('alarm', load.reload)
  const rows = useMemo(() => (load.data ?? []).filter(a => (all || !a.cleared_at) && (!query.severity || a.severity === query.severity)).sort(urgent), [load.data, query.severity, all])
  const [chosen, setChosen] = useState('')
  const current = rows.find(a => a.id === chosen) ?? rows[0]
  useEffect(() => { if (!chosen && rows[0]) setChosen(rows[0].id) }, [rows])
  const act = what => { if (current && can('field') && stateOf(current) !== 'cleared') ({ acknowledge, snooze, clear })[what](current, load.reload) }
  useKeys([{ keys: 'a', words: 'keys.alarm.ack', run: () => act('acknowledge') }, { keys: 's', words: 'keys.alarm.snooze', run: () => act('snooze') }, { keys: 'c', words: 'keys.alarm.clear', run: () => act('clear') }], [current, load.data])
  const set = name => v => setQuery({ [name]: v })
  return html`<${Page} title=${t('alarms.title')} sub=${load.data && html`<span class="quiet">${t('alarms.count', { n: rows.filter(a => !a.cleared_at).length })}</span>`}>
    <${Tabs} label=${t('alarms.title')} value=${all ? '1' : ''} onChange=${set('all')} tabs=${[{ value: '', word: t('alarms.open') }, { value: '1', word: t('alarms.all') }]} />
    <${Filters} active=${['kind', 'severity', 'venue'].filter(k => query[k]).length}>
      <${Select} label=${t('alarms.what')} value=${query.kind} onChange=${set('kind')} options=${[['', t('part.any')], ...kinds.map(k => [k, t('alarm.' + k)])]} />
      <${Select} label=${t('alarms.severity')} value=${query.severity} onChange=${set('severity')} options=${[['', t('part.any')], ...['critical', 'warning'].map(s => [s, t('alarms.severity.' + s)])]} />
      ${venues.venues.length > 1 && html`<${Select} label=${t('part.venue')} value=${query.venue} onChange=${set('venue')} options=${venues.options(t('part.any'))} />`}
    <//>
    <${ProblemBox} problem=${load.problem} retry=${load.reload} />
    ${!load.data ? load.loading && html`<${Spinner} />` : html`<${Card} flush><${DataTable} label=${t('alarms.title')} rows=${rows} onActive=${a => setChosen(a?.id ?? '')} onOpen=${a => open(a)}
      rowClass=${a => (a === current ? 'chosen ' : '') + (stateOf(a) === 'open' && a.severity === 'critical' ? 'alarm-row-critical' : stateOf(a) === 'open' ? '' : 'calm')}
      empty=${html`<${Empty} title=${t('alarms.none')} text=${t('alarms.none.text')} />`} columns=${columns(load.reload)} /><//>
      ${rows.length > 0 && can('field') && html`<p class="hint desk-only gap-above">${t('alarms.keys')}</p>`}`}
  <//>`
}

// read takes the newest alarms, at most as many as anybody would look through.
async function read(params, abort) {
  const found = []
  for await (const page of pages('/alarms', params)) {
    found.push(...page.alarms)
    if (abort.aborted || found.length >= 500) break
  }
  return found
}

const columns = again => [
  { key: 'severity', title: t('alarms.severity'), wide: true, render: a => html`<${Badge} state=${a.severity} word=${t('alarms.severity.' + a.severity)} />`, sort: a => a.severity },
  { key: 'kind', title: t('alarms.what'), class: 'widest', render: a => html`<span class="two"><span class="row"><strong>${nameOf(a)}</strong>${a.times > 1 && html`<span class="quiet">${t('alarms.times', { n: a.times })}</span>`}</span><span class="said">${detailOf(a)}</span>
    ${a.comment && html`<span class="said">“${a.comment}”</span>`}
    <span class="narrow-only"><${Badge} state=${a.severity} word=${t('alarms.severity.' + a.severity)} /> <${Where} alarm=${a} /> · ${when(a.raised_at)}</span><span class="narrow-only"><${Acts} alarm=${a} again=${again} /></span></span>`, sort: nameOf },
  { key: 'where', title: t('part.device'), wide: true, class: 'nowrap', render: a => html`<span class="two"><${Where} alarm=${a} /><span><${VenueLink} id=${a.venue} /></span></span>`, sort: a => a.device ?? null },
  { key: 'raised_at', title: t('alarms.raised'), class: 'nowrap', wide: true, render: a => when(a.raised_at), sort: true },
  { key: 'state', title: t('part.state'), render: a => html`<${State} alarm=${a} />`, sort: stateOf },
  { key: 'do', title: '', align: 'end', wide: true, render: a => html`<${Acts} alarm=${a} again=${again} />` },
]

function Acts({ alarm: a, again }) {
  if (!can('field') || a.cleared_at) return null
  return html`<span class="actions">${stateOf(a) !== 'acked' && html`<${Button} small onClick=${() => acknowledge(a, again)}>${t('alarms.ack')}<//>`}
    <${Button} small onClick=${() => snooze(a, again)}>${t('alarms.snooze')}<//><${Button} small kind="quiet" onClick=${() => clear(a, again)}>${t('alarms.clear')}<//></span>`
}

// nameOf tells items apart by their kind.
const itemKind = a => /kind (\w+):/.exec(a.detail)?.[1] ?? ''
const nameOf = a => a.kind === 'open_item' && itemKind(a) ? tCode('item', itemKind(a)) : tCode('alarm', a.kind)

function Where({ alarm: a }) {
  if (a.device) return html`<${DeviceLink} id=${a.device} />`
  if (a.kind === 'open_item' || a.kind === 'totaliser_gap') return html`<${Link} to="/items" query=${{ venue: a.venue, kind: a.subject?.split('/')[1] }}>${t('alarms.to.items')}<//>`
  if (problems[a.kind]) return html`<${Link} to="/" query=${{ venue: a.venue, problem: problems[a.kind] }}>${t('alarms.to.fleet')}<//>`
  return html`<span class="quiet">–</span>`
}

// What many devices of a venue have in common is one alarm: the fleet's filter shows them.
const problems = { device_offline: 'offline', low_battery: 'low_battery', unlock_failures: 'unlock_failures', jammed: 'jammed', clock_drift: 'clock_drift' }

const open = a => a.device ? go('/devices/' + a.device) : problems[a.kind] ? go('/', { venue: a.venue, problem: problems[a.kind] }) : go('/items', { venue: a.venue, kind: a.subject?.split('/')[1] })

function State({ alarm: a }) {
  const state = stateOf(a), { who } = useStaff()
  const under = state === 'acked' && a.acked_by ? t('alarms.acked.by', { who: who(a.acked_by), ago: relative(a.acked_at) }) : state === 'snoozed' ? t('alarms.snoozed.until', { time: clock(a.snoozed_until) })
    : state === 'cleared' ? a.cleared_by ? t('alarms.acked.by', { who: who(a.cleared_by), ago: relative(a.cleared_at) }) : t('alarms.cleared.itself', { ago: relative(a.cleared_at) }) : ''
  return html`<span class="two"><${Badge} state=${{ open: 'open', acked: 'acknowledged', snoozed: 'snoozed', cleared: 'cleared' }[state]} icon=${state === 'open' ? 'alarm' : undefined} tone=${state === 'open' && a.severity === 'critical' ? 'bad' : undefined} word=${t('alarms.state.' + state)} />${under && html`<span>${under}</span>`}</span>`
}

/** What an alarm says, in the language in use where its figures are understood. @param {any} a */
export function detailOf(a) {
  const many = /^(\d+) devices of this venue/.exec(a.detail)?.[1]
  if (many) return t('alarm.of.many', { n: many })
  const key = `alarm.${a.kind}.detail`
  if (!has(key)) return a.detail
  const since = /\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(a.detail)?.[0], counted = /kind (\w+): (\d+)/.exec(a.detail), first = /\d+/.exec(a.detail)?.[0]
  const needs = t(key)
  if (needs.includes('{ago}') && !since || needs.includes('{kind}') && !counted || needs.includes('{n}') && !first) return a.detail
  return t(key, { ago: since && relative(since), kind: counted && tCode('item', counted[1]), n: counted ? counted[2] : first })
}

/* Acts. */

const send = async (a, act, body, said, again) => {
  await post(`/alarms/${a.id}/${act}`, body)
  toast(said)
  again()
  return true
}

// acknowledge does it at once: nothing is lost by it.
async function acknowledge(a, again) {
  try { await send(a, 'acknowledge', {}, t('alarms.done.acked'), again) } catch (p) { toast(/** @type {any} */ (p).detail || String(p), 'bad') }
}

const snooze = (a, again) => {
  const until = signal(localInput(Date.now() + 3600_000))
  const path = `/alarms/${a.id}/snooze`
  return confirmAct({ title: t('alarms.snooze'), text: t('alarms.snooze.text'), reason: 'optional', curl: { method: 'POST', path, get body() { return { until: instant(until.value) } } },
    children: html`<${Until} until=${until} />`,
    run: reason => send(a, 'snooze', { until: instant(until.value), ...(reason && { reason }) }, t('alarms.done.snoozed', { time: clock(instant(until.value)) }), again) })
}

function Until({ until }) {
  const past = !until.value || new Date(until.value).getTime() <= Date.now()
  const later = hours => { until.value = localInput(Date.now() + hours * 3600_000) }
  return html`<div class="choices"><${Button} onClick=${() => later(1)}>${t('alarms.snooze.1h')}<//><${Button} onClick=${() => later(8)}>${t('alarms.snooze.8h')}<//>
    <${Field} label=${t('alarms.snooze.until')} type="datetime-local" required value=${until.value} min=${localInput(Date.now())} onInput=${v => { until.value = v }} problem=${past ? t('alarms.snooze.past') : null} /></div>`
}

const clear = (a, again) => confirmAct({ title: t('alarms.clear'), text: t('alarms.clear.text'), reason: 'optional', curl: { method: 'POST', path: `/alarms/${a.id}/clear`, body: {} },
  run: reason => send(a, 'clear', reason ? { reason } : {}, t('alarms.done.cleared'), again) })
