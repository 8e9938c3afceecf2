// The field page: one hand, one phone, stickers and devices. The camera reads where the
// browser can; a gun or a thumb types the number everywhere.
import { html, useCallback, useEffect, useRef, useState } from '../lib/html.js'
import { can, get, post } from '../lib/api.js'
import { t } from '../lib/words.js'
import { clock } from '../lib/format.js'
import { Link } from '../lib/router.js'
import { Badge, Button, Card, Check, Empty, Field, Page, ProblemBox, Tabs, confirmAct, toast } from '../lib/ui.js'
import { useVenues } from './office.js'
import { CodeState, numberIn } from './codes.js'
import '../words/scan.js'

const Detector = /** @type {any} */ (globalThis).BarcodeDetector

/** @param {{query: Record<string, string>}} props */
export default function Scan({ query }) {
  const [mode, setMode] = useState(query.mode === 'swap' ? 'swap' : query.mode === 'look' ? 'look' : 'bind')
  const [first, setFirst] = useState(/** @type {any} */ (null)) // the code in hand
  const [second, setSecond] = useState(/** @type {any} */ (null)) // where it goes: {device, outlet?, by: code?}, or the other code
  const [move, setMove] = useState(false)
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  const [done, setDone] = useState(/** @type {Array<{at: number, text: string}>} */ ([]))
  const over = () => { setFirst(null); setSecond(null); setMove(false); setProblem(null) }
  const step = !first ? 1 : mode !== 'look' && !second ? 2 : 3

  const take = useCallback(async text => {
    text = text.trim()
    if (!text || busy) return
    setBusy(true)
    setProblem(null)
    try {
      const number = numberIn(text)
      const isCode = number || text.includes('/') || /^[\d-]{6,}$/.test(text)
      if (step === 1 || mode === 'look') {
        setSecond(null)
        if (isCode) setFirst(await get('/codes/' + encodeURIComponent(number || text.split('/').pop() || text)))
        else if (mode === 'look') setFirst({ device: (await get('/devices/' + encodeURIComponent(text))).id, alone: true })
        else throw new Error(t('scan.no_code', { text }))
      } else if (mode === 'swap') {
        const other = await get('/codes/' + encodeURIComponent(number || text))
        if (other.number === first.number) throw new Error(t('scan.same'))
        setSecond(other)
      } else if (isCode) {
        const other = await get('/codes/' + encodeURIComponent(number || text))
        if (other.number === first.number) throw new Error(t('scan.same'))
        if (!other.device) throw new Error(t('scan.other_free', { number: other.printed }))
        setSecond({ device: other.device, outlet: other.outlet, by: other })
      } else {
        const d = await get('/devices/' + encodeURIComponent(text))
        setSecond({ device: d.id, outlet: 1, outlets: d.outlets?.length ?? 1, venue: d.venue })
      }
      navigator.vibrate?.(40)
    } catch (p) {
      setProblem(p)
      navigator.vibrate?.([60, 60, 60])
    } finally { setBusy(false) }
  }, [busy, step, mode, first])

  const carryOut = async () => {
    setBusy(true)
    setProblem(null)
    try {
      if (mode === 'swap') {
        await post('/codes/swap', { a: first.number, b: second.number, reason: t('scan.reason') })
        setDone(d => [{ at: Date.now(), text: t('scan.did_swap', { a: first.printed, b: second.printed }) }, ...d])
      } else {
        await post(`/codes/${first.number}/bind`, { device: second.device, outlet: second.outlet ?? 1, ...(first.device && { move: true }), reason: t('scan.reason') })
        setDone(d => [{ at: Date.now(), text: t('scan.did_bind', { number: first.printed, device: second.device }) }, ...d])
      }
      toast(t('scan.done'))
      over()
    } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  const revoke = async () => {
    const path = `/codes/${first.number}/revoke`
    const gone = await confirmAct({ title: t('scan.revoke_sure', { number: first.printed }), word: t('scan.revoke'), danger: true, reason: 'optional', run: reason => post(path, { reason: reason || t('scan.reason') }) })
    if (!gone) return
    setDone(d => [{ at: Date.now(), text: t('scan.did_revoke', { number: gone.printed }) }, ...d])
    over()
  }

  if (!can('field')) return html`<${Page} title=${t('scan.title')}><${Empty} icon="scan" title=${t('part.role')} /><//>`
  const moving = mode === 'bind' && first?.device && second && first.device !== second.device
  return html`<${Page} title=${t('scan.title')}><div class="field-page">
    <${Tabs} label=${t('scan.title')} value=${mode} onChange=${m => { setMode(m); over() }} tabs=${[{ value: 'bind', word: t('scan.bind') }, { value: 'swap', word: t('scan.swap') }, { value: 'look', word: t('scan.look') }]} />
    <p class="step-line" aria-live="polite"><span class="step-no">${mode === 'look' ? '' : `${step}/3`}</span> ${t(`scan.${mode}.${step}`)}</p>
    ${step < 3 || mode === 'look' ? html`<${Reader} key=${mode} take=${take} busy=${busy} word=${mode === 'bind' && step === 2 ? t('scan.device_field') : mode === 'look' ? t('scan.any_field') : t('scan.code_field')} />` : null}
    <${ProblemBox} problem=${problem instanceof Error && !('status' in problem) ? null : problem} />
    ${problem instanceof Error && !('status' in problem) && html`<div class="problem" role="alert"><strong>${problem.message}</strong></div>`}
    ${first && html`<${Found} code=${first} over=${over} />`}
    ${second && html`<p class="arrow" aria-hidden="true">${mode === 'swap' ? '⇅' : '↓'}</p>`}
    ${second && (mode === 'swap' ? html`<${Found} code=${second} over=${() => setSecond(null)} />` : html`<${Card}><div class="found"><${Badge} state="info" icon="device" word=${t('part.device')} /><strong class="big">${second.device}</strong>
      ${second.by && html`<span class="quiet">${t('scan.by_code', { number: second.by.printed })}</span>`}
      ${second.outlets > 1 && html`<label class="outlets">${t('part.outlet')} <select value=${second.outlet} onChange=${e => setSecond({ ...second, outlet: Number(e.currentTarget.value) })}>${Array.from({ length: second.outlets }, (_, i) => html`<option value=${i + 1}>${i + 1}</option>`)}</select></label>`}</div><//>`)}
    ${second && html`<div class="act">
      ${moving && html`<${Check} label=${t('scan.move', { from: first.device })} checked=${move} onChange=${setMove} />`}
      <${Button} kind="primary" class="huge" icon="check" busy=${busy} disabled=${moving && !move} onClick=${carryOut}>${mode === 'swap' ? t('scan.swap_go') : t('scan.bind_go', { device: second.device })}<//>
      <${Button} class="huge" icon="x" onClick=${over}>${t('scan.again')}<//></div>`}
    ${mode === 'look' && first && !first.alone && !first.revoked && html`<div class="act"><${Link} class="button huge" to="/codes" query=${{ q: first.number }}>${t('scan.details')}<//>
      <${Button} class="huge" kind="danger" icon="x" onClick=${revoke}>${t('scan.revoke')}<//></div>`}
    ${done.length > 0 && html`<${Card} title=${t('scan.so_far', { n: done.length })}><ol class="done-list">${done.map(d => html`<li key=${d.at}><${Badge} state="done" word=${clock(d.at)} /> ${d.text}</li>`)}</ol><//>`}
  </div><//>`
}

function Found({ code, over }) {
  const venues = useVenues()
  if (code.alone) return html`<${Card}><div class="found"><strong class="big">${code.device}</strong><${Link} to=${'/devices/' + code.device}>${t('scan.open_device')}<//></div><//>`
  return html`<${Card}><div class="found"><${CodeState} code=${code} /><strong class="big mono">${code.printed}</strong>
    <span class="quiet">${code.device ? t('scan.hangs', { device: code.device }) : code.venue ? t('scan.for_venue', { venue: venues.name(code.venue) }) : ''}</span>
    ${code.device && html`<${Link} to=${'/devices/' + code.device}>${t('scan.open_device')}<//>`}
    <${Button} kind="quiet" icon="x" class="drop" label=${t('scan.drop')} onClick=${over} /></div><//>`
}

// Reader is the camera where there is one, and a field that a gun types into.
function Reader({ take, busy, word }) {
  const [text, setText] = useState('')
  const [camera, setCamera] = useState(false), [fault, setFault] = useState('')
  const video = useRef(/** @type {any} */ (null)), form = useRef(/** @type {any} */ (null))
  const latest = useRef(take)
  latest.current = take
  const there = Detector && navigator.mediaDevices?.getUserMedia
  useEffect(() => {
    // A gun's first letter finds the field, wherever the focus was.
    const find = e => {
      if (e.key.length !== 1 || e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return
      if (e.target instanceof HTMLElement && e.target.matches('input, select, textarea')) return
      form.current?.querySelector('input')?.focus()
    }
    addEventListener('keydown', find, true)
    return () => removeEventListener('keydown', find, true)
  }, [])
  useEffect(() => { form.current?.querySelector('input')?.focus({ preventScroll: true }) }, [word])
  useEffect(() => {
    if (!camera) return
    let stopped = false, stream = /** @type {any} */ (null), seen = '', since = 0
    const look = async detector => {
      if (stopped) return
      try {
        const [found] = await detector.detect(video.current)
        if (found && (found.rawValue !== seen || Date.now() - since > 3000)) {
          seen = found.rawValue
          since = Date.now()
          latest.current(found.rawValue)
        }
      } catch { /* no frame yet */ }
      setTimeout(() => look(detector), 150)
    }
    navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1280 } } }).then(async s => {
      stream = s
      if (stopped) return s.getTracks().forEach(track => track.stop())
      video.current.srcObject = s
      await video.current.play()
      look(new Detector({ formats: ['qr_code'] }))
    }).catch(() => { setFault(t('scan.no_camera')); setCamera(false) })
    return () => { stopped = true; stream?.getTracks().forEach(track => track.stop()) }
  }, [camera])
  const send = e => { e.preventDefault(); const v = text; setText(''); take(v) }
  return html`<div class="reader">
    ${camera && html`<div class="viewfinder"><video ref=${video} playsinline muted></video><span aria-hidden="true"></span></div>`}
    ${there ? html`<${Button} class="huge" icon="camera" onClick=${() => { setFault(''); setCamera(!camera) }}>${t(camera ? 'scan.camera_off' : 'scan.camera_on')}<//>` : html`<p class="quiet">${t('scan.camera_none')}</p>`}
    ${fault && html`<p class="field-problem" role="alert">${fault}</p>`}
    <form ref=${form} onSubmit=${send} class="type-line"><${Field} label=${word} value=${text} onInput=${setText} autocomplete="off" autocapitalize="none" spellcheck="false" enterkeyhint="go" /><${Button} type="submit" kind="primary" busy=${busy} icon="right" label=${t('scan.take')} /></form>
  </div>`
}
