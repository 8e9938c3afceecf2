// Members, their API keys and where they are signed in.
import { html, useState } from '../lib/html.js'
import { can, get, me, post, put } from '../lib/api.js'
import { t, tCode } from '../lib/words.js'
import { when } from '../lib/format.js'
import { useQuery } from '../lib/router.js'
import { Badge, Button, Card, Check, DataTable, Dialog, Empty, Field, Loaded, Page, ProblemBox, Select, Tabs, confirmAct, toast, useLoad } from '../lib/ui.js'
import { Secret, useVenues } from './office.js'
import '../words/staff.js'

const roles = ['viewer', 'field', 'finance', 'admin']

/** @param {{query: Record<string, string>}} props */
export default function Staff({ query }) {
  const [, setQuery] = useQuery()
  const tab = query.tab ?? 'members'
  const [dialog, setDialog] = useState(/** @type {any} */ (null))
  const [round, setRound] = useState(0)
  const done = () => { setDialog(null); setRound(n => n + 1) }
  const members = useLoad(async abort => (await get('/staff', {}, abort)).staff, [round])
  if (!can('admin')) return html`<${Page} title=${t('staff.title')}><${Empty} icon="staff" title=${t('part.role')} /><//>`
  const names = new Map((members.data ?? []).map(m => [m.id, m.name]))
  return html`<${Page} title=${t('staff.title')} sub=${t('staff.sub')} actions=${html`
      ${tab === 'members' && html`<${Button} kind="primary" icon="plus" onClick=${() => setDialog({ what: 'member' })}>${t('staff.new')}<//>`}
      ${tab === 'keys' && html`<${Button} kind="primary" icon="key" onClick=${() => setDialog({ what: 'key' })}>${t('key.new')}<//>`}`}>
    <${Tabs} label=${t('staff.title')} value=${tab} onChange=${v => setQuery({ tab: v === 'members' ? '' : v })} tabs=${[{ value: 'members', word: t('staff.members') }, { value: 'keys', word: t('staff.keys') }, { value: 'logins', word: t('staff.logins') }]} />
    ${tab === 'members' && html`<${Members} load=${members} edit=${m => setDialog({ what: 'member', of: m })} passkeys=${m => setDialog({ what: 'passkeys', of: m })} invite=${link => setDialog({ what: 'link', ...link })} />`}
    ${tab === 'keys' && html`<${Keys} round=${round} names=${names} />`}
    ${tab === 'logins' && html`<${Logins} names=${names} members=${members.data ?? []} />`}
    ${dialog?.what === 'member' && html`<${MemberForm} of=${dialog.of} onClose=${() => setDialog(null)} done=${done} />`}
    ${dialog?.what === 'key' && html`<${KeyForm} members=${members.data ?? []} onClose=${() => setDialog(null)} done=${done} />`}
    ${dialog?.what === 'passkeys' && html`<${Passkeys} of=${dialog.of} onClose=${done} />`}
    ${dialog?.what === 'link' && html`<${Dialog} title=${t('staff.invite_of', { name: dialog.name })} onClose=${() => setDialog(null)}><${Secret} label=${t('staff.link')} text=${dialog.link} hint=${t('staff.link_hint')} /><//>`}
  <//>`
}

function Scope({ venues: ids }) {
  const venues = useVenues()
  return ids == null ? html`<span class="quiet">${t('office.all_venues')}</span>` : html`<span>${ids.map(id => venues.name(id)).join(', ')}</span>`
}

