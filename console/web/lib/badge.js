// States as colour, icon and word together.
import { html } from './html.js'
import { Icon } from './icons.js'
import { tCode } from './words.js'

/**
 * Tone and icon by state. Tones: ok green, busy blue, warn amber, bad red, off grey.
 * @type {Record<string, [string, string]>}
 */
export const tones = {
  // outlets and devices
  available: ['ok', 'ok'], in_use: ['busy', 'moving'], reserved: ['busy', 'reserved'], unresolved: ['bad', 'unknown'], blocked: ['bad', 'blocked'],
  offline: ['off', 'offline'], online: ['ok', 'online'], stopped: ['bad', 'stop'], never_heard: ['off', 'unknown'],
  non_operational: ['off', 'minus'], non_contactable: ['off', 'offline'], missing: ['bad', 'unknown'], removed: ['off', 'minus'],
  in_service: ['ok', 'ok'], maintenance: ['warn', 'fault'], out_of_service: ['bad', 'blocked'], retired: ['off', 'minus'],
  // orders
  pending: ['busy', 'clock'], starting: ['busy', 'clock'], active: ['busy', 'moving'], ended: ['warn', 'clock'], settled: ['ok', 'check'], voided: ['off', 'x'],
  // commands
  published: ['busy', 'clock'], executed: ['ok', 'ok'], rejected: ['bad', 'bad'], not_executed: ['off', 'x'], waiting: ['warn', 'clock'], lost: ['bad', 'bad'],
  // pumps
  idle: ['ok', 'ok'], calling: ['warn', 'nozzle'], authorised: ['busy', 'check'], started: ['busy', 'nozzle'], fuelling: ['busy', 'drop'], suspended: ['warn', 'pause'], complete: ['ok', 'check'], armed: ['warn', 'nozzle'], lifted: ['busy', 'nozzle'], delivering: ['busy', 'drop'], paused: ['warn', 'pause'], fault: ['bad', 'bad'],
  // alarms, items, jobs, payments
  critical: ['bad', 'bad'], warning: ['warn', 'warn'], open: ['warn', 'item'], closed: ['off', 'check'], acknowledged: ['busy', 'check'], snoozed: ['off', 'clock'], cleared: ['ok', 'ok'],
  running: ['busy', 'clock'], done: ['ok', 'ok'], halted: ['bad', 'stop'], failed: ['bad', 'bad'], blocks: ['bad', 'blocked'], warns: ['warn', 'warn'], ok: ['ok', 'ok'],
  paid: ['ok', 'ok'], refunded: ['off', 'history'], declined: ['off', 'x'], approved: ['ok', 'ok'],
  enabled: ['ok', 'ok'], disabled: ['off', 'minus'], revoked: ['off', 'x'], current: ['ok', 'ok'],
  yes: ['ok', 'ok'], no: ['bad', 'bad'], unknown: ['off', 'unknown'], info: ['busy', 'info'], bad: ['bad', 'bad'], warn: ['warn', 'warn'], off: ['off', 'minus'], busy: ['busy', 'clock'],
}

/**
 * A state: colour, icon and word. The word is that of `state.` + state unless given.
 * @param {{state?: string, word?: any, tone?: string, icon?: string, title?: string}} props
 */
export function Badge({ state = 'unknown', word, tone, icon, title }) {
  const [usualTone, usualIcon] = tones[state] ?? ['off', 'unknown']
  return html`<span class=${'badge ' + (tone ?? usualTone)} title=${title}><${Icon} name=${icon ?? usualIcon} /><span>${word ?? tCode('state', state)}</span></span>`
}
