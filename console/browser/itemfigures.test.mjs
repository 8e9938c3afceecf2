// What the console reads out of the details of open items, by details as the server
// writes them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const read = path => readFileSync(new URL(path, import.meta.url), 'utf8')
const { figuresOf } = await import('data:text/javascript,' + encodeURIComponent(read('../web/pages/itemfigures.js')))
const words = read('../web/words/items.js')

const details = [
  ['voided_without_proof', 'the device never said whether it opened', 'silent', {}],
  ['voided_without_proof', 'the device never said whether it opened again after a pause', 'silent_pause', {}],
  ['evidence_quarantined', 'late: executed', 'word_late', { word: 'executed' }],
  ['executed_after_void', 'the device proved that it opened after the order was voided', 'opened_after', { state: 'voided' }],
  ['fuel_unbilled', '1200 ml came to 9.12 yuan, the limit was 9.00', 'flowed_over', { n_ml: '1200', n_yuan: '9.12', limit_yuan: '9.00' }],
  ['bill_needs_decision', 'the pump says 5000 ml and 40.00 yuan; at its price that is 38.15', 'doubt_price', { n_ml: '5000', n_yuan: '40.00', right_yuan: '38.15' }],
  ['evidence_lost', 'evidence 4 to 9 is below what the device still holds', 'lost', { from: '4', to: '9' }],
  ['totaliser_gap', '-30 ml that no sale accounts for', 'unsold', { n_ml: '-30' }],
  ['payment_mismatch', 'WeChat tells of number up12 (paid, 3.00 yuan), which is none of ours', 'pay_stranger', { number: 'up12', n_yuan: '3.00' }],
  ['payment_mismatch', 'WeChat refuses number up12, 3.00 yuan, while it is open: PARAM_ERROR', 'pay_refused', { number: 'up12', n_yuan: '3.00' }],
  ['refund_stuck', 'refund of 3.00 yuan, number re12: balance too low', 'back_refused', { n_yuan: '3.00', number: 're12' }],
  ['refund_stuck', 'refund of 3.00 yuan, number re12, was closed (x); try it again when its cause is gone', 'back_closed', { n_yuan: '3.00', number: 're12' }],
  ['bill_difference', 'the bill has 300 fen (SUCCESS), the ledger 200; the payment is paid', 'bill_other', { n_fen: '300', ledger_fen: '200' }],
  ['disk_low', '90 MiB are free in /var/lib/unlatch, and 512 are kept for what runs; riders can start nothing until there is more', 'disk', { free: '90', dir: '/var/lib/unlatch', kept: '512' }],
]

test('what the server says is said in both languages, with its figures', () => {
  for (const [kind, detail, key, figures] of details) {
    const found = figuresOf(kind, detail)
    assert.equal(found?.key, key, detail)
    assert.deepEqual(found.figures, figures, detail)
    const said = Array.from(words.matchAll(new RegExp(`'says\\.${key}': '(.*)',`, 'g')), m => m[1])
    assert.equal(said.length, 2, `${key} is said in ${said.length} languages`)
    for (const text of said) for (const name of Object.keys(figures)) assert.ok(text.includes(`{${name}}`), `${text} leaves ${name} out`)
  }
  const gap = figuresOf('totaliser_gap', '40 ml that no sale accounts for; nozzle 1 went from 100 to 120 ml; nozzle 2 went from 5 to 25 ml')
  assert.deepEqual(gap.nozzles, [{ nozzle: '1', from_ml: '100', to_ml: '120' }, { nozzle: '2', from_ml: '5', to_ml: '25' }])
})

test('somebody’s own words stay as they are', () => {
  for (const [kind, detail] of [['emergency_stop', 'smoke at pump 2'], ['fault_reported', 'brakes: they squeal'], ['test', 'x'], ['totaliser_gap', 'something of another version']]) assert.equal(figuresOf(kind, detail), null)
})
