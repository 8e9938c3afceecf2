// A tariff in sentences, as the API says it to riders (api/tariff.go), and a tariff as
// a form holds it: yuan and minutes as text.
import { money, number } from '../lib/format.js'
import { t } from '../lib/words.js'

// length is in the largest unit that divides it.
function length(ms) {
  if (ms % 3_600_000 === 0) return t('tariff.len.h', { n: ms / 3_600_000 })
  if (ms % 60_000 === 0) return t('tariff.len.min', { n: ms / 60_000 })
  return t('tariff.len.s', { n: number(ms / 1000, ms % 1000 ? 1 : 0) })
}

/** Milli-yuan per litre: 7850 is ¥7.85, 7855 is ¥7.855. @param {number} milli */
export const perLitre = milli => '¥' + (milli % 10 ? (milli / 1000).toFixed(3) : (milli / 1000).toFixed(2))

/**
 * A rule in short sentences.
 * @param {any} rule
 * @returns {string[]}
 */
export function sentences(rule) {
  const said = []
  if (rule.fuel) {
    for (const g of rule.fuel.grades ?? []) said.push(t('tariff.say.grade', { name: g.name || g.grade, price: perLitre(g.unit_price) }))
    said.push(t('tariff.say.amounts', { least: money(rule.fuel.least_amount_fen), most: money(rule.fuel.most_amount_fen), litres: number(rule.fuel.most_millilitres / 1000) }))
    return said
  }
  const { unlock_fee_fen: unlock = 0, free_ms: free = 0, block_ms: block = 0, block_fee_fen: fee = 0, ride_cap_fen: ride = 0, day_cap_fen: day = 0 } = rule
  if (!unlock && !fee) said.push(t('tariff.say.free'))
  if (unlock) said.push(t('tariff.say.unlock', { fee: money(unlock) }))
  if (free && fee) said.push(t('tariff.say.untimed', { length: length(free) }))
  const unit = { 3_600_000: 'h', 60_000: 'min', 1000: 's' }[block]
  if (fee && block) said.push(unit ? t('tariff.say.each_' + unit, { fee: money(fee) }) : t('tariff.say.block', { fee: money(fee), length: length(block) }))
  if (ride) said.push(t('tariff.say.ride_cap', { fee: money(ride) }))
  if (day) said.push(t('tariff.say.day_cap', { fee: money(day) }))
  const most = rule.reserve_most_minutes || 10, freely = rule.reserve_free_minutes === -1 ? 0 : rule.reserve_free_minutes || 5
  if (most === -1) said.push(t('tariff.say.no_reserve'))
  else if (rule.reserve_fen_per_minute && most > freely) said.push(t('tariff.say.reserve_paid', { most, free: freely, fee: money(rule.reserve_fen_per_minute) }))
  else said.push(t('tariff.say.reserve_free', { most }))
  return said
}

/**
 * What a ride of so many milliseconds would cost by a rule, without a pass, a
 * reservation or the day's cap.
 * @param {any} rule
 * @param {number} ms
 */
export function priceOf(rule, ms) {
  const timed = Math.max(0, ms - (rule.free_ms ?? 0))
  const blocks = rule.block_ms ? Math.ceil(timed / rule.block_ms) : 0
  const sum = (rule.unlock_fee_fen ?? 0) + blocks * (rule.block_fee_fen ?? 0)
  return rule.ride_cap_fen ? Math.min(sum, rule.ride_cap_fen) : sum
}

/** Fen of a yuan text; NaN where it is none. @param {string} text */
export function fen(text) {
  const m = /^\s*(\d{1,9})(?:[.](\d{1,2}))?\s*$/.exec(text ?? '')
  return m ? Number(m[1]) * 100 + Number((m[2] ?? '').padEnd(2, '0')) : NaN
}

/** Yuan as a form shows them. @param {number} [n] */
export const yuan = n => n == null ? '' : n % 100 ? (n / 100).toFixed(2) : String(n / 100)

const minutes = ms => ms == null ? '' : String(Math.round(ms / 600) / 100)

