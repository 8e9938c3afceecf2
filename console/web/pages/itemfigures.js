// What the detail of an open item says, as a key of words and its figures. The server
// writes details once, in English; the console says the same in the language in use.
// Pure: no imports.

const yuan = '(-?[\\d.]+)', number = '(\\S+)'

// By kind: a pattern of the detail, the key of its words, and what the pattern's groups
// are. A name's end tells its unit: _ml, _yuan, _fen, _at; word and state are words.
/** @type {Record<string, Array<[string, string, ...string[]]>>} */
const said = {
  voided_without_proof: [['again after a pause$', 'silent_pause'], ['never said whether it opened$', 'silent']],
  ride_never_ended: [['the longest time allowed$', 'longest']],
  evidence_quarantined: [['^late: (\\w+)$', 'word_late', 'word'], ['^(\\w+)$', 'word', 'word']],
  evidence_of_earlier_epoch: [['^(\\w+)$', 'word', 'word']],
  executed_after_void: [['it opened after the order was (\\w+)$', 'opened_after', 'state'], ['a whole use after the order was (\\w+)$', 'used_after', 'state']],
  fuel_unbilled: [['^(\\d+) ml flowed in an order that was voided', 'flowed_void', 'n_ml'], ['second end of it, of (\\d+) ml; (\\d+) ml were billed', 'second_end', 'n_ml', 'billed_ml'],
    [`^(\\d+) ml came to ${yuan} yuan, ${yuan} was billed before`, 'flowed_more', 'n_ml', 'n_yuan', 'billed_yuan'], [`^(\\d+) ml came to ${yuan} yuan, the limit was ${yuan}`, 'flowed_over', 'n_ml', 'n_yuan', 'limit_yuan']],
  bill_needs_decision: [[`^the pump says (\\d+) ml and ${yuan} yuan; at its price that is ${yuan}`, 'doubt_price', 'n_ml', 'n_yuan', 'right_yuan'], ['^the pump says (\\d+) ml and states no totalisers', 'doubt_none', 'n_ml'],
    ['^the pump says (\\d+) ml, and its totalisers moved by (-?\\d+)', 'doubt_meter', 'n_ml', 'moved_ml'], ['is lost, and its totalisers moved by (-?\\d+) ml', 'doubt_lost', 'moved_ml']],
  outcome_unknown: [['^power was lost', 'power']],
  evidence_lost: [['^evidence (\\d+) to (\\d+) ', 'lost', 'from', 'to']],
  restored_from_backup: [['^the device burned numbers', 'burned'], [`is the backup of ${number}; what happened until ${number} is`, 'backup', 'from_at', 'to_at']],
  flash_replaced: [['^the journal is a new one', 'journal']],
  evidence_contradicts: [['came with two contents', 'contents']],
  parked_outside: [['outside of the venue', 'outside']],
  totaliser_gap: [['^(-?\\d+) ml that no sale', 'unsold', 'n_ml']],
  alarm: [['^a hand released it before', 'released']],
  payment_mismatch: [[`tells of number ${number} \\(.*, ${yuan} yuan\\), which is none of ours`, 'pay_stranger', 'number', 'n_yuan'], [`word on number ${number}:`, 'pay_word', 'number'],
    [`knows no number ${number}, and ours is .*, ${yuan} yuan`, 'pay_unknown', 'number', 'n_yuan'], [`refuses number ${number}, ${yuan} yuan, while`, 'pay_refused', 'number', 'n_yuan'],
    [`has number ${number} \\w+, and it was never billed`, 'pay_unbilled', 'number'], [`closed number ${number}; ${yuan} yuan of it were billed to its rider`, 'pay_uncollected', 'number', 'n_yuan'],
    [`closed number ${number}, and ours is`, 'pay_closed', 'number'], [`bill of ${yuan} yuan cannot be collected`, 'pay_uncollectable', 'n_yuan']],
  refund_stuck: [[`^refund of ${yuan} yuan, number ${number}, was closed`, 'back_closed', 'n_yuan', 'number'], [`^refund of ${yuan} yuan, number ${number}, cannot reach`, 'back_unreached', 'n_yuan', 'number'],
    [`^refund of ${yuan} yuan, number ([^\\s:]+):`, 'back_refused', 'n_yuan', 'number'], [`^${yuan} yuan cannot go back`, 'back_nowhere', 'n_yuan']],
  wechat_setup: [['keys, permissions or ids', 'setup']],
  bill_difference: [['^the bill has (\\d+) fen for a number', 'bill_stranger', 'n_fen'], ['^the bill has (\\d+) fen \\(.*\\), the ledger (\\d+)', 'bill_other', 'n_fen', 'ledger_fen'],
    ['^the ledger has (\\d+) fen, the bill nothing', 'bill_nothing', 'n_fen']],
  bill_missing: [['could not be had for half a day', 'bill_half_day']],
  disk_low: [['^(\\d+) MiB are free in (.+), and (\\d+) are kept', 'disk', 'free', 'dir', 'kept']],
}

/**
 * figuresOf reads a detail; null: it is not of this console's time, or somebody's own words.
 * @param {string} kind @param {string} detail
 * @returns {{key: string, figures: Record<string, string>, nozzles: Array<{nozzle: string, from_ml: string, to_ml: string}>} | null}
 */
export function figuresOf(kind, detail) {
  for (const [pattern, key, ...names] of said[kind] ?? []) {
    const found = new RegExp(pattern).exec(detail)
    if (!found) continue
    return { key, figures: Object.fromEntries(names.map((name, i) => [name, found[i + 1]])),
      nozzles: kind !== 'totaliser_gap' ? [] : Array.from(detail.matchAll(/nozzle (\d+) went from (\d+) to (\d+) ml/g), ([, nozzle, from_ml, to_ml]) => ({ nozzle, from_ml, to_ml })) }
  }
  return null
}
