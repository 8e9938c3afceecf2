// What pages are built from. Forms and dialogs are native ones, tables are tables.
import { html, signal, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from './html.js'
import { Problem, curl as curlText, fresh, me, post } from './api.js'
import { Icon } from './icons.js'
import { has, t, tCode } from './words.js'

export { Icon }
export { Timeline, KeyValue, exportCSV, csv } from './show.js'
export { DataTable, VirtualTable } from './table.js'
export { Badge, tones } from './badge.js'

/**
 * The frame of a page: its title, what can be done, its content.
 * @param {{title: any, sub?: any, actions?: any, back?: any, wide?: boolean, class?: string, children?: any}} props
 */
export function Page({ title, sub, actions, back, wide, class: more, children }) {
  useEffect(() => { if (typeof title === 'string') pageTitle.value = title }, [title])
  return html`<main class=${'page' + (wide ? ' wide' : '') + (more ? ' ' + more : '')} id="main" tabindex="-1">
    <header class="page-head">
      <div class="page-title">${back}<h1>${title}</h1>${sub && html`<div class="page-sub">${sub}</div>`}</div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${children}
  </main>`
}

/** The title of the page that shows, for the tab. */
export const pageTitle = signal('')

/** @param {{title?: any, actions?: any, class?: string, flush?: boolean, children?: any, [more: string]: any}} props flush: no padding, for tables */
export function Card({ title, actions, class: more, flush, children, ...rest }) {
  return html`<section class=${'card ' + (flush ? 'flush ' : '') + (more ?? '')} ...${rest}>
    ${(title || actions) && html`<header class="card-head"><h2>${title}</h2>${actions && html`<div class="actions">${actions}</div>`}</header>`}
    ${children}
  </section>`
}

/**
 * @param {{kind?: string, icon?: string, onClick?: (e: any) => any, busy?: boolean, disabled?: boolean, label?: string, type?: string, small?: boolean, children?: any, [more: string]: any}} props
 *   kind: primary, danger, quiet; absent: plain. label: for a button that shows an icon alone
 */
export function Button({ kind, icon, onClick, busy, disabled, label, type = 'button', small, children, class: more, ...rest }) {
  const bare = icon && (children == null || children === false)
  return html`<button type=${type} class=${`button ${kind ?? ''} ${small ? 'small' : ''} ${bare ? 'bare' : ''} ${more ?? ''}`} onClick=${onClick}
    disabled=${disabled || busy} aria-busy=${busy ? 'true' : undefined} aria-label=${label} title=${bare ? label : undefined} ...${rest}>
    ${busy ? html`<span class="spin" aria-hidden="true"></span>` : icon && html`<${Icon} name=${icon} />`}${children != null && children !== false && html`<span>${children}</span>`}</button>`
}

/**
 * A labelled input. onInput gets the text.
 * @param {{label: any, value?: any, onInput?: (value: string, e: any) => void, type?: string, hint?: any, problem?: any, rows?: number, unit?: any, inline?: boolean, [more: string]: any}} props
 */
export function Field({ label, value, onInput, type = 'text', hint, problem, rows, unit, inline, class: more, ...rest }) {
  const id = useId()
  const said = [hint && id + 'h', problem && id + 'p'].filter(Boolean).join(' ') || undefined
  const common = { id, value: value ?? '', onInput: e => onInput?.(e.currentTarget.value, e), 'aria-describedby': said, 'aria-invalid': problem ? 'true' : undefined, ...rest }
  return html`<div class=${`field ${inline ? 'inline' : ''} ${more ?? ''}`}>
    <label for=${id}>${label}</label>
    <div class="field-box">${rows ? html`<textarea rows=${rows} ...${common}></textarea>` : html`<input type=${type} ...${common} />`}${unit && html`<span class="unit">${unit}</span>`}</div>
    ${hint && html`<p class="hint" id=${id + 'h'}>${hint}</p>`}
    ${problem && html`<p class="field-problem" id=${id + 'p'}>${problem}</p>`}
  </div>`
}

/**
 * A labelled select.
 * @param {{label: any, value?: any, onChange?: (value: string) => void, options: Array<[string, any] | string>, hint?: any, inline?: boolean, [more: string]: any}} props options: [value, word]
 */
export function Select({ label, value, onChange, options, hint, inline, class: more, ...rest }) {
  const id = useId()
  return html`<div class=${`field ${inline ? 'inline' : ''} ${more ?? ''}`}>
    <label for=${id}>${label}</label>
    <div class="field-box"><select id=${id} value=${value ?? ''} onChange=${e => onChange?.(e.currentTarget.value)} aria-describedby=${hint ? id + 'h' : undefined} ...${rest}>
      ${options.map(o => { const [v, word] = Array.isArray(o) ? o : [o, o]; return html`<option key=${v} value=${v} selected=${String(v) === String(value ?? '')}>${word}</option>` })}
    </select></div>
    ${hint && html`<p class="hint" id=${id + 'h'}>${hint}</p>`}
  </div>`
}

/** @param {{label: any, checked: boolean, onChange: (on: boolean) => void, hint?: any, [more: string]: any}} props */
export function Check({ label, checked, onChange, hint, ...rest }) {
  const id = useId()
  return html`<div class="field check"><input type="checkbox" id=${id} checked=${checked} onChange=${e => onChange(e.currentTarget.checked)} ...${rest} /><label for=${id}>${label}</label>${hint && html`<p class="hint">${hint}</p>`}</div>`
}

/**
 * Tabs. The content is the caller's: <${Tabs} .../> and below it what value says.
 * @param {{tabs: Array<{value: string, word: any, count?: number}>, value: string, onChange: (value: string) => void, label?: string}} props
 */
export function Tabs({ tabs, value, onChange, label }) {
  const list = useRef(/** @type {any} */ (null))
  const keys = e => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key]
    if (!step) return
    e.preventDefault()
    const i = tabs.findIndex(tab => tab.value === value)
    onChange(tabs[(i + step + tabs.length) % tabs.length].value)
    requestAnimationFrame(() => list.current?.querySelector('[aria-selected=true]')?.focus())
  }
  return html`<div class="tabs" role="tablist" aria-label=${label} ref=${list} onKeyDown=${keys}>
    ${tabs.map(tab => html`<button type="button" role="tab" key=${tab.value} aria-selected=${String(tab.value === value)} tabindex=${tab.value === value ? 0 : -1} onClick=${() => onChange(tab.value)}>${tab.word}${tab.count != null && html`<span class="count">${tab.count}</span>`}</button>`)}
  </div>`
}

