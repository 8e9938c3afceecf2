// The simulated hands at the device: what a person would do, and what may go wrong.
import { ask } from './api.js'
import { h } from './page.js'
import { t } from './words.js'

let state, of

// hands is the panel of the device; the state after each act is the body's own word.
export function hands(thing, s, draw) {
  const address = `/demo/hands/${thing.device}`
  const key = `${thing.device}/${s.order?.version}/${s.order?.live?.state}`
  const look = async () => { state = await ask('GET', address).catch(() => state); draw() }
  if (of !== key) { of = key; if (state?.id !== thing.device) state = null; look() }
  if (!state) return null
  const act = (direction, body) => async () => {
    state = await ask('POST', `${address}/${direction}`, body ?? {}).catch(() => state)
    draw()
  }
  const press = (text, direction, body, kind = 'button') => h(kind, { type: 'button', onclick: act(direction, body) }, text)
  const turn = (text, on, direction, body) => h('button.turn', { type: 'button', 'aria-pressed': String(on), onclick: act(direction, body) }, t(text))
  const lock = thing.kind === 'lock', side = state.pump?.outlets.find(o => o.outlet === thing.outlet), outlet = thing.outlet
  const held = side?.up && side.nozzles.find(n => n.nozzle === side.up)?.grade
  const wanted = s.order?.state === 'active' && s.order.preset?.grade
  const squeeze = (text, percent) => turn(text, side.hand === percent || !side.hand && !percent, 'squeeze', { outlet, percent })
  return h('section.hands', { id: 'hands', 'aria-label': t(lock ? 'theLock' : 'thePump') },
    h('p.label', {}, t(lock ? 'theLock' : 'thePump')),
    h('div.acts', {},
      lock && h('p', {}, t(state.closed ? 'shut' : 'isOpen')),
      lock && !state.closed && press(t('shove'), 'close', null, 'button.go'),
      side && !side.up && h('div.names', {}, side.nozzles.map(n => press(t('take', `${n.grade}#`), 'nozzle', { outlet, do: 'lift', nozzle: n.nozzle },
        wanted === n.grade ? 'button.go' : 'button'))),
      held && wanted && held !== wanted && h('p.alert', { role: 'alert' }, t('wrongNozzle', `${held}#`, `${wanted}#`)),
      side?.up && h('div.names', {}, squeeze('letGo', 0), squeeze('half', 50), squeeze('fully', 100)),
      side?.up && press(t('hang'), 'nozzle', { outlet, do: 'hang_up' }, 'button.go')),
    h('details', {}, h('summary', {}, t('trouble')), h('div.names', {},
      turn('network', state.powered && !state.connected, 'network', { do: state.connected ? 'off' : 'on' }),
      turn('power', !state.powered, 'power', { do: state.powered ? 'cut' : 'restore' }),
      lock && turn('jam', state.jammed, 'jam', { jammed: !state.jammed }))))
}
