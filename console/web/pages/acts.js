// What staff can do with a device: each asks first, says what will happen, shows how it
// goes and offers the same as a command line.
import { html, signal } from '../lib/html.js'
import { get, post } from '../lib/api.js'
import { go, staying } from '../lib/router.js'
import { confirmAct, Field, Select, toast } from '../lib/ui.js'
import { t } from '../lib/words.js'
import { newKey } from './desk.js'
import { Place } from './place.js'

/**
 * @param {any} d the device
 * @param {{again: () => void, onUnlock: (order: string) => void}} page again: read it anew; onUnlock: a start is on its way
 */
export function actsOf(d, { again, onUnlock }) {
  const path = '/devices/' + encodeURIComponent(d.id), pump = d.kind === 'pump'
  const done = (answer, said) => { if (answer !== undefined) { toast(said); again() } return answer }

  return {
    /** Rings, probes or stops an outlet. @param {string} kind @param {number} [outlet] */
    async command(kind, outlet = 1) {
      const n = signal(String(outlet))
      const body = () => ({ kind, outlet: Number(n.value) })
      done(await confirmAct({ title: t('device.' + kind), text: t(`device.${kind}${pump && kind === 'stop' ? '.pump' : ''}.text`), reason: true,
        curl: { method: 'POST', path: path + '/commands', get body() { return body() } },
        children: html`<${WhichOutlet} device=${d} n=${n} />`,
        run: reason => post(path + '/commands', { ...body(), reason }) }), t('device.asked', { what: t('device.' + kind) }))
    },

    /** Opens or arms for staff. @param {number} [outlet] */
    async unlock(outlet = 1) {
      const n = signal(String(outlet)), grade = signal(d.outlets[0]?.nozzles?.[0]?.grade ?? ''), ml = signal('5'), key = newKey(), here = staying()
      const body = () => ({ device: d.id, outlet: Number(n.value), ...(pump && { preset: { grade: grade.value, millilitres: Math.round(Number(ml.value.replace(',', '.')) * 1000) } }) })
      const order = await confirmAct({ title: t(pump ? 'device.unlock.pump' : 'device.unlock'), text: t('device.unlock.text'), reason: true,
        curl: { method: 'POST', path: '/orders', get body() { return body() } },
        children: html`<${WhichOutlet} device=${d} n=${n} />${pump && html`<${Test} device=${d} n=${n} grade=${grade} ml=${ml} />`}`,
        run: reason => post('/orders', { ...body(), reason }, { key }) })
      if (!order) return
      if (!here()) return
      onUnlock(order.id)
      scrollTo({ top: 0, behavior: 'smooth' })
      again()
    },

    /** @param {'in_service' | 'maintenance' | 'retired'} service */
    async service(service) {
      const name = { in_service: 'inservice', maintenance: 'maintenance', retired: 'retire' }[service]
      const doubt = service === 'in_service' && d.outlets.some(o => o.jammed) ? '.jammed' : ''
      done(await confirmAct({ title: t('device.' + name), text: t(`device.${name}${doubt}.text`), reason: true, danger: service === 'retired', typed: service === 'retired' ? d.id : undefined,
        curl: { method: 'POST', path: path + '/service', body: { service } },
        run: reason => post(path + '/service', { service, reason }) }), t('device.' + name))
    },

    async emergency() {
      done(await confirmAct({ title: t('device.emergency'), text: t('device.emergency.text'), reason: true, danger: true, curl: { method: 'POST', path: path + '/stop', body: {} },
        run: reason => post(path + '/stop', { reason }) }), t('device.emergency'))
    },

    async transfer() {
      const here = staying()
      const { venues } = await get('/venues').catch(() => ({ venues: [] }))
      if (!here()) return
      const others = venues.filter(v => v.id !== d.venue), to = signal(others[0]?.id ?? '')
      done(await confirmAct({ title: t('device.transfer'), text: t('device.transfer.text'), reason: true, curl: { method: 'POST', path: path + '/transfer', get body() { return { venue: to.value } } },
        children: html`<${WhichVenue} venues=${others} to=${to} />`,
        run: reason => post(path + '/transfer', { venue: to.value, reason }) }), t('device.transfer'))
    },

    async place() {
      const spot = signal({ lat: d.lat == null ? '' : d.lat.toFixed(6), lng: d.lng == null ? '' : d.lng.toFixed(6), datum: 'wgs84' })
      const body = () => ({ lat: Number(spot.value.lat), lng: Number(spot.value.lng), datum: spot.value.datum })
      done(await confirmAct({ title: t('device.place'), text: t('device.place.text'), reason: 'optional', curl: { method: 'POST', path: path + '/position', get body() { return body() } },
        children: html`<${Place} spot=${spot} venue=${d.venue} />`,
        run: reason => post(path + '/position', { ...body(), ...(reason && { reason }) }) }), t('device.place'))
    },

    /** @param {number} [outlet] */
    async mint(outlet = 1) {
      const n = signal(String(outlet))
      const body = () => ({ device: d.id, outlet: Number(n.value) })
      const code = await confirmAct({ title: t('device.code.mint'), text: t('device.code.mint.text'), reason: 'optional', curl: { method: 'POST', path: '/codes', get body() { return body() } },
        children: html`<${WhichOutlet} device=${d} n=${n} />`,
        run: reason => post('/codes', { ...body(), ...(reason && { reason }) }) })
      if (code) { toast(t('device.code.new', { code: code.printed })); again() }
    },

    /** Does what a finding of the diagnosis offers. @param {{operation: string, body?: any}} action */
    fix({ operation, body = {} }) {
      const outlet = body.outlet ?? 1
      switch (operation) {
        case 'command-device': return this.command(body.kind, outlet)
        case 'service-unlock': return this.unlock(outlet)
        case 'set-service': return this.service(body.service)
        case 'mint-code': return this.mint(outlet)
        case 'place-device': return this.place()
        case 'put-venue': case 'get-venue': return go('/venues/' + (body.id ?? body.venue ?? d.venue))
        case 'add-tariff': case 'list-tariffs': return go('/tariffs', { venue: d.venue })
        case 'provision-devices': return go('/import')
        case 'end-order-by-staff': case 'void-order': case 'decide-order': case 'get-operator-order': {
          const order = body.id ?? body.order ?? d.outlets.find(o => o.order)?.order
          return order ? go('/orders/' + order) : go('/orders', { device: d.id })
        }
      }
    },
  }
}

function WhichOutlet({ device: d, n }) {
  if (d.outlets.length < 2) return null
  return html`<${Select} label=${t('device.which.outlet')} value=${n.value} onChange=${v => { n.value = v }} options=${d.outlets.map(o => [String(o.outlet), t(d.kind === 'pump' ? 'part.side.n' : 'part.outlet.n', { n: o.outlet })])} />`
}

function WhichVenue({ venues, to }) {
  return html`<${Select} label=${t('device.transfer.to')} value=${to.value} onChange=${v => { to.value = v }} required options=${venues.map(v => [v.id, v.name])} />`
}

function Test({ device: d, n, grade, ml }) {
  const grades = [...new Set((d.outlets.find(o => String(o.outlet) === n.value)?.nozzles ?? []).map(z => z.grade))]
  return html`<div class="place-pair"><${Select} label=${t('device.test.grade')} value=${grade.value} onChange=${v => { grade.value = v }} options=${grades.map(g => [g, g + '#'])} />
    <${Field} label=${t('device.test.litres')} value=${ml.value} onInput=${v => { ml.value = v }} inputmode="decimal" pattern="[0-9]{1,3}([.,][0-9]{1,2})?" required unit="L" /></div>`
}