/** A form's fields of a version, or of a first draft. @param {any} [v] @param {string} [kind] */
export function formOf(v, kind = 'lock') {
  return {
    id: v?.id ?? '', name: v?.name ?? '', venue: v?.venue ?? '', kind: v?.kind ?? kind, group: v?.group ?? '', effective: '',
    unlock: yuan(v?.unlock_fee_fen ?? 0), free: minutes(v?.free_ms ?? 0), block: minutes(v?.block_ms ?? 900_000), fee: yuan(v?.block_fee_fen ?? 0),
    ride: yuan(v?.ride_cap_fen ?? 0), day: yuan(v?.day_cap_fen ?? 0),
    reserve: (v?.reserve_most_minutes ?? 0) !== -1, reserveMost: String(Math.max(v?.reserve_most_minutes || 10, 0)),
    reserveFree: String(v?.reserve_free_minutes === -1 ? 0 : v?.reserve_free_minutes || 5), reserveFee: yuan(v?.reserve_fen_per_minute ?? 0),
    grades: (v?.fuel?.grades ?? [{ grade: '92', name: '', unit_price: 0 }]).map(g => ({ grade: g.grade, name: g.name ?? '', price: g.unit_price ? (g.unit_price / 1000).toString() : '',
      tax_code: g.tax_code ?? '', tax: g.tax_permille == null ? '' : String(g.tax_permille / 10) })),
    least: yuan(v?.fuel?.least_amount_fen ?? 1000), most: yuan(v?.fuel?.most_amount_fen ?? 100_000), litres: v?.fuel ? String(v.fuel.most_millilitres / 1000) : '200',
    step: String(v?.fuel?.step_millilitres ?? ''),
  }
}

/**
 * The rule of a form, or the fields that are wrong.
 * @param {ReturnType<typeof formOf>} form
 * @returns {{rule: any, wrong: Record<string, string>}} wrong: field to a key of words/tariffs.js
 */
export function ruleOf(form) {
  /** @type {Record<string, string>} */
  const wrong = {}
  const money = name => { const v = fen(form[name]); if (Number.isNaN(v)) wrong[name] = 'tariff.wrong.yuan'; return v }
  const count = (name, { least = 0, most = Infinity, whole = false, scale = 1 } = {}) => {
    const v = Number(form[name])
    if (String(form[name]).trim() === '' || !Number.isFinite(v) || v < least || v > most || whole && !Number.isInteger(v)) wrong[name] = 'tariff.wrong.number'
    return Math.round(v * scale)
  }
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(form.id)) wrong.id = 'tariff.wrong.id'
  if (!/^[A-Za-z0-9_-]{0,32}$/.test(form.group)) wrong.group = 'tariff.wrong.id'
  if (!form.name.trim()) wrong.name = 'tariff.wrong.missing'
  if (!form.venue) wrong.venue = 'tariff.wrong.missing'
  if (form.kind === 'pump') {
    const grades = form.grades.map((g, i) => {
      const price = /^\s*\d{1,4}([.]\d{1,3})?\s*$/.test(g.price) ? Math.round(Number(g.price) * 1000) : NaN
      if (!(price > 0)) wrong['price' + i] = 'tariff.wrong.price'
      if (!g.grade.trim() || form.grades.findIndex(o => o.grade.trim() === g.grade.trim()) !== i) wrong['grade' + i] = 'tariff.wrong.grade'
      const tax = g.tax === '' ? null : Math.round(Number(g.tax) * 10)
      if (tax !== null && !(tax >= 0 && tax <= 1000)) wrong['tax' + i] = 'tariff.wrong.number'
      return { grade: g.grade.trim(), name: g.name.trim(), unit_price: price, ...(g.tax_code && { tax_code: g.tax_code.trim() }), ...(tax !== null && { tax_permille: tax }) }
    })
    const fuel = { grades, least_amount_fen: money('least'), most_amount_fen: money('most'), most_millilitres: count('litres', { least: 1, scale: 1000 }),
      ...(form.step !== '' && { step_millilitres: count('step', { most: 100, whole: true }) }) }
    if (fuel.least_amount_fen > fuel.most_amount_fen) wrong.most = 'tariff.wrong.order'
    return { rule: { fuel }, wrong }
  }
  const rule = { unlock_fee_fen: money('unlock'), free_ms: count('free', { scale: 60_000 }), block_ms: count('block', { least: 1 / 60, scale: 60_000 }),
    block_fee_fen: money('fee'), ride_cap_fen: money('ride'), day_cap_fen: money('day') }
  if (!form.reserve) return { rule: { ...rule, reserve_most_minutes: -1 }, wrong }
  const free = count('reserveFree', { most: 1440, whole: true })
  return { rule: { ...rule, reserve_most_minutes: count('reserveMost', { least: 1, most: 1440, whole: true }), reserve_free_minutes: free === 0 ? -1 : free,
    ...(money('reserveFee') > 0 && { reserve_fen_per_minute: money('reserveFee') }) }, wrong }
}
