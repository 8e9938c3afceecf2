// The Platform on WeChat's own functions: the only file, beside the pages' shells, that says wx.

import type { Config } from '../config'
import { Fault, type Answer, type FaultKind, type Platform, type Radio } from './platform'
import type { Query } from './code'
import type { Place } from './shapes'

const tokenKey = 'token'
/** Bytes above which a photo is made smaller before it goes out. */
const photoComfort = 400_000
const photoMost = 5 * 1024 * 1024

interface Failure {
  errMsg?: string
  errno?: number
  errCode?: number
}

const noPrivacy = 104
/** Of the phone button: the numbers that the operator has paid for are used up. */
const noQuota = 1400001
const bleKinds: Record<number, FaultKind> = {
  10000: 'ble_other',
  10001: 'ble_off',
  10002: 'ble_not_found',
  10003: 'ble_connect',
  10004: 'ble_connect',
  10005: 'ble_connect',
  10006: 'ble_lost',
  10007: 'ble_connect',
  10009: 'unsupported',
  10012: 'ble_connect',
  10013: 'ble_not_found',
}
const alreadyConnected = 10010

/** Reads one of WeChat's failures. */
export function faultOf(e: unknown, usual: FaultKind = 'failed'): Fault {
  const f = (typeof e === 'object' && e !== null ? e : {}) as Failure
  const text = f.errMsg ?? String(e)
  const code = f.errCode ?? f.errno
  const kind = ((): FaultKind => {
    if (f.errno === noPrivacy || /privacy/.test(text)) return 'privacy'
    if (/:fail[ :](?:user )?(?:cancel|deny cancel)|:fail[ :]user deny|:cancel/.test(text)) return 'cancelled'
    if (f.errno === noQuota || /no quota|no permission/.test(text)) return 'withheld'
    if (/auth den|auth deny|authorize no response|scope unauthorized|permission denied|system permission/i.test(text))
      return 'denied'
    if (/interrupted/.test(text)) return 'interrupted'
    if (/not support|no such|is not a function/.test(text)) return 'unsupported'
    return usual
  })()
  return new Fault(kind, text, code)
}

/** Reads what the phone button gave: a code, which is not the number, or why not. */
export function phoneCode(detail: unknown): string | Fault {
  const given = (typeof detail === 'object' && detail !== null ? detail : {}) as Failure & { code?: string }
  if (given.code) return given.code
  if (/:ok$/.test(given.errMsg ?? '')) return new Fault('unsupported', 'a number without a code') // base library below 2.21.2
  return faultOf(given)
}

/** Calls one of WeChat's functions with success and fail. */
function call<T>(name: string, f: unknown, options: object, usual: FaultKind = 'failed'): Promise<T> {
  return new Promise((done, failed) => {
    if (typeof f !== 'function') {
      failed(new Fault('unsupported', `${name}: not in this WeChat`))
      return
    }
    ;(f as (o: object) => unknown)({
      ...options,
      success: (r: unknown) => done(r as T),
      fail: (e: unknown) => failed(faultOf(e, usual)),
    })
  })
}

function lower(header: Record<string, unknown> | undefined): Record<string, string> {
  const out: Record<string, string> = {}
  for (const name of Object.keys(header ?? {})) out[name.toLowerCase()] = String(header?.[name])
  return out
}

function query(values: Record<string, string> | undefined): string {
  const pairs = Object.keys(values ?? {}).map((k) => `${k}=${encodeURIComponent(values?.[k] ?? '')}`)
  return pairs.length > 0 ? `?${pairs.join('&')}` : ''
}

/** Where this start, or this return, came from. */
export function entryQuery(): Query | undefined {
  return wx.getEnterOptionsSync?.().query as Query | undefined
}

