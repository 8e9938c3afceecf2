// Who is told of events over HTTP, and what became of each telling.
import { html, useState } from '../lib/html.js'
import { call, can, get, post, put } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { when } from '../lib/format.js'
import { Link, go, staying } from '../lib/router.js'
import { Badge, Button, Card, Check, DataTable, Dialog, Empty, Field, Loaded, More, Page, ProblemBox, confirmAct, toast, useLoad, usePages } from '../lib/ui.js'
import { Secret } from './office.js'
import '../words/webhooks.js'

/** @param {{query: Record<string, string>}} props */
export default function Webhooks({ query }) {
  const load = useLoad(abort => get('/webhooks', {}, abort), [])
  const [edited, setEdited] = useState(/** @type {any} */ (null)), [secret, setSecret] = useState(/** @type {any} */ (null))
  if (!can('admin')) return html`<${Page} title=${t('hook.title')}><${Empty} icon="webhook" title=${t('part.role')} /><//>`
  const one = load.data?.webhooks.find(w => w.id === query.id)
  const body = w => ({ label: w.label, url: w.url, events: w.events, enabled: w.enabled })
  const toggle = async w => {
    const path = '/webhooks/' + w.id, change = { ...body(w), enabled: !w.enabled }
    if (await confirmAct({ title: t(w.enabled ? 'hook.off_of' : 'hook.on_of', { label: w.label }), text: t(w.enabled ? 'hook.off_text' : 'hook.on_text'), reason: true, word: t(w.enabled ? 'hook.switch_off' : 'hook.switch_on'), curl: { method: 'PUT', path, body: change }, run: reason => put(path, { ...change, reason }) })) { toast(t('office.saved')); load.reload() }
  }
  const rotate = async w => {
    const path = `/webhooks/${w.id}/rotate`
    const made = await confirmAct({ title: t('hook.rotate_of', { label: w.label }), text: t('hook.rotate_text'), reason: true, word: t('hook.rotate'), curl: { method: 'POST', path, body: {} }, run: reason => post(path, { reason }) })
    if (made) setSecret({ label: w.label, secret: made.secret })
  }
  const remove = async w => {
    const path = `/webhooks/${w.id}/remove`, here = staying()
    if (await confirmAct({ title: t('hook.remove_of', { label: w.label }), text: t('hook.remove_text'), reason: true, danger: true, word: t('hook.remove'), curl: { method: 'POST', path, body: {} }, run: async reason => { await post(path, { reason }); return true } })) { toast(t('hook.removed')); if (here()) go('/webhooks'); load.reload() }
  }
  const test = async w => { const here = staying(); try { await call('POST', `/webhooks/${w.id}/test`); toast(t('hook.tested')); if (here()) go('/webhooks', { id: w.id }) } catch (p) { toast(p.detail || p.message, 'bad') } }
  return html`<${Page} title=${t('hook.title')} sub=${t('hook.sub')} actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => setEdited({})}>${t('hook.new')}<//>`}>
    <${Loaded} load=${load}>${d => html`
      ${one ? html`<p><${Link} to="/webhooks">← ${t('hook.all')}<//></p>
        <${Card} title=${one.label} actions=${html`<${State} hook=${one} />`}><p class="break"><code>${one.url}</code></p><p class="quiet">${one.events.map(e => tCode('hook.event', e)).join(' · ')}</p>
          <div class="actions after"><${Button} icon="play" onClick=${() => test(one)}>${t('hook.test')}<//><${Button} icon="edit" onClick=${() => setEdited(one)}>${t('hook.edit')}<//><${Button} icon="key" onClick=${() => rotate(one)}>${t('hook.rotate')}<//>
            <${Button} icon=${one.enabled ? 'pause' : 'play'} onClick=${() => toggle(one)}>${t(one.enabled ? 'hook.switch_off' : 'hook.switch_on')}<//><${Button} kind="danger" icon="trash" onClick=${() => remove(one)}>${t('hook.remove')}<//></div><//>
        <${Deliveries} key=${one.id} id=${one.id} />`
      : html`<${Card} flush><${DataTable} label=${t('hook.title')} rows=${d.webhooks} onOpen=${w => go('/webhooks', { id: w.id })} empty=${html`<${Empty} icon="webhook" title=${t('hook.none')} text=${t('hook.none_text')} />`} columns=${[
        { key: 'label', title: t('hook.label'), sort: true, render: w => html`<${Link} to="/webhooks" query=${{ id: w.id }}><strong>${w.label}</strong><//><br /><code class="quiet break">${w.url}</code>` },
        { key: 'enabled', title: t('part.state'), render: w => html`<${State} hook=${w} />` },
        { key: 'events', title: t('hook.events'), wide: true, render: w => w.events.map(e => tCode('hook.event', e)).join(', ') },
        { key: 'act', title: '', align: 'end', render: w => html`<div class="actions"><${Button} small icon="play" onClick=${() => test(w)}>${t('hook.test')}<//></div>` },
      ]} /><//>`}
      ${edited && html`<${Edit} of=${edited} types=${d.event_types} onClose=${() => setEdited(null)} done=${made => { setEdited(null); load.reload(); if (made?.secret) setSecret(made) }} />`}`}<//>
    ${secret && html`<${Dialog} title=${secret.label} onClose=${() => setSecret(null)}><div class="stack"><${Secret} label=${t('hook.secret')} text=${secret.secret} /><p class="quiet">${t('hook.secret_text')}</p>
      <div class="dialog-foot"><${Button} kind="primary" onClick=${() => setSecret(null)}>${t('hook.kept')}<//></div></div><//>`}
  <//>`
}

