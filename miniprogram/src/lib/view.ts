// What a rider sees of an order: a pure function of the order, the moment and what the phone is doing.
//
// It says "unlocked" in state active alone, for only that is proved by the lock's word. Before it the words are
// "asking" and "checking", each with the moment at which the wait ends at the latest.

import { clock, fill, hour, litres, yuan } from './format'
import { receiptOf, refundsOf, type Receipt } from './receipt'
import type { Order, Payment } from './shapes'
import type { Words } from './words'

export type Stage =
  | 'pay'
  | 'confirm'
  | 'relay'
  | 'starting'
  | 'checking'
  | 'cancelling'
  | 'riding'
  | 'closing'
  | 'paused'
  | 'resuming'
  | 'lift'
  | 'fuelling'
  | 'stopping'
  | 'deciding'
  | 'receipt'
  | 'void'

export interface Button {
  do: string
  label: string
  kind: 'main' | 'plain' | 'grave'
}

export interface View {
  stage: Stage
  title: string
  text: string
  /** A large figure, read out with its label; empty: none. */
  figure: string
  figureLabel: string
  /** A second one. */
  money: string
  moneyNote: string
  /** Shown as a bar that moves: something is awaited. */
  waiting: boolean
  warning: string
  buttons: Button[]
  receipt: Receipt | null
  refunds: string[]
  history: string[]
  done: boolean
}

/** What the phone itself does for this order. */
export interface Doing {
  /** Result of the newest payment window. */
  pay: '' | 'waiting' | 'cancelled' | 'failed'
  relay: '' | 'connecting' | 'carrying'
  /** The lock can be reached over Bluetooth. */
  bluetooth: boolean
  notified: boolean
  notifies: boolean
}

/** Milliseconds of silence after which Bluetooth is offered. */
export const silentAfter = 4000

/** The payment that this order waits for, newest first. */
export function openPayment(o: Order): Payment | undefined {
  return [...(o.payments ?? [])].reverse().find((p) => p.road !== 'refund' && (p.state === 'created' || p.state === 'open'))
}

export function stageOf(o: Order): Stage {
  switch (o.state) {
    case 'pending':
      if (o.next.what === 'wait_for_relay') return 'relay'
      if (o.next.what === 'wait_for_cancellation') return 'cancelling'
      return o.next.what === 'wait_for_confirmation' ? 'confirm' : 'pay'
    case 'starting':
      return o.cancelling ? 'cancelling' : 'starting'
    case 'unresolved':
      return o.cancelling ? 'cancelling' : 'checking'
    case 'active':
      if (o.kind === 'pump') {
        if (o.cancelling) return 'stopping'
        return o.live && (o.live.millilitres > 0 || ['started', 'fuelling', 'suspended', 'complete'].includes(o.live.state))
          ? 'fuelling'
          : 'lift'
      }
      if (o.pause?.state === 'asked') return 'closing'
      if (o.pause?.state === 'paused') return 'paused'
      return o.pause?.state === 'resuming' ? 'resuming' : 'riding'
    case 'ended':
      return 'deciding'
    case 'settled':
      return 'receipt'
    case 'voided':
      return 'void'
  }
}

