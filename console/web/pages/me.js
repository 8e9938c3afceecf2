// The page about oneself: password, passkeys, logins, and how this browser looks.
import { html, useState } from '../lib/html.js'
import { get, loadMe, me, post } from '../lib/api.js'
import { when } from '../lib/format.js'
import { openSheet } from '../lib/keys.js'
import { density, setDensity, setTheme, theme } from '../lib/look.js'
import { Badge, Button, Card, confirmAct, DataTable, Dialog, Empty, Field, Icon, KeyValue, Loaded, Page, ProblemBox, toast, useLoad } from '../lib/ui.js'
import { addWords, language, languages, setLanguage, t, tCode } from '../lib/words.js'
import { createPasskey, passkeysHere } from './passkey.js'
import words from '../words/me.js'

addWords(words)

export default function Me() {
  const who = me.value
  return html`<${Page} title=${t('me.title')}>
    <div class="grid pairwise">
      <div class="stack"><${Account} who=${who} /><${Look} /></div>
      <div class="stack">${who?.login == null ? html`<${Card} title=${t('me.password')}><p class="quiet">${t('me.with_key')}</p><//>` : html`<${Password} who=${who} /><${Passkeys} />`}</div>
    </div>
    <${Logins} />
  <//>`
}

function Account({ who }) {
  return html`<${Card} title=${t('me.account')}><${KeyValue} rows=${[
    [t('me.name'), html`<b>${who.name}</b>`], [t('me.role'), tCode('role', who.role)],
    [t('me.venues'), who.venues == null ? t('me.all_venues') : who.venues.join(', ')], [t('me.operator'), who.display_name], [t('me.version'), html`<code>${who.version}</code>`]]} /><//>`
}

/** One of a few, side by side. @param {{label: string, value: string, options: Array<[string, string]>, onChange: (v: string) => void}} props */
function Segments({ label, value, options, onChange }) {
  return html`<div class="look-row"><span id=${'look-' + label}>${label}</span><div class="segments" role="group" aria-labelledby=${'look-' + label}>
    ${options.map(([v, word]) => html`<button type="button" key=${v} lang=${languages[v] ? v : undefined} aria-pressed=${String(v === value)} onClick=${() => onChange(v)}>${word}</button>`)}</div></div>`
}

function Look() {
  return html`<${Card} title=${t('me.look')} actions=${html`<${Button} small kind="quiet" icon="keyboard" onClick=${openSheet}>${t('me.keys')}<//>`}>
    <${Segments} label=${t('me.language')} value=${language.value} options=${Object.entries(languages)} onChange=${setLanguage} />
    <${Segments} label=${t('me.theme')} value=${theme.value} options=${['auto', 'light', 'dark'].map(v => [v, t('me.theme_' + v)])} onChange=${setTheme} />
    <${Segments} label=${t('me.density')} value=${density.value} options=${['dense', 'roomy'].map(v => [v, t('me.density_' + v)])} onChange=${setDensity} />
    <p class="hint">${t('me.look_hint')}</p><//>`
}

const least = 12 // characters of a password

function Password({ who }) {
  const [old, setOld] = useState(''), [fresh, setFresh] = useState(''), [again, setAgain] = useState('')
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  if (!who.has_password) return html`<${Card} title=${t('me.password')}><p class="quiet">${t('me.no_password')}</p><//>`
  const missing = least - [...fresh].length
  const ready = old && missing <= 0 && fresh === again
  const change = async e => {
    e.preventDefault()
    if (!ready) return
    setBusy(true)
    setProblem(null)
    try {
      await post('/me/password', { old, new: fresh })
      setOld(''); setFresh(''); setAgain('')
      toast(t('me.changed'))
    } catch (p) { setProblem(p) }
    setBusy(false)
  }
  return html`<${Card} title=${t('me.password')}><form class="stack" onSubmit=${change}>
    <input type="text" autocomplete="username" value=${who.name} hidden readonly />
    <${Field} type="password" label=${t('me.old')} autocomplete="current-password" value=${old} onInput=${setOld} required />
    <${Field} type="password" label=${t('me.new')} autocomplete="new-password" value=${fresh} onInput=${setFresh} hint=${t('me.new_hint')} problem=${fresh && missing > 0 ? t('me.short', { n: missing }) : ''} required />
    <${Field} type="password" label=${t('me.again')} autocomplete="new-password" value=${again} onInput=${setAgain} problem=${again && again !== fresh && again.length >= fresh.length ? t('me.differ') : ''} required />
    <${ProblemBox} problem=${problem} />
    <div><${Button} type="submit" kind="primary" busy=${busy} disabled=${!ready}>${t('me.change')}<//></div>
  </form><//>`
}

function Passkeys() {
  const load = useLoad(abort => get('/passkeys', {}, abort), [])
  const [adding, setAdding] = useState(false)
  const remove = p => confirmAct({
    title: t('me.remove_passkey'), text: t('me.remove_passkey_text', { label: p.label }), danger: true,
    run: () => post(`/passkeys/${p.id}/revoke`),
  }).then(done => { if (done !== undefined) { load.reload(); loadMe() } })
  return html`<${Card} title=${t('me.passkeys')} actions=${passkeysHere() && html`<${Button} small icon="plus" onClick=${() => setAdding(true)}>${t('me.add_passkey')}<//>`}>
    <p class="quiet">${passkeysHere() ? t('me.passkeys_text') : t('me.passkeys_unsupported')}</p>
    <${Loaded} load=${load}>${data => {
      const mine = data.passkeys.filter(p => !p.revoked_at)
      return mine.length ? html`<ul class="lines">${mine.map(p => html`<li key=${p.id}><${Icon} name="key" /><div class="grow"><b>${p.label}</b><div class="quiet">${t('me.added')} ${when(p.created_at)} · ${t('me.used')} ${p.last_used_at ? when(p.last_used_at) : t('me.never')}</div></div>
        <${Button} small kind="quiet" icon="trash" label=${t('me.remove') + ': ' + p.label} onClick=${() => remove(p)} /></li>`)}</ul>` : html`<p class="row quiet pad-top"><${Icon} name="key" /><span>${t('me.no_passkeys')}</span></p>`
    }}<//>
    ${adding && html`<${AddPasskey} done=${added => { setAdding(false); if (added) { load.reload(); loadMe() } }} />`}
  <//>`
}

