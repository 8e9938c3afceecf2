// The Bluetooth of the phone in wx.ts: one lock at a time, with WeChat's numbers for what goes wrong, 20 bytes a write and one
// write at a time, and an iPhone's wish to be asked for services and characteristics first.

import type { Options, Phone } from './wx'

type Any = any // what WeChat's functions take and give is as loose as this

/** A thing that can be found over Bluetooth. */
export interface Peripheral {
  deviceId: string
  localName: string
  service: string
  write: string
  notify: string
  /** Takes what was written; sends what it has to say. */
  written(frame: Uint8Array): void
  connected(notify: (frame: Uint8Array) => void): void
  disconnected(): void
  reachable: boolean
}

export class Radio {
  private state: Any = {}

  constructor(private readonly phone: Phone) {}

  reset(): void {
    for (const p of this.phone.peripherals) p.disconnected()
    for (const k of Object.keys(this.state)) delete this.state[k]
  }

  functions(alive: () => boolean): Any {
    const { phone, radio, b } = { phone: this.phone, radio: this, b: this.state }
    const answer = (o: Options, name: string) => phone.answer(o, alive, name, 2)
    const no = (o: Options, name: string, code: number, why: string) => answer(o, name).no(why, { errCode: code })
    const peer = (o: Options) => phone.peripherals.find((p) => p.deviceId === o.deviceId)
    const same = (x: string, y: string) => x.toLowerCase() === y.toLowerCase()
    const checked = (name: string, o: Options, then: (p: Peripheral) => void, connected = true) => {
      if (!b.open) return no(o, name, 10000, 'not init')
      if (!phone.bluetoothOn) return no(o, name, 10001, 'not available')
      const p = peer(o)
      if (!p) return no(o, name, 10002, 'no device')
      if (connected && b.connected !== p.deviceId) return no(o, name, 10006, 'no connection')
      then(p)
    }
    return {
      openBluetoothAdapter: (o: Options) =>
        phone.private('openBluetoothAdapter', o, alive, () => {
          if (!phone.bluetoothOn) return no(o, 'openBluetoothAdapter', 10001, 'not available')
          b.open = true
          answer(o, 'openBluetoothAdapter').ok()
        }),
      closeBluetoothAdapter: (o: Options) => {
        radio.unplug()
        b.open = false
        answer(o, 'closeBluetoothAdapter').ok()
      },
      onBLEConnectionStateChange: (f: Any) => (b.onState = f),
      onBluetoothAdapterStateChange: (f: Any) => (b.onAdapter = f),
      onBluetoothDeviceFound: (f: Any) => (b.onFound = f),
      offBluetoothDeviceFound: () => (b.onFound = undefined),
      onBLECharacteristicValueChange: (f: Any) => (b.onValue = f),
      offBLECharacteristicValueChange: () => (b.onValue = undefined),
      startBluetoothDevicesDiscovery: (o: Options) => {
        if (!b.open) return no(o, 'startBluetoothDevicesDiscovery', 10000, 'not init')
        answer(o, 'startBluetoothDevicesDiscovery').ok()
        for (const p of phone.peripherals) {
          if (!p.reachable || (o.services?.length && !o.services.some((s: string) => same(s, p.service)))) continue
          setTimeout(
            () =>
              b.onFound?.({
                devices: [
                  {
                    deviceId: p.deviceId,
                    name: '',
                    localName: p.localName,
                    RSSI: -60,
                    advertisServiceUUIDs: [p.service.toUpperCase()],
                  },
                ],
              }),
            20,
          )
        }
      },
      stopBluetoothDevicesDiscovery: (o: Options) => answer(o, 'stopBluetoothDevicesDiscovery').ok(),
      createBLEConnection: (o: Options) =>
        checked(
          'createBLEConnection',
          o,
          (p) => {
            if (b.connected === p.deviceId) return no(o, 'createBLEConnection', 10010, 'already connect')
            if (!p.reachable) return no(o, 'createBLEConnection', 10003, 'connection fail')
            b.connected = p.deviceId
            b.services = b.characteristics = b.listening = false
            p.connected((frame) => {
              if (frame.length > 20) throw new Error('a notification of more than 20 bytes')
              if (b.connected === p.deviceId && b.listening)
                b.onValue?.({
                  deviceId: p.deviceId,
                  serviceId: p.service.toUpperCase(),
                  characteristicId: p.notify.toUpperCase(),
                  value: frame.slice().buffer,
                })
            })
            answer(o, 'createBLEConnection').ok()
          },
          false,
        ),
      closeBLEConnection: (o: Options) => {
        radio.unplug()
        answer(o, 'closeBLEConnection').ok()
      },
      getBLEDeviceServices: (o: Options) =>
        checked('getBLEDeviceServices', o, (p) => {
          b.services = true
          answer(o, 'getBLEDeviceServices').ok({
            services: [
              { uuid: '00001800-0000-1000-8000-00805F9B34FB', isPrimary: true },
              { uuid: p.service.toUpperCase(), isPrimary: true },
            ],
          })
        }),
      getBLEDeviceCharacteristics: (o: Options) =>
        checked('getBLEDeviceCharacteristics', o, (p) => {
          if (!b.services || !same(o.serviceId, p.service)) return no(o, 'getBLEDeviceCharacteristics', 10004, 'no service')
          b.characteristics = true
          answer(o, 'getBLEDeviceCharacteristics').ok({
            characteristics: [
              { uuid: p.write.toUpperCase(), properties: { read: false, write: true, notify: false, indicate: false } },
              { uuid: p.notify.toUpperCase(), properties: { read: false, write: false, notify: true, indicate: false } },
            ],
          })
        }),
      notifyBLECharacteristicValueChange: (o: Options) =>
        checked('notifyBLECharacteristicValueChange', o, (p) => {
          if (!b.characteristics || !same(o.characteristicId, p.notify))
            return no(o, 'notifyBLECharacteristicValueChange', 10005, 'no characteristic')
          b.listening = true
          answer(o, 'notifyBLECharacteristicValueChange').ok()
        }),
      writeBLECharacteristicValue: (o: Options) =>
        checked('writeBLECharacteristicValue', o, (p) => {
          if (!b.characteristics || !same(o.characteristicId, p.write))
            return no(o, 'writeBLECharacteristicValue', 10005, 'no characteristic')
          const frame = new Uint8Array(o.value)
          phone.writes.push(frame.length)
          if (frame.length > 20) return no(o, 'writeBLECharacteristicValue', 10008, 'value is longer than 20 bytes')
          if (b.writing) {
            phone.tornWrites++
            return no(o, 'writeBLECharacteristicValue', 10008, 'busy: a write is under way')
          }
          b.writing = true
          setTimeout(() => {
            b.writing = false
            p.written(frame)
            o.success?.({ errMsg: 'writeBLECharacteristicValue:ok', errCode: 0 })
          }, 3)
        }),
    }
  }

  private unplug(): void {
    const p = this.phone.peripherals.find((x) => x.deviceId === this.state.connected)
    this.state.connected = undefined
    p?.disconnected()
  }

  /** The lock goes out of reach. */
  outOfReach(p: Peripheral): void {
    p.reachable = false
    const was = this.state.connected === p.deviceId
    this.unplug()
    if (was) this.state.onState?.({ deviceId: p.deviceId, connected: false })
  }
}
