// Orders as the server shows them, for tests of what riders see.

import type { Order } from '../src/lib/shapes'

export function anOrder(change: Partial<Order> = {}): Order {
  return {
    id: '0199',
    state: 'starting',
    kind: 'lock',
    device: 'bike-1',
    outlet: 1,
    venue: 'campus',
    pay_with: 'wallet',
    hold_fen: 2000,
    quote: { total_fen: 0, lines: [] },
    charged_fen: 0,
    debt_fen: 0,
    refunded_fen: 0,
    unproven: false,
    cancelling: false,
    created_at: '2026-11-23T08:00:00Z',
    next: { what: 'wait_for_device', due_at: '2026-11-23T08:00:15Z' },
    version: 1,
    ...change,
  }
}