function Members({ load, edit, passkeys, invite }) {
  const act = async m => {
    const path = `/staff/${m.id}/invite`
    const made = await confirmAct({ title: t('staff.invite_of', { name: m.name }), text: t('staff.invite_text'), reason: true, word: t('staff.invite'), run: reason => post(path, { reason }) })
    if (made) invite({ name: m.name, link: made.invite_link })
  }
  const toggle = async m => {
    const off = !m.disabled_at, path = '/staff/' + m.id, body = { role: m.role, venues: m.venues ?? null, disabled: off }
    if (await confirmAct({ title: t(off ? 'staff.disable_of' : 'staff.enable_of', { name: m.name }), text: t(off ? 'staff.disable_text' : 'staff.enable_text'), reason: true, danger: off, word: t(off ? 'staff.disable' : 'staff.enable'),
      run: reason => put(path, { ...body, reason }) })) { toast(t('office.saved')); load.reload() }
  }
  return html`<${Loaded} load=${load}>${list => html`<${Card} flush><${DataTable} label=${t('staff.members')} rows=${list} onOpen=${edit} columns=${[
    { key: 'name', title: t('staff.name'), sort: true, render: m => html`<strong>${m.name}</strong>${m.id === me.value?.id ? html` <span class="quiet">${t('staff.you')}</span>` : ''}` },
    { key: 'role', title: t('staff.role'), sort: m => roles.indexOf(m.role), render: m => tCode('role', m.role) },
    { key: 'venues', title: t('staff.scope'), wide: true, render: m => html`<${Scope} venues=${m.venues} />` },
    { key: 'state', title: t('part.state'), sort: m => m.disabled_at ? 1 : 0, render: m => m.disabled_at ? html`<${Badge} state="disabled" word=${t('staff.disabled')} />` : html`<${Badge} state="enabled" word=${t('staff.enabled')} />` },
    { key: 'how', title: t('staff.how'), wide: true, render: m => [m.has_password && t('staff.password'), m.passkeys > 0 && t('staff.passkeys', { n: m.passkeys })].filter(Boolean).join(', ') || html`<span class="quiet">${t('staff.no_login')}</span>` },
    { key: 'seen_at', title: t('staff.seen'), wide: true, sort: true, render: m => m.seen_at ? when(m.seen_at) : html`<span class="quiet">${t('staff.never')}</span>` },
    { key: 'act', title: '', align: 'end', render: m => html`<div class="actions">${m.passkeys > 0 && html`<${Button} small icon="key" label=${t('staff.passkeys_of', { name: m.name })} onClick=${() => passkeys(m)} />`}${!m.disabled_at && html`<${Button} small icon="link" onClick=${() => act(m)}>${t('staff.invite')}<//>`}${m.id !== me.value?.id && html`<${Button} small icon=${m.disabled_at ? 'play' : 'blocked'} onClick=${() => toggle(m)}>${t(m.disabled_at ? 'staff.enable' : 'staff.disable')}<//>`}<${Button} small icon="edit" label=${t('staff.edit')} onClick=${() => edit(m)} /></div>` },
  ]} /><//>`}<//>`
}

// Passkeys of a member, each to be ended: of a lost device, or one that nobody knows.
function Passkeys({ of, onClose }) {
  const load = useLoad(async abort => (await get('/passkeys', { staff: of.id }, abort)).passkeys.filter(p => !p.revoked_at), [of.id])
  const revoke = async p => {
    if (await confirmAct({ title: t('passkey.revoke_of', { label: p.label }), text: t('passkey.revoke_text', { name: of.name }), reason: 'optional', danger: true, word: t('passkey.revoke'),
      run: async reason => { await post(`/passkeys/${p.id}/revoke`, reason ? { reason } : {}); return true } })) { toast(t('passkey.revoked_now')); load.reload() }
  }
  return html`<${Dialog} title=${t('staff.passkeys_of', { name: of.name })} onClose=${onClose}><${Loaded} load=${load}>${list => list.length ? html`<ul class="lines">${list.map(p => html`<li key=${p.id}>
      <div class="grow"><b>${p.label}</b><div class="quiet">${t('key.made')} ${when(p.created_at)} · ${t('key.used')} ${p.last_used_at ? when(p.last_used_at) : t('staff.never')}</div></div>
      <${Button} small icon="x" onClick=${() => revoke(p)}>${t('passkey.revoke')}<//></li>`)}</ul>` : html`<${Empty} icon="key" title=${t('passkey.none')} />`}<//><//>`
}

// VenueChoice picks venues; null is all of them.
function VenueChoice({ value, onChange }) {
  const { venues } = useVenues()
  return html`<fieldset class="choice"><legend>${t('staff.scope')}</legend>
    <${Check} label=${t('staff.everywhere')} checked=${value === null} onChange=${on => onChange(on ? null : [])} />
    ${value !== null && html`<div class="choices">${venues.map(v => html`<${Check} key=${v.id} label=${v.name} checked=${value.includes(v.id)} onChange=${on => onChange(on ? [...value, v.id] : value.filter(x => x !== v.id))} />`)}</div><p class="hint">${t('staff.scope_hint')}</p>`}</fieldset>`
}

const RoleHelp = ({ role }) => html`<p class="hint">${t('staff.help.' + role)}</p>`

function MemberForm({ of, onClose, done }) {
  const [f, setForm] = useState(() => ({ name: of?.name ?? '', role: of?.role ?? 'field', venues: of ? of.venues ?? null : null, how: 'invite', reason: '' }))
  const set = change => setForm(o => ({ ...o, ...change }))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null)), [made, setMade] = useState(/** @type {any} */ (null))
  const ready = f.name.trim() && (f.venues === null || f.venues.length) && (!of || f.reason.trim())
  const save = async e => {
    e.preventDefault()
    if (!ready) return
    setBusy(true)
    setProblem(null)
    try {
      if (of) {
        await put('/staff/' + of.id, { role: f.role, venues: f.venues, disabled: !!of.disabled_at, reason: f.reason.trim() })
        toast(t('office.saved'))
        return done()
      }
      setMade(await post('/staff', { name: f.name.trim(), role: f.role, ...(f.venues && { venues: f.venues }), ...(f.how === 'invite' && { invite: true }), ...(f.reason && { reason: f.reason }) }))
    } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  if (made) return html`<${Dialog} title=${t('staff.made', { name: made.staff.name })} onClose=${done}><div class="stack">
    ${made.invite_link && html`<${Secret} label=${t('staff.link')} text=${made.invite_link} hint=${t('staff.link_hint')} />`}${made.api_key && html`<${Secret} label=${t('key.secret')} text=${made.api_key} />`}
    <div class="dialog-foot"><${Button} kind="primary" onClick=${done}>${t('staff.kept')}<//></div></div><//>`
  return html`<${Dialog} title=${of ? of.name : t('staff.new')} onClose=${onClose}><form class="stack" onSubmit=${save}>
    ${!of && html`<${Field} label=${t('staff.name')} value=${f.name} onInput=${name => set({ name })} maxlength="100" autofocus />`}
    <div><${Select} label=${t('staff.role')} value=${f.role} options=${roles.map(r => [r, tCode('role', r)])} onChange=${role => set({ role })} /><${RoleHelp} role=${f.role} /></div>
    <${VenueChoice} value=${f.venues} onChange=${venues => set({ venues })} />
    ${!of && html`<${Select} label=${t('staff.begins')} value=${f.how} options=${[['invite', t('staff.by_link')], ['key', t('staff.by_key')]]} onChange=${how => set({ how })} />`}
    <${Field} label=${of ? t('office.reason') : `${t('office.reason')} (${t('office.optional')})`} value=${f.reason} onInput=${reason => set({ reason })} maxlength="500" required=${!!of} />
    <${ProblemBox} problem=${problem} />
    <div class="dialog-foot"><${Button} onClick=${onClose}>${t('office.cancel')}<//><${Button} type="submit" kind="primary" busy=${busy} disabled=${!ready}>${t(of ? 'office.save' : 'staff.make')}<//></div>
  </form><//>`
}

