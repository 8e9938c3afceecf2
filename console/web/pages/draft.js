// A draft of a tariff: the form, what it says in words, its replay over past orders,
// and putting it in force.
import { html, useMemo, useRef, useState } from '../lib/html.js'
import { can, post } from '../lib/api.js'
import { t } from '../lib/words.js'
import { absolute, day, money, number } from '../lib/format.js'
import { Link } from '../lib/router.js'
import { Badge, Button, Card, Check, DataTable, Field, Page, ProblemBox, Select, Spinner, confirmAct, toast } from '../lib/ui.js'
import { Figure, instant, localInput, useVenues } from './office.js'
import { DayChart } from './chart.js'
import { formOf, priceOf, ruleOf, sentences } from './pricewords.js'

/** @param {{from?: any, lanes: any[], done: () => void}} props */
export function Draft({ from, lanes, done }) {
  const venues = useVenues()
  const [form, setForm] = useState(() => {
    const f = formOf(from)
    return from ? f : { ...f, venue: venues.venues.length === 1 ? venues.venues[0].id : '' }
  })
  const [replay, setReplay] = useState(/** @type {{of: string, data: any} | null} */ (null))
  const set = change => setForm(f => ({ ...f, ...change }))
  const { rule, wrong } = useMemo(() => ruleOf(form), [form])
  const [shown, setShown] = useState(false) // complaints of fields that nobody touched yet
  const bad = name => wrong[name] && (shown || form[name]) ? t(wrong[name]) : undefined
  const fine = Object.keys(wrong).length === 0
  const priced = Object.keys(wrong).every(k => ['id', 'name', 'venue', 'group'].includes(k)) // the rule alone can be said in words
  const lane = lanes.find(l => l.venue === form.venue && l.kind === form.kind && l.group === form.group)
  const present = lane?.now
  const of = JSON.stringify([form.venue, form.kind, form.group, rule])
  const replayed = replay?.of === of ? replay.data : null
  const text = name => ({ label: t('tariff.field.' + name), value: form[name], onInput: v => set({ [name]: v }), problem: bad(name), hint: tHint(name) })

  return html`<${Page} title=${from ? t('tariff.draft_of', { name: from.name }) : t('tariff.new')} sub=${t('tariff.draft_sub')}
      back=${html`<${Button} kind="quiet" icon="left" label=${t('office.back')} onClick=${done} />`}>
    <div class="halves">
      <${Card} title=${t('tariff.where')}>
        <div class="fields">
          <${Select} label=${t('part.venue')} value=${form.venue} options=${[['', '–'], ...venues.options()]} disabled=${!!from} onChange=${venue => set({ venue })} />
          <${Select} label=${t('part.kind')} value=${form.kind} options=${[['lock', t('kind.lock')], ['pump', t('kind.pump')]]} disabled=${!!from} onChange=${kind => set({ kind })} />
          <${Field} ...${text('id')} disabled=${!!from} spellcheck="false" />
          <${Field} ...${text('name')} maxlength="100" />
          <${Field} ...${text('group')} spellcheck="false" />
        </div>
        <h3>${t('tariff.rule')}</h3>
        ${form.kind === 'lock' ? html`<${TimeForm} form=${form} set=${set} text=${text} />` : html`<${FuelForm} form=${form} set=${set} text=${text} wrong=${wrong} shown=${shown} />`}
      <//>
      <div class="stack">
        <${Card} title=${t('tariff.in_words')}>
          ${present && html`<h3>${t('tariff.present', { name: present.name, n: present.version })}</h3><ul class="sentences quiet">${sentences(present).map(s => html`<li>${s}</li>`)}</ul>`}
          <h3>${t('tariff.this_draft')}</h3>
          ${priced ? html`<ul class="sentences strong" data-test="draft-words">${sentences(rule).map(s => html`<li>${s}</li>`)}</ul>` : html`<p class="quiet">${t('tariff.incomplete')}</p>`}
          ${priced && form.kind === 'lock' && html`<${Examples} rule=${rule} present=${present} />`}
        <//>
        <${ReplayCard} form=${form} rule=${rule} fine=${fine} wrong=${wrong} present=${present} data=${replayed} stale=${replay && !replayed} showWrong=${() => setShown(true)} keep=${data => setReplay({ of, data })} />
        <${Force} form=${form} rule=${rule} fine=${fine} replayed=${replayed} showWrong=${() => setShown(true)} zone=${venues.zone(form.venue)} venue=${venues.name(form.venue)} done=${done} />
      </div>
    </div>
  <//>`
}

