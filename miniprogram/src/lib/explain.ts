// Turns whatever went wrong into a title, a sentence and what to do next.

import { Refusal } from './client'
import { Fault } from './platform'
import type { Words } from './words'

export interface Notice {
  title: string
  text: string
  /** What the one button beneath it does; the page knows how. Empty: none. */
  do: string
  label: string
  /** The stable word behind it, for staff on the phone. */
  code: string
}

/** What a button can help with, by code. */
const helps: Record<string, { do: string; label: (t: Words) => string }> = {
  balance_too_low: { do: 'wallet', label: (t) => t.device.topUp },
  debt_unpaid: { do: 'wallet', label: (t) => t.home.pay },
  too_many_live_orders: { do: 'live', label: (t) => t.home.toOrder },
  order_live: { do: 'live', label: (t) => t.home.toOrder },
  ticket_used: { do: 'live', label: (t) => t.home.toOrder },
  denied: { do: 'settings', label: (t) => t.common.settings },
}

const scanAgain = new Set([
  'ticket_invalid',
  'ticket_expired',
  'ticket_foreign',
  'ticket_stale',
  'code_stale',
  'too_far',
  'not_a_code',
  'code_foreign',
  'code_forged',
  'code_unknown',
  'code_revoked',
  'code_unbound',
  'outlet_busy',
  'outlet_open',
  'outlet_blocked',
  'outlet_reserved',
  'not_in_service',
  'device_offline',
  'battery_low',
  'no_tariff',
  'code_mistyped',
])

export function explainCode(code: string, t: Words): Notice {
  const known = (t.problem as Record<string, string[]>)[code] ?? (t.fail as Record<string, string[]>)[code] ?? t.problem.internal
  const help = helps[code] ?? (scanAgain.has(code) ? { do: 'scan', label: (w: Words) => w.home.scan } : undefined)
  return { title: known[0] ?? '', text: known[1] ?? '', do: help?.do ?? '', label: help?.label(t) ?? '', code }
}

export function explain(error: unknown, t: Words): Notice {
  if (error instanceof Refusal) return explainCode(error.code, t)
  if (error instanceof Fault) return explainCode(error.kind, t)
  return explainCode('internal', t)
}
