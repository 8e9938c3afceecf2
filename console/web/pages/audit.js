// Who did what, with what was before and after.
import { html, useEffect, useMemo, useState } from '../lib/html.js'
import { can, get } from '../lib/api.js'
import { has, t, tCode } from '../lib/words.js'
import { absolute, clock, day, money, when } from '../lib/format.js'
import { Link, useQuery } from '../lib/router.js'
import { Button, Card, Empty, Field, More, Page, ProblemBox, Select, useLoad, usePages } from '../lib/ui.js'
import { Download, instant, localInput, Zone } from './office.js'
import { changes, shown } from './differ.js'
import '../words/audit.js'

// Areas of acts, as act names begin.
const areas = ['venue.', 'device.', 'code.', 'tariff.', 'pass.', 'order.', 'money.', 'payment.', 'rider.', 'staff.', 'key.', 'login.', 'settings.', 'webhook.', 'alarm.', 'item.', 'bulk.', 'refund.']

/** @param {{query: Record<string, string>}} props */
export default function Audit({ query }) {
  const [, setQuery] = useQuery()
  const [text, setText] = useState(query.q ?? ''), [object, setObject] = useState(query.object ?? '')
  const params = { staff: query.staff, act: query.act, object: query.object, q: query.q, from: query.from, to: query.to }
  useEffect(() => { const wait = setTimeout(() => { if (text !== (query.q ?? '') || object !== (query.object ?? '')) setQuery({ q: text, object }) }, 350); return () => clearTimeout(wait) }, [text, object])
  const staff = useLoad(async abort => can('admin') ? (await get('/staff', {}, abort)).staff : [], [])
  const names = useMemo(() => new Map((staff.data ?? []).map(s => [s.id, s.name])), [staff.data])
  const list = usePages((cursor, abort) => get('/audit', { ...params, cursor, limit: 50 }, abort), 'acts', [JSON.stringify(params)])
  if (!can('admin')) return html`<${Page} title=${t('audit.title')}><${Empty} icon="audit" title=${t('part.role')} /><//>`
  return html`<${Page} title=${t('audit.title')} sub=${html`${t('audit.sub')} <${Zone} />`} actions=${html`<${Download} path="/audit.csv" params=${params} name="audit.csv">${t('part.csv')}<//>`}>
    <div class="filters many">
      <${Select} label=${t('part.staff')} value=${query.staff} onChange=${v => setQuery({ staff: v })} options=${[['', t('part.any')], ...(staff.data ?? []).map(s => [s.id, s.name]), ['unlatch', t('audit.itself')]]} />
      <${Select} label=${t('audit.act')} value=${query.act} onChange=${v => setQuery({ act: v })} options=${[['', t('part.any')], ...areas.map(a => [a, t('audit.area.' + a.slice(0, -1))])]} />
      <${Field} label=${t('audit.object')} value=${object} onInput=${setObject} placeholder="bike-001" spellcheck="false" />
      <${Field} label=${t('audit.holds')} value=${text} onInput=${setText} spellcheck="false" />
      <span class="pair"><${Field} label=${t('part.from')} type="datetime-local" value=${query.from ? localInput(query.from) : ''} onInput=${v => setQuery({ from: instant(v) })} />
      <${Field} label=${t('part.to')} type="datetime-local" value=${query.to ? localInput(query.to) : ''} onInput=${v => setQuery({ to: instant(v) })} /></span>
      ${Object.values(params).some(Boolean) && html`<${Button} kind="quiet" icon="x" onClick=${() => { setText(''); setObject(''); setQuery({ staff: null, act: null, object: null, q: null, from: null, to: null }) }}>${t('part.clear')}<//>`}
    </div>
    <${ProblemBox} problem=${list.problem} retry=${list.reload} />
    ${list.data && (list.rows.length === 0 ? html`<${Empty} icon="audit" title=${t('audit.none')} />` : html`<${Card} flush><ol class="acts" aria-label=${t('audit.title')}>${list.rows.map(a => html`<${Act} key=${a.id} act=${a} names=${names} name=${a.staff_name || names.get(a.staff) || (a.staff === 'unlatch' ? t('audit.itself') : a.staff)} />`)}</ol><//>`)}
    <${More} list=${list} />
  <//>`
}

const links = { device: '/devices/', order: '/orders/', rider: '/riders/', venue: '/venues/' }

// The object of an act in words, as a link where it has a page; staff by their name.
function What({ text, names }) {
  const m = /^([a-z]+(?: [a-z]+)?) ([A-Za-z0-9_:-]+)$/.exec(text), key = m && 'audit.thing.' + m[1].replace(' ', '_')
  if (!m || !key || !has(key)) return html`<span>${has('audit.thing.' + text) ? t('audit.thing.' + text) : text}</span>`
  const said = html`${t(key)} ${m[1] === 'staff' && names.get(m[2]) ? html`<span title=${m[2]}>${names.get(m[2])}</span>` : html`<code title=${m[2]}>${m[2].length > 30 ? m[2].slice(-12) : m[2]}</code>`}`
  return m[1] in links ? html`<${Link} to=${links[m[1]] + m[2]}>${said}<//>` : html`<span>${said}</span>`
}

// field says what changed, part by part; what has no word stands as the API names it.
const field = path => path.split('.').map(part => has('audit.field.' + part) ? t('audit.field.' + part) : part).join(' · ')

// valueOf says a value by what its field is: a state, money, a time, a member, yes or no.
function valueOf(path, value, names) {
  const name = path.split('.').at(-1) ?? ''
  if (typeof value === 'boolean') return t(value ? 'state.yes' : 'state.no')
  if (name.endsWith('_fen') && typeof value === 'number') return money(value)
  if (typeof value !== 'string') return shown(value)
  if (/(_at|_until|until)$/.test(name) && !Number.isNaN(Date.parse(value))) return absolute(value)
  if (['staff', 'owner', 'acked_by'].includes(name)) return names.get(value) ?? value
  for (const area of { service: ['state'], state: ['state'], severity: ['state'], role: ['role'], kind: ['kind', 'alarm'] }[name] ?? []) if (has(`${area}.${value}`)) return t(`${area}.${value}`)
  return shown(value)
}

function Act({ act, name, names }) {
  const list = useMemo(() => changes(act.before, act.after), [act])
  const [all, setAll] = useState(false)
  const seen = all ? list : list.slice(0, 6)
  return html`<li data-act=${act.act}><div><strong>${name}</strong><br /><span class="quiet">${clock(act.at)} · ${when(act.at)}</span><br /><span class="quiet">${day(act.at)}</span></div>
    <div class="stack tight"><div class="act-head"><strong>${tCode('audit.act', act.act)}</strong><${What} text=${act.object} names=${names} /><code class="quiet">${act.act}</code></div>
      ${act.reason && html`<p>“${act.reason}”</p>`}
      ${list.length > 0 && html`<table class="diff"><caption class="hidden-text">${t('audit.change')}</caption><tbody>${seen.map(c => html`<tr key=${c.path}><th scope="row" title=${c.path}>${c.path ? field(c.path) : t('audit.value')}</th>
        <td>${c.before !== undefined && html`<del class="was">${valueOf(c.path, c.before, names)}</del>`}${c.before !== undefined && c.after !== undefined && ' → '}${c.after !== undefined && html`<ins class="is">${valueOf(c.path, c.after, names)}</ins>`}</td></tr>`)}</tbody></table>
        ${list.length > 6 && html`<div><${Button} small kind="quiet" onClick=${() => setAll(!all)}>${all ? t('audit.less') : t('audit.more', { n: list.length - 6 })}<//></div>`}`}
    </div></li>`
}