const hinted = new Set(['id', 'group', 'free', 'block', 'ride', 'day', 'reserveFree', 'step'])
const tHint = name => hinted.has(name) ? t('tariff.hint.' + name) : undefined

function TimeForm({ form, set, text }) {
  return html`<div class="fields">
    <${Field} ...${text('unlock')} inputmode="decimal" unit=${t('office.yuan')} />
    <${Field} ...${text('free')} inputmode="decimal" unit=${t('office.minutes')} />
    <${Field} ...${text('block')} inputmode="decimal" unit=${t('office.minutes')} />
    <${Field} ...${text('fee')} inputmode="decimal" unit=${t('office.yuan')} />
    <${Field} ...${text('ride')} inputmode="decimal" unit=${t('office.yuan')} />
    <${Field} ...${text('day')} inputmode="decimal" unit=${t('office.yuan')} />
  </div>
  <h3>${t('tariff.reserving')}</h3>
  <${Check} label=${t('tariff.field.reserve')} checked=${form.reserve} onChange=${reserve => set({ reserve })} />
  ${form.reserve && html`<div class="fields">
    <${Field} ...${text('reserveMost')} inputmode="numeric" unit=${t('office.minutes')} />
    <${Field} ...${text('reserveFree')} inputmode="numeric" unit=${t('office.minutes')} />
    <${Field} ...${text('reserveFee')} inputmode="decimal" unit=${t('office.yuan')} />
  </div>`}`
}

function FuelForm({ form, set, text, wrong, shown }) {
  const grade = (i, change) => set({ grades: form.grades.map((g, n) => n === i ? { ...g, ...change } : g) })
  const bad = (name, i, value) => wrong[name + i] && (shown || value) ? t(wrong[name + i]) : undefined
  return html`${form.grades.map((g, i) => html`<fieldset class="grade" key=${i}><legend>${t('tariff.grade_n', { n: i + 1 })}</legend><div class="fields">
      <${Field} label=${t('tariff.field.grade')} value=${g.grade} onInput=${v => grade(i, { grade: v })} problem=${bad('grade', i, g.grade)} maxlength="16" />
      <${Field} label=${t('tariff.field.grade_name')} value=${g.name} onInput=${v => grade(i, { name: v })} maxlength="60" />
      <${Field} label=${t('tariff.field.price')} value=${g.price} onInput=${v => grade(i, { price: v })} problem=${bad('price', i, g.price)} inputmode="decimal" unit=${t('tariff.per_litre')} />
      <${Field} label=${t('tariff.field.tax')} value=${g.tax} onInput=${v => grade(i, { tax: v })} problem=${bad('tax', i, g.tax)} inputmode="decimal" unit="%" />
      <${Field} label=${t('tariff.field.tax_code')} value=${g.tax_code} onInput=${v => grade(i, { tax_code: v })} maxlength="32" />
    </div>${form.grades.length > 1 && html`<${Button} small kind="quiet" icon="trash" onClick=${() => set({ grades: form.grades.filter((_, n) => n !== i) })}>${t('tariff.drop_grade')}<//>`}</fieldset>`)}
  <${Button} small icon="plus" onClick=${() => set({ grades: [...form.grades, { grade: '', name: '', price: '', tax: '', tax_code: '' }] })}>${t('tariff.add_grade')}<//>
  <h3>${t('tariff.bounds')}</h3>
  <div class="fields">
    <${Field} ...${text('least')} inputmode="decimal" unit=${t('office.yuan')} />
    <${Field} ...${text('most')} inputmode="decimal" unit=${t('office.yuan')} />
    <${Field} ...${text('litres')} inputmode="decimal" unit="L" />
    <${Field} ...${text('step')} inputmode="numeric" unit="mL" />
  </div>`
}

// What a few rides cost, beside what they cost now.
function Examples({ rule, present }) {
  const old = present && !present.fuel ? present : null
  const rows = [5, 15, 30, 60, 180, 1440].map(min => ({ min, would: priceOf(rule, min * 60_000), was: old ? priceOf(old, min * 60_000) : null }))
  return html`<table class="table small examples"><caption>${t('tariff.examples')}</caption>
    <thead><tr><th scope="col">${t('tariff.ride_of')}</th>${old && html`<th scope="col" class="end">${t('tariff.was')}</th>`}<th scope="col" class="end">${t('tariff.would')}</th>${old && html`<th scope="col" class="end">${t('tariff.change')}</th>`}</tr></thead>
    <tbody>${rows.map(r => html`<tr key=${r.min}><th scope="row">${r.min < 60 ? t('tariff.len.min', { n: r.min }) : t('tariff.len.h', { n: r.min / 60 })}</th>
      ${old && html`<td class="end">${money(r.was)}</td>`}<td class="end">${money(r.would)}</td>${old && html`<td class="end"><${Difference} fen=${r.would - (r.was ?? 0)} /></td>`}</tr>`)}</tbody></table>`
}

