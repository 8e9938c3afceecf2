// What riders reported, with their photos; closing one says what was done.
import { html, useState } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { when } from '../lib/format.js'
import { useQuery } from '../lib/router.js'
import { Badge, Button, Card, confirmAct, Dialog, Empty, Page, ProblemBox, Select, Spinner, Tabs, toast, useLoad } from '../lib/ui.js'
import { t, tCode } from '../lib/words.js'
import { DeviceLink, Filters, RiderLink, useStaff, VenueLink } from './desk.js'
import { useFresh } from './orders.js'
import { useVenues } from './office.js'
import '../words/faults.js'

const photoOf = f => `/v1/operator/faults/${f.id}/photo`

/** @param {{query: Record<string, string>}} props */
export default function Faults({ query }) {
  const [, setQuery] = useQuery()
  const venues = useVenues(), all = query.all === '1'
  const [big, setBig] = useState(/** @type {any} */ (null))
  const load = useLoad(async abort => (await get('/faults', { all: all || undefined, venue: query.venue, limit: 500 }, abort)).faults, [all, query.venue])
  useFresh('item', load.reload)
  const found = (load.data ?? []).filter(f => (!query.kind || f.kind === query.kind) && (!query.device || f.device === query.device))
  return html`<${Page} title=${t('faults.title')} sub=${load.data && html`<span class="quiet">${t('faults.count', { n: found.length })}</span>`}>
    <${Tabs} label=${t('faults.title')} value=${all ? '1' : ''} onChange=${to => setQuery({ all: to })} tabs=${[{ value: '', word: t('faults.open') }, { value: '1', word: t('faults.all') }]} />
    <${Filters} active=${['kind', 'venue', 'device'].filter(k => query[k]).length}>
      <${Select} label=${t('part.kind')} value=${query.kind} onChange=${v => setQuery({ kind: v })} options=${[['', t('part.any')], ...['wont_open', 'wont_close', 'damaged', 'misplaced', 'code_unreadable', 'other'].map(k => [k, t('fault.' + k)])]} />
      ${venues.venues.length > 1 && html`<${Select} label=${t('part.venue')} value=${query.venue} onChange=${v => setQuery({ venue: v })} options=${venues.options(t('part.any'))} />`}
      ${query.device && html`<${Button} kind="quiet" icon="x" class="at-foot" onClick=${() => setQuery({ device: '' })}>${query.device}<//>`}
    <//>
    <${ProblemBox} problem=${load.problem} retry=${load.reload} />
    ${!load.data ? load.loading && html`<${Spinner} />` : found.length === 0 ? html`<${Card}><${Empty} title=${t('faults.none')} text=${t('faults.none.text')} /><//>`
      : html`<ul class="reports">${found.map(f => html`<${Report} key=${f.id} fault=${f} again=${load.reload} show=${() => setBig(f)} />`)}</ul>`}
    ${big && html`<${Dialog} wide class="lightbox" title=${t('faults.photo', { device: big.device })} onClose=${() => setBig(null)}><img src=${photoOf(big)} alt=${t('faults.photo', { device: big.device })} />
      <p class="row"><span class="grow">${tCode('fault', big.kind)}${big.text && html`<span class="quiet"> · ${big.text}</span>`}</span><a href=${photoOf(big)} target="_blank" rel="noopener">${t('faults.photo.original')}</a></p><//>`}
  <//>`
}

/** @param {{fault: any, again: () => void, show: () => void}} props */
function Report({ fault: f, again, show }) {
  const { who } = useStaff()
  const close = async () => {
    const path = `/open-items/${f.id}/close` // a report's item has its id
    const done = await confirmAct({ title: t('faults.close'), text: t('faults.close.text'), reason: true, curl: { method: 'POST', path, body: {} }, run: async reason => { await post(path, { reason }); return true } })
    if (done) { toast(t('faults.closed.done')); again() }
  }
  return html`<li class="card report">
    <header><div class="two"><h2>${tCode('fault', f.kind)}</h2><span><${DeviceLink} id=${f.device} />${f.outlet > 1 && ` · ${t('part.outlet.n', { n: f.outlet })}`} · <${VenueLink} id=${f.venue} /></span></div>
      <${Badge} state=${f.closed_at ? 'closed' : 'open'} icon=${f.closed_at ? 'check' : 'fault'} word=${t(f.closed_at ? 'faults.state.closed' : 'faults.state.open')} /></header>
    ${f.photo && html`<button type="button" class="photo" onClick=${show} aria-label=${t('faults.photo.open')}><img src=${photoOf(f)} loading="lazy" alt=${t('faults.photo', { device: f.device })} /></button>`}
    ${f.text ? html`<p class="words">${f.text}</p>` : html`<p class="words quiet">${t('faults.words.none')}</p>`}
    <footer><small class="quiet">${when(f.at)} · <${RiderLink} id=${f.rider} />${f.closed_at && html`<br />${t('faults.closed', { who: who(f.closed_by) })} ${when(f.closed_at)}`}</small>
      ${!f.closed_at && can('field') && html`<${Button} small icon="check" onClick=${close}>${t('faults.close')}<//>`}</footer></li>`
}