function Keys({ round, names }) {
  const load = useLoad(async abort => (await get('/keys', {}, abort)).keys, [round])
  const [all, setAll] = useState(false)
  const revoke = async k => {
    const path = `/keys/${k.id}/revoke`
    if (await confirmAct({ title: t('key.revoke_of', { label: k.label }), text: t('key.revoke_text'), reason: 'optional', danger: true, word: t('key.revoke'), curl: { method: 'POST', path, body: {} }, run: async reason => { await post(path, reason ? { reason } : {}); return true } })) { toast(t('key.revoked_now')); load.reload() }
  }
  return html`<${Check} label=${t('key.show_revoked')} checked=${all} onChange=${setAll} /><div class="after"></div>
    <${Loaded} load=${load}>${list => html`<${Card} flush><${DataTable} label=${t('staff.keys')} rows=${list.filter(k => all || !k.revoked_at)} empty=${html`<${Empty} icon="key" title=${t('key.none')} />`} columns=${[
      { key: 'label', title: t('key.label'), sort: true, render: k => html`<strong>${k.label}</strong><br /><span class="quiet">${names.get(k.staff) ?? k.staff}</span>` },
      { key: 'role', title: t('staff.role'), sort: k => roles.indexOf(k.role), render: k => tCode('role', k.role) },
      { key: 'venues', title: t('staff.scope'), wide: true, render: k => html`<${Scope} venues=${k.venues} />` },
      { key: 'last_used_at', title: t('key.used'), sort: true, render: k => k.last_used_at ? when(k.last_used_at) : html`<span class="quiet">${t('staff.never')}</span>` },
      { key: 'created_at', title: t('key.made'), wide: true, sort: true, render: k => when(k.created_at) },
      { key: 'act', title: '', align: 'end', render: k => k.revoked_at ? html`<${Badge} state="revoked" word=${t('key.revoked')} />` : html`<${Button} small icon="x" onClick=${() => revoke(k)}>${t('key.revoke')}<//>` },
    ]} /><//>`}<//>`
}