export function viewOf(o: Order, now: number, doing: Doing, t: Words): View {
  const stage = stageOf(o)
  const w = t.order
  const due = o.next.due_at ? hour(o.next.due_at) + seconds(o.next.due_at) : '…'
  const v: View = {
    stage,
    title: '',
    text: '',
    figure: '',
    figureLabel: '',
    money: '',
    moneyNote: '',
    waiting: false,
    warning: '',
    buttons: [],
    receipt: null,
    refunds: [],
    history: [],
    done: false,
  }
  const main = (act: string, label: string) => v.buttons.push({ do: act, label, kind: 'main' })
  const plain = (act: string, label: string) => v.buttons.push({ do: act, label, kind: 'plain' })
  const grave = (act: string, label: string) => v.buttons.push({ do: act, label, kind: 'grave' })
  const pump = o.kind === 'pump'
  const offerBluetooth = () => {
    if (!doing.bluetooth || doing.relay !== '') return
    if (stage === 'relay' || stage === 'checking' || (stage === 'starting' && now - Date.parse(o.created_at) > silentAfter))
      plain('bluetooth', w.bluetooth)
  }

  switch (stage) {
    case 'pay': {
      const open = openPayment(o)
      v.title = fill(w.pay, { amount: yuan(open?.amount_fen ?? o.hold_fen) })
      v.text = fill(w.payText, { time: due })
      v.waiting = !open?.request || doing.pay === 'waiting'
      if (doing.pay === 'cancelled') v.warning = w.payCancelled
      if (doing.pay === 'failed') v.warning = w.payFailed
      if (doing.pay === 'waiting') v.text = w.paySeen
      else if (open?.request) main('pay', v.title)
      else v.text = w.payWait
      plain('cancel', w.cancel)
      break
    }
    case 'confirm':
      v.title = w.confirm
      v.text = doing.pay === 'waiting' ? w.confirmSeen : fill(w.confirmText, { time: due })
      v.waiting = doing.pay === 'waiting' || !openPayment(o)?.package
      if (openPayment(o)?.package) main('confirm', w.confirm)
      plain('instead', w.instead)
      plain('cancel', w.cancel)
      break
    case 'relay':
      v.title = w.relay
      v.text = w.relayText
      v.waiting = true
      offerBluetooth()
      plain('cancel', w.cancel)
      break
    case 'starting':
      v.title = pump ? w.startingPump : w.starting
      v.text = fill(pump ? w.startingPumpText : w.startingText, { time: due })
      v.waiting = true
      offerBluetooth()
      plain('cancel', w.cancel)
      break
    case 'checking':
      v.title = w.checking
      v.text = fill(pump ? w.checkingPumpText : w.checkingText, { time: due })
      v.waiting = true
      offerBluetooth()
      plain('cancel', w.cancel)
      break
    case 'cancelling':
      v.title = w.cancelling
      v.text = w.cancellingText
      v.waiting = true
      break
    case 'riding':
    case 'closing':
    case 'paused':
    case 'resuming':
      riding(v, o, stage, now, w, { main, plain, grave }, doing)
      break
    case 'lift':
      v.title = fill(w.lift, { grade: o.preset?.grade ?? '' })
      v.text = fill(w.liftText, { amount: yuan(o.hold_fen) })
      v.waiting = true
      grave('end', w.stop)
      plain('fault', w.fault)
      break
    case 'fuelling':
    case 'stopping':
      v.title = stage === 'stopping' ? w.stopping : w.fuelling
      v.text = stage === 'stopping' ? w.stoppingText : w.hangUp
      v.waiting = true
      if (o.live) {
        v.figure = litres(o.live.millilitres)
        v.figureLabel = t.order.volume
        v.money = yuan(o.live.amount_fen)
        v.moneyNote = w.live
        if (o.live.stale) v.warning = fill(w.stale, { amount: yuan(o.hold_fen) })
      }
      if (stage === 'fuelling') {
        grave('end', w.stop)
        plain('fault', w.fault)
      }
      break
    case 'deciding':
      v.title = w.deciding
      v.text = fill(w.decidingText, { amount: yuan(o.hold_fen) })
      plain('fault', w.fault)
      break
    case 'receipt':
      v.title = w.receipt
      v.text = o.ended_at ? fill(w.ended, { time: hour(o.ended_at) }) : ''
      v.receipt = receiptOf(o, t)
      v.money = v.receipt.total
      v.done = true
      if (o.debt_fen > 0) main('wallet', fill(t.wallet.payDebt, { amount: yuan(o.debt_fen) }))
      if ((o.payments ?? []).some((p) => p.road === 'score' && (p.state === 'completing' || p.state === 'collecting')))
        v.warning = fill(w.collecting, { amount: v.receipt.total })
      break
    case 'void':
      v.title = w.voided
      v.text = (t.voided as Record<string, string>)[o.reason ?? ''] ?? t.voided.other
      if (o.unproven) v.warning = w.unproven
      else if (o.pay_with === 'wallet' && o.hold_fen > 0) v.warning = w.released
      v.done = true
      main('again', w.again)
      break
  }
  if (doing.notifies && !v.done && (stage === 'riding' || stage === 'fuelling' || stage === 'paused')) {
    plain(doing.notified ? '' : 'notify', doing.notified ? w.notified : w.notify)
  }
  if (doing.relay !== '') v.warning = doing.relay === 'connecting' ? w.connecting : w.carrying
  v.refunds = refundsOf(o, t)
  if (v.done) {
    v.history = (o.timeline ?? []).map(
      (s) => `${hour(s.at)}${seconds(s.at)} ${(t.step as Record<string, string>)[s.state] ?? s.state}`,
    )
    plain('fault', w.fault)
  }
  return v
}

type Buttons = Record<'main' | 'plain' | 'grave', (act: string, label: string) => void>

function riding(
  v: View,
  o: Order,
  stage: 'riding' | 'closing' | 'paused' | 'resuming',
  now: number,
  w: Words['order'],
  b: Buttons,
  doing: Doing,
): void {
  const from = Date.parse(o.active_at ?? o.created_at)
  v.figure = clock(o.running ? o.running.seconds + (now - Date.parse(o.running.at)) / 1000 : (now - from) / 1000)
  v.figureLabel = w.elapsed
  if (o.running) {
    v.money = fill(w.soFar, { amount: yuan(o.running.fen) })
    v.moneyNote = w.soFarText
  }
  const until = o.pause ? hour(o.pause.until) + seconds(o.pause.until) : ''
  const carry = () => {
    if (doing.bluetooth && doing.relay === '' && o.relay) b.plain('bluetooth', w.bluetoothEnd)
  }
  switch (stage) {
    case 'riding':
      v.title = w.riding
      v.text = w.ridingText
      b.main('pause', w.pause)
      b.plain('ring', w.ring)
      b.plain('end', w.end)
      carry()
      break
    case 'closing':
      v.title = w.closeToPause
      v.text = fill(w.closeToPauseText, { time: until })
      v.waiting = true
      b.plain('resume', w.undoPause)
      b.plain('ring', w.ring)
      carry()
      break
    case 'paused':
      v.title = w.paused
      v.text = fill(w.pausedText, { time: until })
      if (o.pause?.reason) v.warning = w.resumeFailed
      b.main('resume', w.resume)
      b.grave('end', w.endNow)
      b.plain('ring', w.ring)
      break
    case 'resuming':
      v.title = w.resuming
      v.text = w.resumingText
      v.waiting = true
      carry()
      break
  }
  b.plain('fault', w.fault)
}

function seconds(time: string): string {
  return `:${String(new Date(time).getSeconds()).padStart(2, '0')}`
}