/**
 * Nothing to show, and why that is or what to do.
 * @param {{icon?: string, title?: any, text?: any, children?: any}} props children: actions
 */
export function Empty({ icon = 'ok', title, text, children }) {
  return html`<div class="empty"><${Icon} name=${icon} /><p class="empty-title">${title ?? t('ui.nothing')}</p>${text && html`<p class="quiet">${text}</p>`}${children && html`<div class="actions">${children}</div>`}</div>`
}

/** @param {{text?: any}} props */
export function Spinner({ text }) {
  return html`<div class="waiting" role="status"><span class="spin" aria-hidden="true"></span><span>${text ?? t('ui.loading')}</span></div>`
}

/** What the API refused, in words of the console where it knows the code. @param {{problem: any, retry?: () => void}} props */
export function ProblemBox({ problem, retry }) {
  if (!problem) return null
  const { title, text } = problemWords(problem)
  return html`<div class="problem" role="alert"><${Icon} name="bad" />
    <div><strong>${title}</strong>${text && html`<p>${text}</p>`}
      ${problem.errors?.length > 0 && html`<ul>${problem.errors.map(e => html`<li>${e.location && html`<code>${e.location}</code> `}${e.message}</li>`)}</ul>`}
      ${problem.status > 0 && html`<p class="quiet"><code>${problem.status} ${problem.code}</code></p>`}
      ${retry && html`<${Button} small icon="reload" onClick=${retry}>${t('ui.again')}<//>`}</div></div>`
}

/** @param {any} problem */
export function problemWords(problem) {
  if (!(problem instanceof Problem)) return { title: t('ui.broken'), text: String(problem?.message ?? problem) }
  if (problem.act) return { title: t('problem.no_answer.act'), text: t('problem.no_answer.' + problem.act) }
  const known = has('problem.' + problem.code)
  return { title: known ? t('problem.' + problem.code) : problem.title || t('ui.refused'), text: problem.detail }
}

/**
 * Loads something and loads it again when deps change. What was there stays while it
 * is loading.
 * @template T
 * @param {(abort: AbortSignal) => Promise<T>} fn
 * @param {any[]} deps
 * @returns {{data: T | undefined, problem: any, loading: boolean, reload: () => void, set: (data: T) => void}}
 */
export function useLoad(fn, deps) {
  const [state, setState] = useState(/** @type {{data: any, problem: any, loading: boolean}} */ ({ data: undefined, problem: null, loading: true }))
  const [round, setRound] = useState(0)
  useEffect(() => {
    const abort = new AbortController()
    setState(s => ({ ...s, loading: true }))
    Promise.resolve().then(() => fn(abort.signal)).then(
      data => { if (!abort.signal.aborted) setState({ data, problem: null, loading: false }) },
      problem => {
        if (abort.signal.aborted) return
        if (!(problem instanceof Problem)) console.error(problem)
        setState(s => ({ ...s, problem, loading: false }))
      })
    return () => abort.abort()
  }, [...deps, round])
  return { ...state, reload: () => setRound(n => n + 1), set: data => setState(s => ({ ...s, data })) }
}

