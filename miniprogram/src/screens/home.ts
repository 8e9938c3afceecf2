// The start page: scan, type, look around, what is going on.

import { explainCode } from '../lib/explain'
import { toGcj02 } from '../lib/datum'
import { distance, fill, hour, yuan } from '../lib/format'
import { readEntry, type Query } from '../lib/code'
import { Fault } from '../lib/platform'
import { Screen } from '../lib/screen'
import { liveOf, pages } from '../lib/unlatch'
import type { NearbyDevice, Place, Venue } from '../lib/shapes'

/** Metres around the rider; a coarse location needs more. */
const radius = { precise: 600, fuzzy: 5000 }
const stationMarks = 100_000

export class HomeScreen extends Screen {
  private devices: NearbyDevice[] = []
  private venues: Venue[] = []
  private first = true
  private ending: (() => void) | undefined

  override words() {
    const t = this.app.t
    return { title: t.home.title, t: { home: t.home } }
  }

  override async open(query: Query): Promise<void> {
    this.show({
      live: '',
      reservation: null,
      debt: '',
      near: false,
      list: [],
      markers: [],
      lat: 0,
      lng: 0,
      nothing: '',
      typed: '',
    })
    const read = readEntry(query, this.app.config.domains) // a rule may lead here too
    if (read) {
      this.app.scanned = this.app.claim(query)
      this.app.platform.replace(pages.device)
    }
  }

  override async shown(): Promise<void> {
    if (this.app.scanned) return
    await this.standing()
    if (this.first && (await this.app.platform.mayLocate())) {
      this.first = false
      await this.near()
    }
  }

  override hidden(): void {
    this.ending?.()
  }

  /** Where the rider stands: a live order, a reservation, what is unpaid. */
  private async standing(anew = false): Promise<void> {
    const t = this.app.t.home
    const [me, debts] = await Promise.all([this.app.look(anew), this.app.api.debts()])
    const r = me.reservation
    if (r) this.at(r.venue.id)
    this.ending?.()
    if (r)
      this.ending = this.app.platform.after(
        Math.max(1000, Date.parse(r.expires_at) - this.app.client.now()),
        () => void this.guarded(() => this.standing(true)),
      )
    const due = debts.debts.filter((d) => d.blocks).reduce((sum, d) => sum + d.amount_fen, 0)
    this.show({
      live: liveOf(me)?.id ?? '',
      debt: due > 0 ? fill(t.debt, { amount: yuan(due) }) : '',
      reservation: r
        ? {
            id: r.id,
            title: fill(t.reserved, { kind: this.app.t.common[r.kind], device: r.number ?? r.device }),
            text: fill(r.fee_per_minute_fen > 0 ? t.reservedUntil : t.reservedFree, {
              time: hour(r.expires_at),
              free: hour(r.free_until),
              fee: yuan(r.fee_per_minute_fen),
            }),
            route: r.lat !== undefined && r.lng !== undefined ? placeOf(toGcj02(r.lat, r.lng), r.device) : '',
          }
        : null,
    })
  }

  protected override async act(what: string, value: string): Promise<void> {
    const { api, platform: p, t } = this.app
    switch (what) {
      case 'retry':
        return this.standing(true)
      case 'type':
        return this.show({ typed: value })
      case 'number': {
        const read = readEntry({ number: value }, [])
        if (!read?.code) return this.show({ notice: { ...explainCode(read?.wrong ?? 'not_a_code', t), do: '', label: '' } })
        this.app.scanned = read
        return p.go(pages.device)
      }
      case 'scanner':
        return this.scan()
      case 'near':
        return this.near()
      case 'marker':
        return this.mark(Number(value))
      case 'reserve': {
        const key = p.random()
        if (!(await p.ask(fill(t.home.reserveAsk, { device: value }), t.home.reserveText, t.common.yes, t.common.no))) return
        const r = await api.reserve(value, 1, key)
        this.app.met(r.venue)
        await this.standing(true)
        return this.near()
      }
      case 'release':
        await api.cancelReservation(value)
        return this.standing(true)
      case 'route': {
        const [lat, lng, name] = value.split(' ')
        return p.openMap(Number(lat), Number(lng), name ?? '')
      }
      case 'order':
        return p.go(pages.order, { id: value })
      case 'go':
        if (value in pages) p.go(pages[value as keyof typeof pages])
    }
  }

  /** Asks for the location, now that it is used. */
  private async near(): Promise<void> {
    let at: Place
    try {
      at = await this.app.platform.locate()
    } catch (e) {
      if (!(e instanceof Fault) || e.kind !== 'denied') throw e
      return this.show({ notice: { ...explainCode('denied', this.app.t), text: this.app.t.home.denied } })
    }
    const within = radius[this.app.config.location]
    const found = await this.app.api.nearby(at, within)
    this.devices = found.devices
    this.venues = found.venues ?? []
    for (const v of this.venues) this.app.met(v)
    this.draw(at, within)
  }

  private draw(at: Place, within: number): void {
    const t = this.app.t
    const list = this.devices.map((d, i) => ({
      id: d.id,
      mark: i,
      title: `${t.common[d.kind]} ${d.id}`,
      facts: [
        distance(d.distance_m, t),
        ...(d.kind === 'pump' ? [fill(t.home.available, { n: d.outlets_available })] : []),
        ...(d.battery !== undefined ? [fill(t.home.battery, { n: d.battery })] : []),
        this.app.venues.get(d.venue)?.name ?? '',
      ].filter((f) => f !== ''),
      reserve: d.kind === 'lock',
      route: placeOf(d, d.id),
      chosen: false,
    }))
    const pin = (id: number, lat: number, lng: number, kind: string, label: string) => ({
      id,
      latitude: lat,
      longitude: lng,
      iconPath: `/images/${kind}.png`,
      width: 24,
      height: 24,
      ariaLabel: label,
    })
    const markers = [
      ...this.devices.map((d, i) => pin(i, d.lat, d.lng, d.kind, list[i]?.title ?? '')),
      ...this.venues.map((v, i) => pin(stationMarks + i, v.lat, v.lng, 'venue', fill(t.home.venue, { name: v.name }))),
    ]
    this.show({
      near: true,
      list,
      markers,
      lat: at.lat,
      lng: at.lng,
      nothing: list.length === 0 ? fill(t.home.nothing, { distance: distance(within, t) }) : '',
    })
  }

  /** A mark on the map is the row in the list. */
  private mark(id: number): void {
    const venue = this.venues[id - stationMarks]
    if (venue) this.at(venue.id)
    else this.show(Object.fromEntries(this.devices.map((_, i) => [`list[${i}].chosen`, i === id])))
  }
}

/** What a button that shows the way carries. */
function placeOf(at: { lat: number; lng: number }, name: string): string {
  return `${at.lat} ${at.lng} ${name}`
}
