// What the operator sets while it runs.
import { html, useEffect, useState } from '../lib/html.js'
import { can, get, put } from '../lib/api.js'
import { t } from '../lib/words.js'
import { Badge, Button, Card, CurlButton, Field, Loaded, Page, ProblemBox, Select, toast, useLoad } from '../lib/ui.js'
import './office.js'
import { presets } from './basemaps.js'
import { fen, yuan } from './pricewords.js'
import '../words/settings.js'

export default function Settings() {
  const load = useLoad(abort => get('/settings', {}, abort), [])
  return html`<${Page} title=${t('set.title')} sub=${t('set.sub')}><${Loaded} load=${load}>${s => html`<${Form} key=${s.version} of=${s} load=${load} />`}<//><//>`
}

const formOf = s => ({ alone: yuan(s.refund_alone_fen), offline: String(s.offline_after_s / 60), battery: String(s.low_battery_percent), failures: String(s.failures_per_day),
  tiles: s.map?.tiles ?? '', attribution: s.map?.attribution ?? '', datum: s.map?.datum ?? 'wgs84' })

function Form({ of, load }) {
  const [f, setForm] = useState(() => formOf(of)), [reason, setReason] = useState('')
  const set = change => setForm(o => ({ ...o, ...change }))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  const mine = can('admin')
  const alone = fen(f.alone), offline = Math.round(Number(f.offline) * 60), battery = Number(f.battery), failures = Number(f.failures)
  const wrong = { alone: Number.isNaN(alone), offline: !(offline >= 60 && offline <= 604_800), battery: !(Number.isInteger(battery) && battery >= 1 && battery <= 90), failures: !(Number.isInteger(failures) && failures >= 1 && failures <= 100),
    tiles: f.tiles !== '' && !(/^https?:\/\//.test(f.tiles) && ['{x}', '{y}', '{z}'].every(p => f.tiles.includes(p))) }
  const body = { refund_alone_fen: alone, offline_after_s: offline, low_battery_percent: battery, failures_per_day: failures, map: { tiles: f.tiles.trim(), attribution: f.attribution.trim(), datum: f.datum }, version: of.version }
  const changed = JSON.stringify(f) !== JSON.stringify(formOf(of))
  useEffect(() => {
    const leave = e => { if (changed) { e.preventDefault(); e.returnValue = '' } }
    addEventListener('beforeunload', leave)
    return () => removeEventListener('beforeunload', leave)
  }, [changed])
  const save = async e => {
    e.preventDefault()
    if (Object.values(wrong).some(Boolean) || !reason.trim()) return
    setBusy(true)
    setProblem(null)
    try { load.set(await put('/settings', { ...body, reason: reason.trim() })); toast(t('office.saved')) } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  const bad = name => wrong[name] ? t('set.wrong.' + name) : undefined
  return html`<form class="stack" onSubmit=${save}>
    <${Card} title=${t('set.money')}><fieldset class="plain" disabled=${!mine}><div class="fields"><${Field} label=${t('set.alone')} value=${f.alone} onInput=${alone => set({ alone })} inputmode="decimal" unit=${t('office.yuan')} hint=${t('set.alone_hint')} problem=${bad('alone')} /></div></fieldset><//>
    <${Card} title=${t('set.alarms')}><fieldset class="plain" disabled=${!mine}><div class="fields">
      <${Field} label=${t('set.offline')} value=${f.offline} onInput=${offline => set({ offline })} inputmode="decimal" unit=${t('office.minutes')} hint=${t('set.offline_hint')} problem=${bad('offline')} />
      <${Field} label=${t('set.battery')} value=${f.battery} onInput=${battery => set({ battery })} inputmode="numeric" unit="%" hint=${t('set.battery_hint')} problem=${bad('battery')} />
      <${Field} label=${t('set.failures')} value=${f.failures} onInput=${failures => set({ failures })} inputmode="numeric" unit=${t('set.per_day')} hint=${t('set.failures_hint')} problem=${bad('failures')} />
    </div></fieldset><//>
    <${Card} title=${t('set.map')}><p class="quiet prose">${t('set.map_text')}</p><fieldset class="plain after" disabled=${!mine}>
      <div class="actions">${Object.entries(presets).map(([name, p]) => html`<${Button} key=${name} small onClick=${() => set(p)}>${t('set.preset.' + name)}<//>`)}<${Button} small kind="quiet" icon="x" onClick=${() => set({ tiles: '', attribution: '', datum: 'wgs84' })}>${t('set.no_map')}<//></div>
      <div class="stack after"><${Field} label=${t('set.tiles')} value=${f.tiles} onInput=${tiles => set({ tiles })} maxlength="1000" spellcheck="false" rows=${2} hint=${t('set.tiles_hint')} problem=${bad('tiles')} />
      <div class="fields"><${Field} label=${t('set.attribution')} value=${f.attribution} onInput=${attribution => set({ attribution })} maxlength="300" />
        <${Select} label=${t('set.datum')} value=${f.datum} onChange=${datum => set({ datum })} options=${[['wgs84', 'WGS-84'], ['gcj02', 'GCJ-02'], ['bd09', 'BD-09']]} hint=${t('set.datum_hint')} /></div></div></fieldset><//>
    ${mine ? html`<${Card}><${ProblemBox} problem=${problem} retry=${problem?.code === 'settings_changed' ? load.reload : undefined} />
      <div class="filters save-line"><${Field} label=${t('office.reason')} value=${reason} onInput=${setReason} maxlength="500" required=${changed} />
      <${Button} type="submit" kind="primary" busy=${busy} disabled=${!changed || !reason.trim() || Object.values(wrong).some(Boolean)}>${t('office.save')}<//>
      <${Button} disabled=${!changed} onClick=${() => setForm(formOf(of))}>${t('set.discard')}<//><${CurlButton} method="PUT" path="/settings" body=${body} />${changed && html`<${Badge} state="warn" word=${t('set.unsaved')} />`}</div><//>` : html`<p class="quiet">${t('office.not_allowed')}</p>`}
  </form>`
}
