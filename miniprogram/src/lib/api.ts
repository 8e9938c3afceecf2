// The rider's routes, by name.

import { Client, type Handle, type Reply } from './client'
import type { Code } from './code'
import type { Debt, Me, Nearby, Order, Pass, HeldPass, Payment, Phone, Place, Preset, Reservation, Scan, Wallet } from './shapes'

export interface Page<T> {
  items: T[]
  next?: string
}

export interface PlaceBody {
  ticket: string
  pay_with: string
  preset?: Preset
  road?: 'bluetooth'
}

export class Api {
  constructor(readonly client: Client) {}

  async me(): Promise<Me> {
    return (await this.client.get<Me>('/v1/me')).body
  }

  /** A scan writes nothing, so it may be repeated. */
  async scan(code: Code, at?: Place): Promise<Scan> {
    return (await this.client.post<Scan>('/v1/scans', { body: at ? { ...code, location: at } : code })).body
  }

  async place(body: PlaceBody, key: string): Promise<Order> {
    return (await this.client.post<Order>('/v1/orders', { body, key, now: true })).body
  }

  async order(
    id: string,
    o: { etag?: string; seconds?: number; handle?: Handle; patience?: number } = {},
  ): Promise<Reply<Order>> {
    const headers: Record<string, string> = {}
    if (o.etag) headers['If-None-Match'] = o.etag
    if (o.etag && o.seconds) headers.Prefer = `wait=${o.seconds}`
    return this.client.get<Order>(`/v1/orders/${id}`, {
      headers,
      waits: 1000 * (o.seconds ?? 0),
      ...(o.handle ? { handle: o.handle } : {}),
      ...(o.patience === undefined ? {} : { patience: o.patience }),
    })
  }

  async act(id: string, what: 'end' | 'cancel' | 'pause' | 'resume' | 'ring', body?: object): Promise<Order | undefined> {
    const needsBody = what === 'cancel'
    return (
      await this.client.post<Order | undefined>(`/v1/orders/${id}/${what}`, {
        now: true,
        ...(what === 'resume' ? { key: this.client.platform.random() } : {}),
        patience: 12_000,
        ...(needsBody ? { body: body ?? {} } : {}),
      })
    ).body
  }

  async relay(id: string, words: string[]): Promise<Order> {
    return (await this.client.post<Order>(`/v1/orders/${id}/relay`, { body: { words } })).body
  }

  async orders(cursor?: string): Promise<Page<Order>> {
    const { body } = await this.client.get<{ orders: Order[]; next_cursor?: string }>(
      `/v1/me/orders?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`,
    )
    return body.next_cursor ? { items: body.orders, next: body.next_cursor } : { items: body.orders }
  }

  async wallet(): Promise<Wallet> {
    return (await this.client.get<Wallet>('/v1/me/wallet')).body
  }

  async debts(): Promise<{ debts: Debt[]; total_fen: number }> {
    return (await this.client.get<{ debts: Debt[]; total_fen: number }>('/v1/me/debts')).body
  }

  async payments(): Promise<Payment[]> {
    return (await this.client.get<{ payments: Payment[] }>('/v1/me/payments?limit=20')).body.payments
  }

  async topUp(amount: number, key: string): Promise<Payment> {
    return (await this.client.post<Payment>('/v1/me/topups', { body: { amount_fen: amount }, key })).body
  }

  async topUpState(id: string): Promise<Payment> {
    return (await this.client.get<Payment>(`/v1/me/topups/${id}`)).body
  }

  /** Amount 0: all that can go back. */
  async withdraw(amount: number, key: string): Promise<{ amount_fen: number; refunds: Payment[] }> {
    return (
      await this.client.post<{ amount_fen: number; refunds: Payment[] }>('/v1/me/withdrawals', {
        body: { amount_fen: amount },
        key,
      })
    ).body
  }

  async passes(): Promise<{ held: HeldPass[]; offered: Pass[] }> {
    return (await this.client.get<{ held: HeldPass[]; offered: Pass[] }>('/v1/me/passes')).body
  }

  async buyPass(pass: string, price: number, key: string): Promise<HeldPass> {
    return (await this.client.post<HeldPass>('/v1/me/passes', { body: { pass, price_fen: price }, key })).body
  }

  async nearby(at: Place, radius: number): Promise<Nearby> {
    return (await this.client.get<Nearby>(`/v1/nearby?lat=${at.lat}&lng=${at.lng}&datum=${at.datum}&radius_m=${radius}`)).body
  }

  async reserve(device: string, outlet: number, key: string): Promise<Reservation> {
    return (await this.client.post<Reservation>('/v1/reservations', { body: { device, outlet }, key })).body
  }

  async cancelReservation(id: string): Promise<void> {
    await this.client.post(`/v1/reservations/${id}/cancel`)
  }

  async fault(body: { number?: string; url?: string; kind: string; text?: string }): Promise<string> {
    return (await this.client.post<{ id: string }>('/v1/faults', { body })).body.id
  }

  async faultPhoto(id: string, file: string): Promise<void> {
    await this.client.upload(`/v1/faults/${id}/photo`, file, 'photo')
  }

  async phone(): Promise<Phone> {
    return (await this.client.get<Phone>('/v1/me/phone')).body
  }

  /** The code is of one use and good for five minutes. */
  async givePhone(code: string): Promise<Phone> {
    return (await this.client.post<Phone>('/v1/me/phone', { body: { code } })).body
  }

  async forgetPhone(): Promise<void> {
    await this.client.post('/v1/me/phone/forget')
  }

  async logout(): Promise<void> {
    await this.client.post('/v1/logout')
    this.client.forget()
  }

  async erase(): Promise<void> {
    await this.client.post('/v1/me/erase')
    this.client.forget()
  }
}