export function wechat(config: Config): Platform {
  let token = ''
  try {
    token = String(wx.getStorageSync(tokenKey) || '')
  } catch {
    token = '' // a broken storage is an empty one: the rider logs in anew
  }
  return {
    request(o) {
      let task: WechatMiniprogram.RequestTask | undefined
      const answer = new Promise<Answer>((done, failed) => {
        task = wx.request({
          url: o.url,
          method: o.method,
          header: o.headers,
          timeout: o.timeout,
          dataType: 'text' as never,
          ...(o.body === undefined ? {} : { data: o.body }),
          success: (r) => done({ status: r.statusCode, headers: lower(r.header), body: parse(r.data) }),
          fail: (e) => failed(faultOf(e, 'network')),
        })
      })
      return { answer, abort: () => task?.abort() }
    },
    upload: (url, file, name, headers) =>
      new Promise<Answer>((done, failed) => {
        wx.uploadFile({
          url,
          filePath: file,
          name,
          header: headers,
          timeout: 60_000,
          success: (r) => done({ status: r.statusCode, headers: {}, body: parse(r.data) }),
          fail: (e) => failed(faultOf(e, 'network')),
        })
      }),
    token: () => token,
    keepToken(value) {
      token = value
      try {
        if (value === '') wx.removeStorageSync(tokenKey)
        else wx.setStorageSync(tokenKey, value)
      } catch {
        // Kept for this run only.
      }
    },

    login: async () => (await call<{ code: string }>('login', wx.login, { timeout: 10_000 }, 'network')).code,
    scan: async () => {
      const r = await call<{ result: string; path?: string }>('scanCode', wx.scanCode, { scanType: ['qrCode', 'wxCode'] })
      return r.path ? { result: r.result, path: r.path } : { result: r.result }
    },
    pay: async (request) => {
      await call('requestPayment', wx.requestPayment, request)
    },
    confirm: async (pack) => {
      await call('openBusinessView', (wx as unknown as { openBusinessView?: (o: object) => unknown }).openBusinessView, {
        businessType: 'wxpayScoreUse',
        extraData: { package: pack },
      })
    },
    subscribe: async (templates) => {
      const r = await call<Record<string, string>>('requestSubscribeMessage', wx.requestSubscribeMessage, {
        tmplIds: templates,
      }).catch(() => ({}) as Record<string, string>)
      return templates.some((id) => r[id] === 'accept')
    },
    photo,
    locate: async () => {
      const own =
        config.location === 'precise'
          ? await call<{ latitude: number; longitude: number }>('getLocation', wx.getLocation, { type: 'gcj02' })
          : await call<{ latitude: number; longitude: number }>('getFuzzyLocation', wx.getFuzzyLocation, { type: 'gcj02' })
      return { lat: own.latitude, lng: own.longitude, datum: 'gcj02' } as Place
    },
    mayLocate: async () => {
      const r = await call<{ authSetting: Record<string, boolean> }>('getSetting', wx.getSetting, {}).catch(() => ({
        authSetting: {} as Record<string, boolean>,
      }))
      return r.authSetting[config.location === 'precise' ? 'scope.userLocation' : 'scope.userFuzzyLocation'] === true
    },
    dial: async (number) => {
      await call('makePhoneCall', wx.makePhoneCall, { phoneNumber: number })
    },
    openSettings: async () => {
      await call('openSetting', wx.openSetting, {})
    },
    openTerms: async () => {
      await call('openPrivacyContract', wx.openPrivacyContract, {})
    },
    openMap: async (lat, lng, name) => {
      await call('openLocation', wx.openLocation, { latitude: lat, longitude: lng, name, scale: 17 })
    },
    radio: radio(),

    now: () => Date.now(),
    after: (ms, then) => {
      const timer = setTimeout(then, ms)
      return () => clearTimeout(timer)
    },
    random: () => {
      // An Idempotency-Key only has to differ from this rider's other ones.
      let s = Date.now().toString(36)
      while (s.length < 22) s += Math.floor(Math.random() * 36).toString(36)
      return s
    },
    language: () => (/^zh/i.test(appInfo().language ?? 'zh') ? 'zh-CN' : 'en'),
    textScale: () => Math.min(1.6, Math.max(0.9, appInfo().fontSizeScaleFactor ?? (appInfo().fontSizeSetting ?? 16) / 16)),

    go: (page, values) =>
      void wx.navigateTo({ url: page + query(values), fail: () => wx.redirectTo({ url: page + query(values) }) }),
    replace: (page, values) =>
      void (getCurrentPages().length > 1
        ? wx.redirectTo({ url: page + query(values) })
        : wx.navigateTo({ url: page + query(values) })),
    relaunch: (page, values) => void wx.reLaunch({ url: page + query(values) }),
    back: () => void wx.navigateBack({ fail: () => wx.reLaunch({ url: '/pages/home/index' }) }),
    title: (text) => void wx.setNavigationBarTitle({ title: text }),
    toast: (text) => void wx.showToast({ title: text, icon: 'none' }),
    ask: async (title, text, yes, no) => {
      const r = await call<{ confirm: boolean }>('showModal', wx.showModal, {
        title,
        content: text,
        confirmText: yes,
        cancelText: no,
      })
      return r.confirm
    },
  }
}

function parse(data: unknown): unknown {
  if (typeof data !== 'string') return data
  if (data === '') return undefined
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}

function appInfo(): { language?: string; fontSizeSetting?: number; fontSizeScaleFactor?: number } {
  const w = wx as unknown as { getAppBaseInfo?: () => object; getSystemInfoSync: () => object }
  return w.getAppBaseInfo ? w.getAppBaseInfo() : w.getSystemInfoSync()
}

/** A picture from camera or album, small enough to go out from a car park. */
async function photo(): Promise<string> {
  const r = await call<{ tempFiles: { tempFilePath: string; size: number }[] }>('chooseMedia', wx.chooseMedia, {
    count: 1,
    mediaType: ['image'],
    sourceType: ['camera', 'album'],
    sizeType: ['compressed'],
  })
  const file = r.tempFiles[0]
  if (!file) throw new Fault('cancelled', 'no picture')
  if (file.size <= photoComfort) return file.tempFilePath
  const small = await call<{ tempFilePath: string }>('compressImage', wx.compressImage, {
    src: file.tempFilePath,
    quality: 60,
    compressedWidth: 1600,
  }).catch(() => undefined)
  if (!small && file.size > photoMost) throw new Fault('failed', 'the picture is larger than 5 MiB')
  return small?.tempFilePath ?? file.tempFilePath
}