function KeyForm({ members, onClose, done }) {
  const [f, setForm] = useState({ staff: me.value?.id ?? '', label: '', role: 'viewer', venues: /** @type {string[] | null} */ (null), reason: '' })
  const set = change => setForm(o => ({ ...o, ...change }))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null)), [made, setMade] = useState(/** @type {any} */ (null))
  const ready = f.label.trim() && f.staff && (f.venues === null || f.venues.length)
  const owner = members.find(m => m.id === f.staff)
  const save = async e => {
    e.preventDefault()
    if (!ready) return
    setBusy(true)
    setProblem(null)
    try { setMade(await post('/keys', { staff: f.staff, label: f.label.trim(), role: f.role, ...(f.venues && { venues: f.venues }), ...(f.reason && { reason: f.reason }) })) } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  if (made) return html`<${Dialog} title=${f.label} onClose=${done}><div class="stack"><${Secret} label=${t('key.secret')} text=${made.api_key} /><pre class="curl" tabindex="0">export UNLATCH_KEY=…${'\n'}curl -sS '${location.origin}/v1/operator/me' -H "Authorization: Bearer $UNLATCH_KEY"</pre>
    <div class="dialog-foot"><${Button} kind="primary" onClick=${done}>${t('staff.kept')}<//></div></div><//>`
  return html`<${Dialog} title=${t('key.new')} onClose=${onClose}><form class="stack" onSubmit=${save}>
    <${Field} label=${t('key.label')} value=${f.label} onInput=${label => set({ label })} maxlength="100" autofocus hint=${t('key.label_hint')} />
    <${Select} label=${t('key.owner')} value=${f.staff} options=${members.filter(m => !m.disabled_at).map(m => [m.id, m.name])} onChange=${staff => set({ staff })} />
    <div><${Select} label=${t('staff.role')} value=${f.role} options=${roles.filter(r => !owner || roles.indexOf(r) <= roles.indexOf(owner.role)).map(r => [r, tCode('role', r)])} onChange=${role => set({ role })} /><${RoleHelp} role=${f.role} /></div>
    <${VenueChoice} value=${f.venues} onChange=${venues => set({ venues })} />
    <${ProblemBox} problem=${problem} />
    <div class="dialog-foot"><${Button} onClick=${onClose}>${t('office.cancel')}<//><${Button} type="submit" kind="primary" busy=${busy} disabled=${!ready}>${t('key.make')}<//></div>
  </form><//>`
}

function Logins({ names, members }) {
  const [who, setWho] = useState('all')
  const load = useLoad(async abort => (await get('/logins', { staff: who }, abort)).logins, [who])
  const revoke = async l => {
    const path = `/logins/${l.id}/revoke`
    if (await confirmAct({ title: t('login.revoke_of', { name: l.name || names.get(l.staff) }), text: l.current ? t('login.revoke_own') : t('login.revoke_text'), reason: 'optional', danger: true, word: t('login.revoke'), curl: { method: 'POST', path, body: {} }, run: async reason => { await post(path, reason ? { reason } : {}); return true } })) { toast(t('login.revoked_now')); load.reload() }
  }
  return html`<div class="filters"><${Select} inline label=${t('part.staff')} value=${who} options=${[['all', t('part.any')], ...members.map(m => [m.id, m.name])]} onChange=${setWho} /></div>
    <${Loaded} load=${load}>${list => html`<${Card} flush><${DataTable} label=${t('staff.logins')} rows=${list} empty=${html`<${Empty} icon="staff" title=${t('login.none')} />`} columns=${[
      { key: 'name', title: t('staff.name'), sort: true, render: l => html`<strong>${l.name || names.get(l.staff)}</strong>${l.current ? html` <${Badge} state="current" word=${t('login.current')} />` : ''}` },
      { key: 'how', title: t('login.how'), render: l => t('login.by_' + l.how) },
      { key: 'agent', title: t('login.browser'), wide: true, render: l => html`<span title=${l.agent}>${browserOf(l.agent)}</span><br /><span class="quiet">${l.address}</span>` },
      { key: 'seen_at', title: t('staff.seen'), sort: true, render: l => when(l.seen_at) },
      { key: 'created_at', title: t('login.since'), wide: true, sort: true, render: l => when(l.created_at) },
      { key: 'act', title: '', align: 'end', render: l => l.revoked_at ? html`<${Badge} state="revoked" word=${t('login.ended')} />` : html`<${Button} small icon="signout" onClick=${() => revoke(l)}>${t('login.revoke')}<//>` },
    ]} /><//>`}<//>`
}

/** A browser and a system in what a browser says of itself. @param {string} agent */
export function browserOf(agent = '') {
  const pick = list => list.find(([, test]) => test.test(agent))?.[0]
  const browser = pick([['WeChat', /MicroMessenger/], ['Edge', /Edg\//], ['Firefox', /Firefox\//], ['Chrome', /Chrome\//], ['Safari', /Safari\//], ['curl', /curl/]])
  const system = pick([['Android', /Android/], ['iOS', /iPhone|iPad/], ['Windows', /Windows/], ['macOS', /Mac OS/], ['Linux', /Linux/]])
  return [browser, system].filter(Boolean).join(', ') || agent.slice(0, 40) || '–'
}
