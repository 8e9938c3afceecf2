// A service unlock on its way: committed, handed over, proved by the device, acknowledged.
// What is shown as done is done; until the device has spoken nobody knows.
import { html, useEffect, useRef } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { clock, duration } from '../lib/format.js'
import { onUpdate } from '../lib/live.js'
import { go } from '../lib/router.js'
import { Button, Card, confirmAct, Icon, ProblemBox, Spinner, Timeline, useLoad } from '../lib/ui.js'
import { t } from '../lib/words.js'
import { hopsOf, OrderBadge, reasonOf } from './desk.js'
import { useVenues, Zone } from './office.js'

/** @param {{device: any, id: string, again: () => void, onClose: () => void}} props id: of the order */
export function Unlock({ device: d, id, again, onClose }) {
  const load = useLoad(async abort => {
    const [order, device] = await Promise.all([get('/orders/' + id, {}, abort), get('/devices/' + encodeURIComponent(d.id), {}, abort)])
    return { order, command: device.commands.find(c => c.order === id && c.kind === 'start') }
  }, [id])
  const { zone } = useVenues()
  const order = load.data?.order, command = load.data?.command
  const box = useRef(/** @type {any} */ (null))
  useEffect(() => { box.current?.scrollIntoView({ block: 'nearest' }) }, [])
  useEffect(() => onUpdate('order', o => { if (o.id === id) load.reload() }), [id])
  const hops = command ? hopsOf(command) : []
  const over = order?.done_at && Date.now() - new Date(order.done_at).getTime() > 10_000 // what has no acknowledgement by then gets none
  const waits = !order || ['pending', 'starting', 'unresolved'].includes(order.state) || !over && !hops.find(h => h.name === 'acked')?.at
  useEffect(() => { // updates may be away, and an acknowledgement is no update
    if (!order) return
    const every = setInterval(load.reload, waits ? 700 : 5000)
    return () => clearInterval(every)
  }, [Boolean(order), waits])
  const before = useRef('')
  useEffect(() => {
    if (order && before.current && before.current !== order.state) again()
    before.current = order?.state ?? ''
  }, [order?.state])

  const pump = d.kind === 'pump', live = Boolean(order) && ['pending', 'starting', 'unresolved', 'active'].includes(order.state)
  const stop = act => confirmAct({ title: t('unlock.' + (act === 'end' ? 'end' : 'cancel')), text: t(act === 'end' ? 'device.unlock.end.text' : 'device.unlock.void.text'), reason: true, danger: true,
    curl: { method: 'POST', path: `/orders/${id}/${act}`, body: {} }, run: reason => post(`/orders/${id}/${act}`, { reason }) }).then(done => { if (done) { load.reload(); again() } })
  return html`<div ref=${box}><${Card} class="unlock" title=${t('unlock.title')} actions=${html`${order && html`<${OrderBadge} order=${order} />`}
      <${Button} kind="quiet" icon="x" label=${t('part.close')} onClick=${onClose} />`}>
    <${ProblemBox} problem=${load.problem} retry=${load.reload} />
    ${order ? html`<div role="status" aria-live="polite"><${Verdict} order=${order} device=${d} /></div>
      <details class="way" open=${live}><summary>${t('unlock.way')}</summary><${Timeline} steps=${steps(order, hops, pump, zone(d.venue), waits)} /><${Zone} venue=${d.venue} /></details>
      <div class="actions start">
        ${order.state === 'unresolved' && can('field') && html`<${Button} small onClick=${() => stop('void')}>${t('unlock.cancel')}<//>`}
        ${order.state === 'active' && can('field') && html`<${Button} small onClick=${() => stop('end')}>${t('unlock.end')}<//>`}
        <${Button} small kind="quiet" icon="order" onClick=${() => go('/orders/' + id)}>${t('unlock.order')}<//></div>` : !load.problem && html`<${Spinner} />`}
  <//></div>`
}

// What came of it so far, in one sentence.
function Verdict({ order: o, device: d }) {
  const pump = d.kind === 'pump'
  const [look, icon, text] = o.state === 'voided' ? ['no', 'bad', t('unlock.failed', { reason: why(o, d) })]
    : o.state === 'active' ? ['yes', 'ok', t(pump ? 'unlock.running.pump' : 'unlock.running')]
    : ['ended', 'settled'].includes(o.state) ? ['yes', 'ok', t('unlock.over')]
    : o.state === 'unresolved' ? ['unknown', 'unknown', t(pump ? 'unlock.doubt.pump' : 'unlock.doubt')] : ['going', 'clock', t('unlock.going')]
  return html`<p class=${'verdict ' + look}><${Icon} name=${icon} />${text}</p>`
}

// why is the reason of a start that did not open. A lock that is known to be jammed calls
// that a fault of its own when it is tried again; the jam is what there is to mend.
const why = (o, d) => reasonOf(/(^|_)not_working$/.test(o.reason ?? '') && d.outlets.some(out => out.outlet === o.outlet && out.jammed) ? 'jam' : o.reason)

function steps(o, hops, pump, zone, waits) {
  const hop = name => hops.find(h => h.name === name) ?? { at: 0, ms: null }
  const took = h => h.ms != null ? t('unlock.after', { time: duration(h.ms) }) : ''
  const answered = ['active', 'ended', 'settled'].includes(o.state), refused = o.state === 'voided'
  const started = o.timeline?.find(m => m.input === 'executed')
  const proof = answered ? { title: t(pump ? 'unlock.executed.pump' : 'unlock.executed'), tone: 'ok', time: started && clock(started.at, zone), text: took(hop('answered')) || started && t('unlock.after', { time: duration(new Date(started.at).getTime() - new Date(o.created_at).getTime()) }) }
    : refused ? { title: t('unlock.shut'), tone: 'bad', time: o.done_at && clock(o.done_at, zone), text: took(hop('answered')) }
    : { title: t(o.state === 'unresolved' ? 'unlock.unresolved' : 'unlock.waiting'), tone: o.state === 'unresolved' ? 'warn' : 'busy', icon: o.state === 'unresolved' ? 'unknown' : 'clock' }
  return [
    { title: t('unlock.committed'), tone: 'ok', time: clock(o.created_at, zone) },
    { title: t('unlock.handed'), tone: hop('handed').at || answered || refused ? 'ok' : 'busy', time: hop('handed').at ? clock(hop('handed').at, zone) : '', text: took(hop('handed')) },
    proof,
    (hop('acked').at || (answered || refused) && waits) && { title: t(hop('acked').at ? 'unlock.acked' : 'unlock.acking'), tone: hop('acked').at ? 'ok' : 'busy', time: hop('acked').at ? clock(hop('acked').at, zone) : '', text: took(hop('acked')) },
  ]
}