/**
 * What a load gives: its content, a spinner the first time, or the problem.
 * @param {{load: ReturnType<typeof useLoad>, children: (data: any) => any}} props
 */
export function Loaded({ load, children }) {
  if (load.data === undefined) return load.problem ? html`<${ProblemBox} problem=${load.problem} retry=${load.reload} />` : html`<${Spinner} />`
  return html`${load.problem && html`<${ProblemBox} problem=${load.problem} retry=${load.reload} />`}${children(load.data)}`
}

/* Toasts */

const toasts = signal(/** @type {Array<{id: number, text: string, tone: string}>} */ ([]))
let toastId = 0

/** Says something for a few seconds. @param {string} text @param {'ok' | 'bad' | 'info'} [tone] */
export function toast(text, tone = 'ok') {
  const id = ++toastId
  toasts.value = [...toasts.value.slice(-3), { id, text, tone }]
  setTimeout(() => { toasts.value = toasts.value.filter(one => one.id !== id) }, tone === 'bad' ? 9000 : 4500)
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">${toasts.value.map(one => html`<div key=${one.id} class=${'toast ' + one.tone}><${Icon} name=${one.tone === 'info' ? 'info' : one.tone} /><span>${one.text}</span></div>`)}</div>`
}

/** Copies a text and says so. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    toast(t('ui.copied'))
  } catch { toast(t('ui.copy_failed'), 'bad') }
}

/* Dialogs */

/**
 * A dialog of the caller's own. It opens at once; onClose is called however it closes.
 * @param {{title: any, onClose: () => void, wide?: boolean, class?: string, children?: any, foot?: any}} props
 */
export function Dialog({ title, onClose, wide, class: more, children, foot }) {
  const ref = useRef(/** @type {any} */ (null))
  const id = useId()
  useLayoutEffect(() => {
    const d = ref.current, before = document.activeElement
    if (!d.open) d.showModal()
    return () => { if (d.open) d.close(); if (before instanceof HTMLElement && before.isConnected) before.focus() }
  }, [])
  return html`<dialog ref=${ref} class=${`dialog ${wide ? 'wide' : ''} ${more ?? ''}`} aria-labelledby=${id} onCancel=${e => { e.preventDefault(); onClose() }}
      onClick=${e => { if (e.target === ref.current) onClose() }}>
    <div class="dialog-box">
      <header class="dialog-head"><h2 id=${id}>${title}</h2><${Button} kind="quiet" icon="x" label=${t('ui.close')} onClick=${onClose} /></header>
      <div class="dialog-body">${children}</div>
      ${foot && html`<footer class="dialog-foot">${foot}</footer>`}
    </div>
  </dialog>`
}

/**
 * @typedef {object} Act
 * @property {string} title
 * @property {any} [text] what will happen
 * @property {boolean | 'optional'} [reason] asks for a reason; true: one is needed
 * @property {boolean} [danger]
 * @property {string} [typed] a text that has to be typed first
 * @property {string} [word] of the button; absent: the title
 * @property {(reason: string) => Promise<any>} run its problem is shown and can be tried again
 * @property {{method: string, path: string, body?: any}} [curl] offers the command line; its body's reason is filled in
 * @property {any} [children] more fields, above the reason
 */

const acts = signal(/** @type {Array<{id: number, act: Act, settle: (value: any) => void}>} */ ([]))
let actId = 0

/**
 * Asks before an act and shows how it goes. Resolves with what run returned, or
 * undefined when it was left.
 * @param {Act} act
 * @returns {Promise<any>}
 */
export function confirmAct(act) {
  return new Promise(settle => { acts.value = [...acts.value, { id: ++actId, act, settle }] })
}

// A password in a dialog over the one that asked for the act.
fresh.ask = async () => {
  if (!me.value?.has_password) return false // the problem says to sign in again
  let password = ''
  return Boolean(await confirmAct({
    title: t('ui.proof'), text: t('ui.proof_text'), word: t('ui.proof'),
    children: html`<input type="text" autocomplete="username" value=${me.value.name} hidden readonly />
      <${Secret} label=${t('ui.password')} onInput=${text => { password = text }} />`,
    run: async () => { await post('/logins', { name: me.value?.name, password }); return true },
  }))
}