function State({ hook }) {
  if (!hook.enabled) return html`<${Badge} state="disabled" word=${t('hook.is_off')} />`
  const marks = /** @type {string[][]} */ ([hook.failing > 0 && ['bad', t('hook.failing', { n: hook.failing })], hook.dropped > 0 && ['bad', t('hook.dropped', { n: hook.dropped })],
    hook.failed_tries > 0 && ['warn', t('hook.resting', { n: hook.failed_tries })]].filter(Boolean))
  return html`${marks.length ? marks.map(([state, word]) => html`<${Badge} state=${state} word=${word} /> `) : html`<${Badge} state="enabled" word=${t('hook.is_on')} />`}
    ${hook.waiting > 0 && html`<span class="quiet">${t('hook.waiting', { n: hook.waiting })}${hook.rests_until && new Date(hook.rests_until).getTime() > Date.now() ? html` · ${t('hook.next')} ${when(hook.rests_until)}` : ''}</span>`}`
}

function Edit({ of, types, onClose, done }) {
  const [f, setForm] = useState({ label: of.label ?? '', url: of.url ?? 'https://', events: of.events ?? types.filter(e => e.startsWith('alarm.')), enabled: of.enabled ?? true, reason: '' })
  const set = change => setForm(o => ({ ...o, ...change }))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  const ready = f.label.trim() && /^https?:\/\/[^/]/.test(f.url) && f.events.length && f.reason.trim()
  const save = async e => {
    e.preventDefault()
    if (!ready) return
    setBusy(true)
    setProblem(null)
    const body = { label: f.label.trim(), url: f.url.trim(), events: f.events, enabled: f.enabled, reason: f.reason.trim() }
    try { const made = of.id ? await put('/webhooks/' + of.id, body) : await post('/webhooks', body); toast(t('office.saved')); done(of.id ? null : made) } catch (p) { setProblem(p); setBusy(false) }
  }
  return html`<${Dialog} title=${of.id ? of.label : t('hook.new')} onClose=${onClose}><form class="stack" onSubmit=${save}>
    <${Field} label=${t('hook.label')} value=${f.label} onInput=${label => set({ label })} maxlength="100" autofocus />
    <${Field} label=${t('hook.url')} value=${f.url} onInput=${url => set({ url })} type="url" maxlength="2000" spellcheck="false" hint=${t('hook.url_hint')} />
    <fieldset class="choice"><legend>${t('hook.events')}</legend>${types.map(e => html`<${Check} key=${e} label=${html`${tCode('hook.event', e)} <code class="quiet">${e}</code>`} checked=${f.events.includes(e)} onChange=${on => set({ events: on ? [...f.events, e] : f.events.filter(x => x !== e) })} />`)}</fieldset>
    <${Field} label=${t('office.reason')} value=${f.reason} onInput=${reason => set({ reason })} maxlength="500" required />
    <${ProblemBox} problem=${problem} />
    <div class="dialog-foot"><${Button} onClick=${onClose}>${t('office.cancel')}<//><${Button} type="submit" kind="primary" busy=${busy} disabled=${!ready}>${t('office.save')}<//></div>
  </form><//>`
}

function Deliveries({ id }) {
  const list = usePages((cursor, abort) => get(`/webhooks/${id}/deliveries`, { cursor, limit: 50 }, abort), 'deliveries', [id])
  const [open, setOpen] = useState(/** @type {any} */ (null))
  const replay = async d => { try { await call('POST', `/webhooks/${id}/deliveries/${d.id}/replay`); toast(t('hook.replayed')); list.reload() } catch (p) { toast(p.detail || p.message, 'bad') } }
  const tone = { arrived: 'ok', waiting: 'busy', given_up: 'bad' }
  return html`<${Card} flush title=${t('hook.deliveries')} actions=${html`<${Button} small icon="reload" onClick=${list.reload} busy=${list.loading}>${t('hook.reload')}<//>`}>
    <${ProblemBox} problem=${list.problem} retry=${list.reload} />
    ${list.data && html`<${DataTable} label=${t('hook.deliveries')} rows=${list.rows} onOpen=${setOpen} empty=${html`<${Empty} icon="webhook" title=${t('hook.no_deliveries')} />`} columns=${[
      { key: 'type', title: t('hook.event'), render: d => html`${tCode('hook.event', d.type)}<br /><code class="quiet">${d.event}</code>` },
      { key: 'state', title: t('part.state'), render: d => html`<${Badge} state=${tone[d.state] ?? 'off'} word=${tCode('hook.state', d.state)} />${d.error ? html`<br /><span class="quiet">${d.error}</span>` : ''}` },
      { key: 'status', title: t('hook.answer'), align: 'end', wide: true, render: d => d.status || '–' },
      { key: 'tries', title: t('hook.tries'), align: 'end', wide: true },
      { key: 'at', title: t('part.when'), render: d => html`${when(d.at)}${d.due_at && d.state === 'waiting' ? html`<br /><span class="quiet">${t('hook.next')} ${when(d.due_at)}</span>` : ''}` },
      { key: 'act', title: '', align: 'end', render: d => html`<${Button} small icon="reload" onClick=${() => replay(d)}>${t('hook.replay')}<//>` },
    ]} />`}<${More} list=${list} />
    ${open && html`<${Dialog} wide title=${tCode('hook.event', open.type)} onClose=${() => setOpen(null)}><pre class="curl" tabindex="0">${JSON.stringify(open.body, null, 2)}</pre><//>`}
  <//>`
}
