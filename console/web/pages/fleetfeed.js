// The live feed as a drawer under the fleet: what happens, in words, as it happens.
import { html, useEffect, useState } from '../lib/html.js'
import { Feed } from '../lib/feed.js'
import { states } from '../lib/fleet.js'
import { clock, number } from '../lib/format.js'
import { fleet } from '../lib/live.js'
import { Link } from '../lib/router.js'
import { Button, Icon } from '../lib/ui.js'
import { t, tCode } from '../lib/words.js'

const types = ['device', 'order', 'item', 'alarm']
const icons = { device: 'device', order: 'order', item: 'item', alarm: 'alarm' }
const shown = 80
const kept = 'unlatch.feed.open'

/** @param {import('../lib/feed.js').Line} line */
function words({ type, what }) {
  switch (type) {
    case 'device': {
      const to = tCode('state', states[what.to])
      return what.from === 255 ? t('feed.device.new', { to }) : t('feed.device', { from: tCode('state', states[what.from]), to })
    }
    case 'order': return t('feed.order', { state: tCode('order.state', what.state) })
    case 'item': return t(what.open ? 'feed.item.open' : 'feed.item.closed', { kind: tCode('item', what.kind) })
    case 'alarm': return t({ acknowledged: 'feed.alarm.acknowledged', acked: 'feed.alarm.acknowledged', snoozed: 'feed.alarm.snoozed', cleared: 'feed.alarm.closed', closed: 'feed.alarm.closed' }[what.state] ?? 'feed.alarm.open', { kind: tCode('alarm', what.kind) })
  }
}

const to = ({ type, device, what }) => type === 'order' ? '/orders/' + what.id : type === 'item' ? '/items' : type === 'alarm' ? '/alarms' : '/devices/' + encodeURIComponent(device)

function wasOpen() { try { return localStorage.getItem(kept) === 'yes' } catch { return false } }

/** @param {{board: any}} props */
export function FeedDrawer({ board }) {
  const [feed] = useState(() => new Feed())
  const [open, setOpen] = useState(wasOpen)
  const [off, setOff] = useState(/** @type {string[]} */ ([]))
  const [mine, setMine] = useState(false)
  const [paused, setPaused] = useState(/** @type {null | {lines: import('../lib/feed.js').Line[], total: number}} */ (null))
  const [, worded] = useState(0)
  useEffect(() => { feed.start(); return () => feed.stop() }, [])
  useEffect(() => { // the words of kinds are the other pages' and come when they are needed
    if (open) Promise.all([import('../words/items.js'), import('../words/alarms.js')]).then(() => worded(1))
    try { localStorage.setItem(kept, open ? 'yes' : 'no') } catch { /* a private window keeps nothing */ }
  }, [open])
  feed.version.value
  const lines = paused?.lines ?? feed.lines
  const pass = l => !off.includes(l.type) && (!mine || board.view.passed[fleet.find(l.device)] === 1)
  const seen = open ? lines.filter(pass).slice(0, shown) : []
  const last = lines[0]
  return html`<section class=${'feed' + (open ? ' open' : '')} aria-label=${t('feed.title')}>
    <header>
      <button type="button" class="feed-toggle" aria-expanded=${String(open)} title=${t(open ? 'feed.close' : 'feed.open')} onClick=${() => setOpen(!open)}>
        <${Icon} name=${open ? 'down' : 'up'} /><strong>${t('feed.title')}</strong>${!open && last && html`<span class="feed-last">${last.device} · ${words(last)}</span>`}</button>
      ${open && html`<div class="feed-tools" role="group" aria-label=${t('feed.types')}>
        ${types.map(type => html`<button type="button" key=${type} class="chip" aria-pressed=${String(!off.includes(type))} onClick=${() => setOff(off.includes(type) ? off.filter(o => o !== type) : [...off, type])}>${t('feed.type.' + type)}</button>`)}
        <button type="button" class="chip" aria-pressed=${String(mine)} onClick=${() => setMine(!mine)}>${t('feed.mine')}</button>
        <${Button} small icon=${paused ? 'play' : 'pause'} onClick=${() => setPaused(paused ? null : { lines: [...feed.lines], total: feed.total })}>${t(paused ? 'feed.resume' : 'feed.pause')}<//>
        ${paused && html`<span class="quiet" role="status">${t('feed.paused', { n: number(feed.total - paused.total) })}</span>`}
      </div>`}
    </header>
    ${open && (seen.length ? html`<ol class="feed-lines" tabindex="0" aria-label=${t('feed.title')}>${seen.map(l => html`<li key=${l.n} class=${l.type}><time>${clock(l.at)}</time><${Icon} name=${icons[l.type]} /><${Link} to=${to(l)}>${l.device || t('feed.type.' + l.type)}<//><span>${words(l)}</span></li>`)}</ol>`
      : html`<p class="quiet feed-none">${t('feed.quiet')}</p>`)}
  </section>`
}