/** @param {{label: string, onInput: (text: string) => void}} props */
function Secret({ label, onInput }) {
  const [value, setValue] = useState('')
  return html`<${Field} type="password" label=${label} value=${value} onInput=${text => { setValue(text); onInput(text) }} autocomplete="current-password" required autofocus />`
}

export function Dialogs() {
  return html`${acts.value.map(one => html`<${ActDialog} key=${one.id} act=${one.act} done=${value => {
    acts.value = acts.value.filter(other => other.id !== one.id)
    one.settle(value)
  }} />`)}`
}

/** @param {{act: Act, done: (value?: any) => void}} props */
function ActDialog({ act, done }) {
  const [reason, setReason] = useState(''), [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  const [showCurl, setShowCurl] = useState(false)
  const ready = (act.reason !== true || reason.trim()) && (!act.typed || typed.trim() === act.typed)
  const run = async e => {
    e?.preventDefault()
    if (busy || !ready) return
    setBusy(true)
    setProblem(null)
    try { done(await act.run(reason.trim())) } catch (p) { setProblem(p); setBusy(false) }
  }
  const line = act.curl && curlText(act.curl.method, act.curl.path, act.curl.body && { ...act.curl.body, ...(act.reason && { reason: reason.trim() || act.curl.body.reason || '…' }) })
  return html`<${Dialog} title=${act.title} onClose=${() => { if (!busy) done() }}>
    <form class="stack" onSubmit=${run}>
      ${act.text && html`<div class="prose">${act.text}</div>`}
      ${act.children}
      ${act.reason && html`<${Field} label=${act.reason === true ? t('ui.reason') : t('ui.reason_optional')} value=${reason} onInput=${setReason} maxlength="500" autofocus=${!act.typed} required=${act.reason === true} hint=${t('ui.reason_hint')} />`}
      ${act.typed && html`<${Field} label=${t('ui.type_to_confirm', { text: act.typed })} value=${typed} onInput=${setTyped} autocomplete="off" spellcheck="false" autofocus class="mono" />`}
      <${ProblemBox} problem=${problem} />
      ${busy && html`<div class="progress" role="status"><span class="progress-bar"></span><span>${t('ui.working')}</span></div>`}
      ${line && showCurl && html`<pre class="curl" tabindex="0">${line}</pre>`}
      <div class="dialog-foot">
        ${line && html`<${Button} kind="quiet" small icon="copy" onClick=${() => { if (showCurl) copy(line); else { setShowCurl(true); copy(line) } }}>${t('ui.curl')}<//>`}
        <span class="grow"></span>
        <${Button} onClick=${() => done()} disabled=${busy}>${t('ui.cancel')}<//>
        <${Button} type="submit" kind=${act.danger ? 'danger' : 'primary'} busy=${busy} disabled=${!ready} autofocus=${!act.reason && !act.typed && !act.danger}>${act.word ?? act.title}<//>
      </div>
    </form>
  <//>`
}

/** A button that shows the command line for what the page just read. @param {{method?: string, path: string, body?: any}} props */
export function CurlButton({ method = 'GET', path, body }) {
  return html`<${Button} kind="quiet" small icon="copy" onClick=${() => copy(curlText(method, path, body))}>${t('ui.curl')}<//>`
}

/**
 * Keeps a list that is read page by page: rows so far and a way to get more.
 * @param {(cursor: string | undefined, abort: AbortSignal) => Promise<any>} fn
 * @param {string} field of the answer that holds the rows
 * @param {any[]} deps
 */
export function usePages(fn, field, deps) {
  const first = useLoad(abort => fn(undefined, abort), deps)
  const [later, setLater] = useState(/** @type {any[]} */ ([]))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  useEffect(() => { setLater([]); setProblem(null) }, [first.data])
  const answers = first.data ? [first.data, ...later] : []
  const rows = useMemo(() => answers.flatMap(a => a[field] ?? []), [first.data, later])
  const next = answers.at(-1)?.next_cursor
  const shown = useRef(first.data)
  shown.current = first.data
  const more = async () => {
    setBusy(true)
    try {
      const a = await fn(next, new AbortController().signal)
      if (shown.current === first.data) setLater(l => [...l, a]) // else it goes on a list that is no longer there
    } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  return { rows, data: first.data, loading: first.loading, problem: first.problem ?? problem, reload: first.reload, more: next ? more : null, busy }
}

/** The foot of a paged list. @param {{list: ReturnType<typeof usePages>}} props */
export function More({ list }) {
  if (!list.more) return null
  return html`<div class="more"><${Button} onClick=${list.more} busy=${list.busy}>${t('ui.more')}<//></div>`
}

export { tCode }