/** A difference with its direction in a sign, not in colour alone. @param {{fen: number}} props */
export const Difference = ({ fen }) => html`<span class=${fen > 0 ? 'more-fen' : fen < 0 ? 'less-fen' : 'quiet'}>${fen > 0 ? '▲ +' : fen < 0 ? '▼ ' : ''}${money(fen)}</span>`

function ReplayCard({ form, rule, fine, wrong, present, data, stale, keep, showWrong }) {
  const [span, setSpan] = useState('7')
  const [from, setFrom] = useState(localInput(Date.now() - 7 * 86_400_000)), [to, setTo] = useState(localInput(Date.now()))
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState(/** @type {any} */ (null))
  const rules = useRef({ rule })
  rules.current = { rule }
  // The rule alone is replayed: an id or a name may still be missing.
  const priced = Object.keys(wrong).every(k => ['id', 'name', 'group'].includes(k))
  const run = async () => {
    if (!priced) return showWrong()
    setBusy(true)
    setProblem(null)
    try {
      const till = span === 'own' ? instant(to) : new Date().toISOString()
      const since = span === 'own' ? instant(from) : new Date(Date.now() - Number(span) * 86_400_000).toISOString()
      keep(await post('/tariffs/replay', { venue: form.venue, kind: form.kind, from: since, to: till, draft: rules.current.rule, ...(form.group && present && { tariff: present.id }) }))
    } catch (p) { setProblem(p) } finally { setBusy(false) }
  }
  return html`<${Card} title=${t('tariff.replay')} class="replay" data-test="replay">
    <p class="quiet">${t('tariff.replay_text')}</p>
    <div class="filters">
      <${Select} inline label=${t('tariff.orders_of')} value=${span} options=${[['1', t('tariff.last_day')], ['7', t('tariff.last_days', { n: 7 })], ['30', t('tariff.last_days', { n: 30 })], ['own', t('tariff.own_span')]]} onChange=${setSpan} />
      ${span === 'own' && html`<${Field} inline type="datetime-local" label=${t('part.from')} value=${from} onInput=${setFrom} /><${Field} inline type="datetime-local" label=${t('part.to')} value=${to} onInput=${setTo} />`}
      <${Button} kind="primary" icon="history" busy=${busy} onClick=${run}>${t('tariff.run_replay')}<//>
    </div>
    <${ProblemBox} problem=${problem} />
    ${busy && !data && html`<${Spinner} text=${t('tariff.replaying')} />`}
    ${stale && !busy && html`<p class="note"><${Badge} state="warn" word=${t('tariff.stale')} /></p>`}
    ${data && html`<${Outcome} data=${data} />`}
  <//>`
}

