// Why a device would not open: the server's findings in words, each with its fix and,
// where there is one, a button that does it.
import { html, useEffect, useState } from '../lib/html.js'
import { can, get } from '../lib/api.js'
import { age, clock } from '../lib/format.js'
import { Badge, Button, Card, Icon, ProblemBox, Select, Spinner, useLoad } from '../lib/ui.js'
import { has, t, tCode } from '../lib/words.js'
import { reasonOf } from './desk.js'

const icons = { yes: 'ok', 'yes.but': 'warn', no: 'blocked', unknown: 'unknown' }
const least = { 'set-service': 'field', 'command-device': 'field', 'service-unlock': 'field', 'mint-code': 'field', 'place-device': 'field', 'put-venue': 'admin', 'add-tariff': 'admin', 'provision-devices': 'admin' }

/** @param {{device: any, acts: any}} props */
export function Diagnosis({ device: d, acts }) {
  const [outlet, setOutlet] = useState(d.outlets[0]?.outlet ?? 1)
  const load = useLoad(abort => get(`/devices/${encodeURIComponent(d.id)}/diagnosis`, { outlet }, abort), [d.id, outlet])
  const known = [d.service, d.stopped, d.heard_at, ...d.outlets.map(o => o.availability + o.block + o.order)].join(' ')
  useEffect(() => { if (load.data) load.reload() }, [known])
  const pump = d.kind === 'pump', found = load.data
  const jammed = found?.findings.some(f => f.code === 'jammed')
  const look = jammed ? 'no' : found?.opens === 'yes' && found.findings.some(f => f.severity === 'warns') ? 'yes.but' : found?.opens
  const open = d.outlets.some(o => o.order || o.closed === false)
  return html`<${Card} title=${t(pump ? 'device.diagnosis.pump' : 'device.diagnosis')} class="diagnosis" actions=${html`
      ${d.outlets.length > 1 && html`<${Select} inline label=${t(pump ? 'device.side' : 'part.outlet')} value=${outlet} onChange=${v => setOutlet(Number(v))} options=${d.outlets.map(o => [o.outlet, t(pump ? 'part.side.n' : 'part.outlet.n', { n: o.outlet })])} />`}
      <${Button} kind="quiet" icon="reload" label=${t('device.check.again')} busy=${load.loading && Boolean(found)} onClick=${load.reload} />`}>
    <${ProblemBox} problem=${load.problem} retry=${load.reload} />
    ${found ? html`<div class="verdict-row"><p class=${'verdict ' + look.replace('.', '-')} role="status"><${Icon} name=${icons[look] ?? 'unknown'} />${t(!jammed ? 'device.opens.' + look : d.service === 'maintenance' ? 'device.opens.jammed.maintenance' : 'device.opens.jammed')}</p>
      ${can('field') && html`<${Switch} device=${d} acts=${acts} jammed=${jammed} open=${open} />`}</div>
      <ul class="findings">${found.findings.map((f, i) => html`<${Finding} key=${f.code + i} finding=${f} device=${d} acts=${acts} />`)}</ul>` : !load.problem && html`<${Spinner} />`}<//>`
}

// Switch takes the device into maintenance or into service, at the one place of the page
// that does. It is loud where the verdict asks for it.
function Switch({ device: d, acts, jammed, open }) {
  const to = { in_service: 'maintenance', maintenance: 'in_service' }[d.service]
  if (!to) return null
  const loud = to === 'maintenance' ? jammed : !jammed && !open
  return html`<${Button} kind=${loud ? 'primary' : ''} icon=${to === 'maintenance' ? 'fault' : 'ok'} onClick=${() => acts.service(to)}>${t(to === 'maintenance' ? 'device.maintenance' : 'device.inservice')}<//>`
}

function Finding({ finding: f, device: d, acts }) {
  const facts = factsOf(f.facts ?? {}, d)
  const key = f.code === 'stopped' && !f.facts?.reason ? 'find.stopped.venue' : f.code === 'jammed' && f.facts?.tried ? 'find.jammed.tried'
    : f.code === 'outlet_busy' && f.facts?.service ? 'find.outlet_busy.service' + (d.kind === 'pump' ? '.pump' : '')
    : f.code === 'last_start_failed' && f.facts?.reason === 'jam' && d.kind === 'lock' ? 'find.last_start_failed.jam' : 'find.' + f.code, known = has(key)
  const fix = fixKey(f, d)
  const may = f.action && f.action.operation !== 'set-service' && can(least[f.action.operation] ?? 'viewer')
  return html`<li><${Badge} state=${f.code === 'jammed' ? 'bad' : f.severity} word=${f.code === 'jammed' ? t('fleet.problem.jammed') : t('device.severity.' + f.severity)} />
    <div><p>${known ? t(key, facts) : tCode('find', f.code)}</p>${has(fix) && t(fix, facts) && html`<p class="fix">${t(fix, facts)}</p>`}</div>
    ${may && html`<span class="actions"><${Button} small onClick=${() => acts.fix(f.action)}>${label(f.action)}<//></span>`}</li>`
}

// fixKey picks the words for what to do: some kinds and reasons have their own.
function fixKey(f, d) {
  const service = f.code === 'outlet_busy' && f.facts?.service
  const special = (service ? [f.facts.state === 'active' ? 'service.' + d.kind : '', 'service'] : [f.facts?.reason, d.service, d.kind])
    .filter(Boolean).map(s => `find.${f.code}.fix.${s}`).find(has)
  return special ?? `find.${f.code}.fix`
}

/** @param {{operation: string, body?: any, label_code?: string}} action */
function label({ operation, body = {}, label_code: code }) {
  const keys = [`fix.${operation}.${body.kind ?? body.service ?? ''}`, `fix.${operation}`, code && 'fix.' + code]
  const key = keys.find(k => k && has(k))
  return key ? t(key) : tCode('fix', code ?? operation)
}

// factsOf fills what the sentences name; what is not known is a dash.
function factsOf(facts, d) {
  const seconds = facts.age_s ?? facts.for_s ?? facts.seconds ?? facts.silent_s
  const until = facts.until ?? facts.at
  return { from: '–', to: '–', hours: '–', battery: facts.percent ?? d.battery ?? '–', ...facts, age: seconds != null ? age(seconds) : d.heard_at ? age((Date.now() - new Date(d.heard_at).getTime()) / 1000) : '–',
    reason: reasonOf(facts.reason) || d.service_reason || d.stopped || '–', until: until ? clock(until) : '–' }
}
