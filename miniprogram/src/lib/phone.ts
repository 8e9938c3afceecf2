// The rider's own number, given or not, as its card says it.

import { fill } from './format'
import type { Phone } from './shapes'
import type { Words } from './words'

export interface PhoneCard {
  text: string
  /** The words on WeChat's phone button; empty: it is not shown. */
  give: string
  take: string
}

/** Nothing where none was given and none is asked for: what was given can be taken back even where nobody asks any more. */
export function phoneCard(phone: Phone, asked: boolean, t: Words): PhoneCard | null {
  if (phone.given) return { text: fill(t.number.ends, { ends: phone.ends ?? '' }), give: '', take: t.number.take }
  return asked ? { text: t.number.why, give: t.number.give, take: '' } : null
}