function Outcome({ data }) {
  const change = data.would_fen - data.was_fen
  if (!data.orders) return html`<p class="quiet" data-test="replayed">${t('tariff.no_orders')}</p>`
  return html`<div class="stack" data-test="replayed">
    <div class="figures">
      <${Figure} label=${t('tariff.out.orders')} value=${number(data.orders)} sub=${t('tariff.out.riders', { n: data.riders })} />
      <${Figure} label=${t('tariff.was')} value=${money(data.was_fen)} />
      <${Figure} label=${t('tariff.would')} value=${money(data.would_fen)} />
      <${Figure} label=${t('tariff.change')} value=${html`<${Difference} fen=${change} />`} sub=${data.was_fen ? (change / data.was_fen * 100).toFixed(1) + ' %' : null} />
    </div>
    <p>${data.cheaper > 0 && t('tariff.out.cheaper', { n: data.cheaper, sum: money(Math.abs(data.less_fen)) })} ${data.dearer > 0 && t('tariff.out.dearer', { n: data.dearer, sum: money(data.more_fen) })}${!data.cheaper && !data.dearer && t('tariff.out.same')}
      ${data.decided > 0 && ' ' + t('tariff.out.decided', { n: data.decided })}${data.strange > 0 && ' ' + t('tariff.out.strange', { n: data.strange })}</p>
    <${DayChart} label=${t('tariff.out.chart')} days=${data.days.map(d => d.day)} format=${v => '¥' + number(v / 100)} height=${170}
      series=${[{ label: t('tariff.was'), values: data.days.map(d => d.was_fen), colour: '--off', bars: true, side: -1 }, { label: t('tariff.would'), values: data.days.map(d => d.would_fen), colour: '--busy', bars: true, side: 1 }]} />
    <table class="table small"><caption class="hidden-text">${t('tariff.out.chart')}</caption><thead><tr><th scope="col">${t('tariff.day')}</th><th scope="col" class="end">${t('tariff.out.orders')}</th><th scope="col" class="end">${t('tariff.was')}</th><th scope="col" class="end">${t('tariff.would')}</th><th scope="col" class="end">${t('tariff.change')}</th></tr></thead>
      <tbody>${data.days.map(d => html`<tr key=${d.day}><th scope="row">${day(d.day + 'T00:00:00Z', 'UTC')}</th><td class="end">${number(d.orders)}</td><td class="end">${money(d.was_fen)}</td><td class="end">${money(d.would_fen)}</td><td class="end"><${Difference} fen=${d.would_fen - d.was_fen} /></td></tr>`)}</tbody>
      <tfoot><tr><th scope="row">${t('tariff.sum')}</th><td class="end">${number(data.orders)}</td><td class="end">${money(data.was_fen)}</td><td class="end">${money(data.would_fen)}</td><td class="end"><${Difference} fen=${change} /></td></tr></tfoot></table>
    ${data.biggest?.length > 0 && html`<details><summary>${t('tariff.out.biggest')}</summary>
      <${DataTable} label=${t('tariff.out.biggest')} rowKey=${r => r.order} rows=${data.biggest.slice(0, 20)} columns=${[
        { key: 'order', title: t('part.order'), render: r => html`<${Link} to=${'/orders/' + r.order}><code>${r.order.slice(-12)}</code><//>` },
        { key: 'was', title: t('tariff.was'), align: 'end', render: r => money(r.was_fen) },
        { key: 'would', title: t('tariff.would'), align: 'end', render: r => money(r.would_fen) },
        { key: 'change', title: t('tariff.change'), align: 'end', render: r => html`<${Difference} fen=${r.would_fen - r.was_fen} />` },
      ]} /></details>`}
  </div>`
}

function Force({ form, rule, fine, replayed, zone, venue, showWrong, done }) {
  const [later, setLater] = useState(false), [from, setFrom] = useState(localInput(Date.now() + 86_400_000))
  if (!can('admin')) return html`<${Card} title=${t('tariff.force')}><p class="quiet">${t('tariff.force_admin')}</p><//>`
  const put = async () => {
    if (!fine) return showWrong()
    const effective = later ? instant(from) : undefined
    const body = { id: form.id, name: form.name.trim(), venue: form.venue, kind: form.kind, ...(form.group && { group: form.group }), ...rule, ...(effective && { effective_at: effective }) }
    const made = await confirmAct({ title: t('tariff.force_title', { name: form.name }), word: t('tariff.force'), reason: true, danger: !replayed, typed: replayed ? undefined : t('tariff.unreplayed_typed'),
      text: html`<p>${t('tariff.force_text', { venue, when: effective ? absolute(effective, zone) : t('tariff.at_once') })}</p><ul class="sentences strong">${sentences(rule).map(s => html`<li>${s}</li>`)}</ul>
        ${replayed ? html`<p>${t('tariff.force_replayed', { n: replayed.orders })} <${Difference} fen=${replayed.would_fen - replayed.was_fen} /></p>` : html`<p class="note"><${Badge} state="warn" word=${t('tariff.unreplayed')} /></p>`}
        <p class="quiet">${t('tariff.force_keep')}</p>`,
      curl: { method: 'POST', path: '/tariffs', body },
      run: reason => post('/tariffs', { ...body, reason }) })
    if (made) { toast(t('tariff.forced', { name: made.name, n: made.version })); done() }
  }
  return html`<${Card} title=${t('tariff.force')}>
    <div class="filters">
      <${Select} inline label=${t('tariff.effective')} value=${later ? 'later' : 'now'} options=${[['now', t('tariff.at_once')], ['later', t('tariff.at_moment')]]} onChange=${v => setLater(v === 'later')} />
      ${later && html`<${Field} inline type="datetime-local" label=${t('tariff.from')} value=${from} min=${localInput(Date.now())} onInput=${setFrom} hint=${zone && t('tariff.in_zone', { time: absolute(instant(from) || Date.now(), zone), zone })} />`}
    </div>
    <p>${replayed ? html`<${Badge} state="ok" word=${t('tariff.was_replayed')} />` : html`<${Badge} state="warn" word=${t('tariff.unreplayed')} />`}</p>
    <div class="actions"><${Button} kind=${replayed ? 'primary' : undefined} icon="check" onClick=${put}>${t('tariff.put_in_force')}<//></div>
  <//>`
}