function radio(): Radio {
  let lost: () => void = () => undefined
  let heard: ((r: { deviceId: string; characteristicId: string; value: ArrayBuffer }) => void) | undefined
  let connected = ''
  let watched = false
  const ble = <T>(name: string, f: unknown, o: object) =>
    call<T>(name, f, o, 'ble_other').catch((e: unknown) => {
      const fault = e as Fault
      if (fault.kind === 'privacy' || fault.kind === 'denied' || fault.kind === 'unsupported') throw fault
      throw new Fault(bleKinds[fault.code ?? 0] ?? 'ble_other', fault.message, fault.code)
    })
  return {
    open: async () => {
      await ble('openBluetoothAdapter', wx.openBluetoothAdapter, {})
      if (watched) return
      watched = true
      wx.onBLEConnectionStateChange((r) => {
        if (r.deviceId === connected && !r.connected) lost()
      })
      wx.onBluetoothAdapterStateChange((r) => {
        if (!r.available && connected !== '') lost()
      })
    },
    find: async (service, name, within) => {
      // Android tells a hardware address and an iPhone a number of its own, so a lock is known by its name alone.
      const same = (d: { localName?: string; name?: string }) => d.localName === name || d.name === name
      let found: (id: string) => void = () => undefined
      const first = new Promise<string>((done) => (found = done))
      const listener = (r: { devices: { deviceId: string; localName?: string; name?: string }[] }) => {
        for (const d of r.devices) if (same(d)) found(d.deviceId)
      }
      wx.onBluetoothDeviceFound(listener as never)
      let timer: ReturnType<typeof setTimeout> | undefined
      try {
        await ble('startBluetoothDevicesDiscovery', wx.startBluetoothDevicesDiscovery, {
          services: [service],
          allowDuplicatesKey: false,
          powerLevel: 'high',
        })
        const late = new Promise<never>(
          (_, failed) =>
            (timer = setTimeout(() => failed(new Fault('ble_not_found', 'nobody of this name answers', 10002)), within)),
        )
        return await Promise.race([first, late])
      } finally {
        if (timer) clearTimeout(timer)
        wx.offBluetoothDeviceFound()
        await ble('stopBluetoothDevicesDiscovery', wx.stopBluetoothDevicesDiscovery, {}).catch(() => undefined)
      }
    },
    connect: async (device, within) => {
      await ble('createBLEConnection', wx.createBLEConnection, { deviceId: device, timeout: within }).catch((e: unknown) => {
        if ((e as Fault).code !== alreadyConnected) throw e
      })
      connected = device
    },
    discover: async (device, service) => {
      // An iPhone wants services and characteristics asked for before any of them is used.
      const { services } = await ble<{ services: { uuid: string }[] }>('getBLEDeviceServices', wx.getBLEDeviceServices, {
        deviceId: device,
      })
      const ours = services.find((s) => s.uuid.toLowerCase() === service.toLowerCase())
      if (!ours) throw new Fault('ble_connect', 'the lock has not our service', 10004)
      const { characteristics } = await ble<{
        characteristics: {
          uuid: string
          properties: { write?: boolean; writeNoResponse?: boolean; notify?: boolean; indicate?: boolean }
        }[]
      }>('getBLEDeviceCharacteristics', wx.getBLEDeviceCharacteristics, { deviceId: device, serviceId: ours.uuid })
      const write = characteristics.find((c) => c.properties.write || c.properties.writeNoResponse)
      const notify = characteristics.find((c) => c.properties.notify || c.properties.indicate)
      if (!write || !notify) throw new Fault('ble_connect', 'the lock has not our characteristics', 10005)
      return { write: write.uuid, notify: notify.uuid }
    },
    listen: async (device, service, characteristic, take) => {
      if (heard) wx.offBLECharacteristicValueChange()
      heard = (r) => {
        if (r.deviceId === device && r.characteristicId.toLowerCase() === characteristic.toLowerCase())
          take(new Uint8Array(r.value))
      }
      wx.onBLECharacteristicValueChange(heard as never)
      await ble('notifyBLECharacteristicValueChange', wx.notifyBLECharacteristicValueChange, {
        deviceId: device,
        serviceId: service,
        characteristicId: characteristic,
        state: true,
      })
    },
    write: async (device, service, characteristic, bytes) => {
      const value = bytes.slice().buffer
      await ble('writeBLECharacteristicValue', wx.writeBLECharacteristicValue, {
        deviceId: device,
        serviceId: service,
        characteristicId: characteristic,
        value,
      })
    },
    onLost: (then) => {
      lost = then
    },
    close: async (device) => {
      lost = () => undefined
      connected = ''
      if (heard) wx.offBLECharacteristicValueChange()
      heard = undefined
      if (device) await ble('closeBLEConnection', wx.closeBLEConnection, { deviceId: device }).catch(() => undefined)
      await ble('closeBluetoothAdapter', wx.closeBluetoothAdapter, {}).catch(() => undefined)
    },
  }
}
