// The live feed: what happened, in words, newest first. It keeps a few hundred lines and
// lets the rest go; the device's page and the audit have them all.
import { signal } from './html.js'
import { fleet, onRows, onUpdate } from './live.js'

const most = 300

/** @typedef {{n: number, at: number, type: 'device' | 'order' | 'item' | 'alarm', device: string, what: any}} Line */

/** Feed hears every update from start to stop. */
export class Feed {
  constructor() {
    /** @type {Line[]} newest first */ this.lines = []
    this.total = 0
    /** rises at most twice a second */ this.version = signal(0)
    this.states = new Uint8Array(0)
    this.cancels = []
  }

  start() {
    this.remember()
    this.cancels = [
      onRows(rows => rows ? this.devices(rows) : this.remember()),
      onUpdate('order', o => this.add('order', o.device ?? '', o)),
      onUpdate('item', i => this.add('item', i.device ?? '', i)),
      onUpdate('alarm', a => this.add('alarm', a.device ?? '', a)),
    ]
  }

  stop() {
    for (const cancel of this.cancels) cancel()
    clearTimeout(this.timer)
    this.timer = 0
  }

  // remember keeps the states, since an update carries only the new one.
  remember() {
    this.states = fleet.state.slice(0, fleet.n)
  }

  devices(rows) {
    if (this.states.length < fleet.n) {
      const grown = new Uint8Array(fleet.state.length).fill(255)
      grown.set(this.states)
      this.states = grown
    }
    for (const i of rows) {
      const from = this.states[i], to = fleet.state[i]
      if (from === to) continue
      this.states[i] = to
      this.add('device', fleet.ids[i], { from, to })
    }
  }

  add(type, device, what) {
    this.lines.unshift({ n: ++this.total, at: Date.now(), type, device, what })
    if (this.lines.length > most) this.lines.length = most
    this.timer ||= setTimeout(() => { this.timer = 0; this.version.value++ }, 500)
  }
}