function AddPasskey({ done }) {
  const [label, setLabel] = useState(''), [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null)), [refused, setRefused] = useState(false)
  const [proof, setProof] = useState(false), [password, setPassword] = useState('') // the server may ask for it
  const add = async e => {
    e.preventDefault()
    setBusy(true)
    setProblem(null)
    setRefused(false)
    try {
      const { publicKey } = await post('/passkeys/options', password ? { password } : {})
      let credential
      try { credential = await createPasskey(publicKey) } catch { setRefused(true); setBusy(false); return }
      await post('/passkeys', { label: label.trim(), credential })
      toast(t('me.passkey_added'))
      done(true)
    } catch (/** @type {any} */ p) {
      if (p.code === 'proof_needed' && me.value?.has_password) setProof(true)
      else setProblem(p)
      setBusy(false)
    }
  }
  return html`<${Dialog} title=${t('me.add_passkey')} onClose=${() => { if (!busy) done(false) }}><form class="stack" onSubmit=${add}>
    <${Field} label=${t('me.label')} hint=${t('me.label_hint')} value=${label} onInput=${setLabel} maxlength="100" required autofocus />
    ${proof && html`<input type="text" autocomplete="username" value=${me.value?.name} hidden readonly />
      <${Field} type="password" label=${t('me.proof')} hint=${t('me.proof_hint')} autocomplete="current-password" value=${password} onInput=${setPassword} required />`}
    <${ProblemBox} problem=${problem} />
    ${refused && html`<div class="problem" role="alert"><${Icon} name="bad" /><div><strong>${t('me.passkey_refused')}</strong><p>${t('me.passkey_refused_text')}</p></div></div>`}
    <div class="dialog-foot"><span class="grow"></span><${Button} onClick=${() => done(false)} disabled=${busy}>${t('ui.cancel')}<//><${Button} type="submit" kind="primary" icon="key" busy=${busy} disabled=${!label.trim() || proof && !password}>${t('me.add_passkey')}<//></div>
  </form><//>`
}

// browserOf names what an agent string is of; the string itself is the title.
function browserOf(agent) {
  const browser = /Edg\//.test(agent) ? 'Edge' : /Firefox\//.test(agent) ? 'Firefox' : /MicroMessenger\//.test(agent) ? 'WeChat' : /Chrome\//.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : ''
  const system = /Windows/.test(agent) ? 'Windows' : /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac OS X/.test(agent) ? 'macOS' : /Linux/.test(agent) ? 'Linux' : ''
  return browser && system ? t('me.browser', { browser, system }) : agent.slice(0, 60) || '–'
}

function Logins() {
  const load = useLoad(abort => get('/logins', {}, abort), [])
  const end = l => confirmAct({
    title: t('me.end_login'), text: html`<p>${browserOf(l.agent)}, ${l.address}</p><p>${t('me.end_login_text')}</p>`, danger: true,
    run: () => post(`/logins/${l.id}/revoke`), curl: { method: 'POST', path: `/logins/${l.id}/revoke`, body: {} },
  }).then(done => { if (done !== undefined) { toast(t('me.ended')); load.reload() } })
  const others = (load.data?.logins ?? []).filter(l => !l.current && !l.revoked_at)
  const endAll = () => confirmAct({
    title: t('me.end_all'), text: t('me.end_all_text'), danger: true,
    run: async () => { for (const l of others) await post(`/logins/${l.id}/revoke`); return others.length },
  }).then(n => { if (n !== undefined) { toast(t('me.all_ended', { n })); load.reload() } })
  return html`<${Card} flush title=${t('me.logins')} actions=${others.length > 1 && html`<${Button} small icon="signout" onClick=${endAll}>${t('me.end_all')}<//>`} class="below">
    <${Loaded} load=${load}>${data => html`<${DataTable} label=${t('me.logins')} rows=${data.logins.filter(l => !l.revoked_at)} empty=${html`<${Empty} icon="key" title=${t('me.no_logins')} />`} columns=${[
      { key: 'agent', title: t('me.where'), render: l => html`<span title=${l.agent}>${browserOf(l.agent)}</span> <span class="quiet mono">${l.address}</span>` },
      { key: 'how', title: t('me.how'), wide: true, render: l => t('me.how_' + l.how) },
      { key: 'created_at', title: t('me.since'), wide: true, sort: true, render: l => when(l.created_at) },
      { key: 'seen_at', title: t('me.seen'), sort: true, render: l => l.current ? html`<${Badge} state="current" word=${t('me.this')} />` : when(l.seen_at) },
      { key: 'end', title: html`<span class="hidden-text">${t('me.end')}</span>`, align: 'end', render: l => !l.current && html`<${Button} small kind="quiet" onClick=${() => end(l)}>${t('me.end')}<//>` },
    ]} />`}<//><//>`
}
