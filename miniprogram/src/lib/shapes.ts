// The server's JSON, as api/openapi.json has it. Amounts are Fen, volumes millilitres, times RFC 3339.

export type Kind = 'lock' | 'pump'
export type State = 'pending' | 'starting' | 'unresolved' | 'active' | 'ended' | 'settled' | 'voided'

export interface Problem {
  code: string
  detail: string
  title: string
  status: number
}

export interface VenueCard {
  id: string
  name: string
  phone?: string
}

export interface Bluetooth {
  service: string
  name: string
}

export interface Nozzle {
  nozzle?: number
  grade: string
  [more: string]: unknown
}

export interface DeviceCard {
  id: string
  kind: Kind
  outlet: number
  number: string
  availability: string
  venue: VenueCard
  distance_m?: number
  battery?: number
  nozzles?: Nozzle[]
  code: 'printed' | 'rotating'
  bluetooth?: Bluetooth
}

export interface FuelGrade {
  grade: string
  name: string
  unit_price: number
}

export interface FuelRule {
  grades: FuelGrade[]
  least_amount_fen: number
  most_amount_fen: number
  most_millilitres: number
}

export interface TariffCard {
  id: string
  version: number
  name: string
  least_fen: number
  unlock_fee_fen?: number
  free_ms?: number
  block_ms?: number
  block_fee_fen?: number
  ride_cap_fen?: number
  day_cap_fen?: number
  fuel?: FuelRule
  text: { en: string[]; 'zh-CN': string[] }
}

export interface HeldPass {
  id: string
  name: string
  until: string
  budget_left_ms?: number
  [more: string]: unknown
}

export interface Scan {
  ticket: string
  expires_at: string
  device: DeviceCard
  tariff: TariffCard
  pay_with?: string[]
  pass?: HeldPass
}

export interface Preset {
  grade?: string
  amount_fen?: number
  millilitres?: number
}

export interface PayRequest {
  timeStamp: string
  nonceStr: string
  package: string
  signType: string
  paySign: string
}

export interface Payment {
  id: string
  for: 'topup' | 'order' | 'payback'
  road: 'transaction' | 'score' | 'refund'
  state: 'created' | 'open' | 'confirmed' | 'completing' | 'collecting' | 'closing' | 'abnormal' | 'paid' | 'closed'
  amount_fen: number
  moved_fen: number
  back_fen?: number
  created_at: string
  expires_at?: string
  done_at?: string
  order?: string
  package?: string
  request?: PayRequest
}

export interface QuoteLine {
  kind: string
  quantity: number
  unit_fen: number
  unit_price?: number
  grade?: string
  amount_fen: number
  note?: string
  tariff: string
  evidence: string[]
}

export interface Order {
  id: string
  state: State
  kind: Kind
  device: string
  outlet: number
  venue: string
  venue_card?: VenueCard
  pay_with: string
  payments?: Payment[]
  hold_fen: number
  preset?: Preset
  live?: { amount_fen: number; millilitres: number; at: string; stale: boolean; state: string; proven: boolean }
  fuel?: { grade: string; millilitres: number; amount_fen: number; limit_fen: number }
  quote: { total_fen: number; lines: QuoteLine[] }
  charged_fen: number
  debt_fen: number
  refunded_fen: number
  reason?: string
  ended_by?: string
  measured?: string
  unproven: boolean
  cancelling: boolean
  created_at: string
  active_at?: string
  ended_at?: string
  done_at?: string
  timeline?: { at: string; state: string; input: string; by: string }[]
  next: { what: string; due_at?: string }
  version: number
  running?: { seconds: number; fen: number; at: string }
  pause?: { state: 'asked' | 'paused' | 'resuming'; until: string; reason?: string }
  relay?: { send: string[] }
}

export interface Reservation {
  id: string
  device: string
  outlet: number
  kind: Kind
  venue: VenueCard
  number?: string
  lat?: number
  lng?: number
  state: 'held' | 'used' | 'expired' | 'cancelled'
  created_at: string
  expires_at: string
  free_until: string
  fee_per_minute_fen: number
  fee_fen: number
}

export interface Me {
  id: string
  live_orders: Order[]
  reservation?: Reservation
}

export interface Wallet {
  balance_fen: number
  held_fen: number
  available_fen: number
  debt_fen: number
}

export interface Debt {
  order: string
  amount_fen: number
  blocks: boolean
  by: 'topup' | 'pay_score'
  since: string
  next_at?: string
}

export interface NearbyDevice {
  id: string
  kind: Kind
  lat: number
  lng: number
  distance_m: number
  battery?: number
  outlets_available: number
  venue: string
}

export interface Venue extends VenueCard {
  lat: number
  lng: number
}

export interface Nearby {
  devices: NearbyDevice[]
  venues?: Venue[]
}

export interface Pass {
  id: string
  name: string
  kind: Kind
  days: number
  price_fen: number
  unlock_free?: boolean
  ride_free_ms?: number
  budget_ms?: number
  on_sale: boolean
}

/** The number that the rider gave, so that staff find them by it. */
export interface Phone {
  given: boolean
  /** Its last four digits. */
  ends?: string
}

export interface Place {
  lat: number
  lng: number
  datum: 'wgs84' | 'gcj02'
}
