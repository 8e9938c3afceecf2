// A phone with WeChat on it: the functions that the app uses, with the limits and the failures that are documented, and
// the runtime around pages. It runs the compiled app of dist/, each phone with modules of its own.

import * as fs from 'node:fs'
import * as http from 'node:http'
import * as path from 'node:path'
import * as vm from 'node:vm'
import type { Config } from '../src/config'
import { Radio, type Peripheral } from './radio'

export type { Peripheral }

export const dist = path.join(__dirname, '../dist')

type Any = any // what WeChat's functions take and give is as loose as this
type Query = Record<string, string>
export interface Options {
  success?: (r: Any) => void
  fail?: (e: Any) => void
  complete?: (r: Any) => void
  [name: string]: Any
}

export interface World {
  /** A login code of this rider's. */
  loginCode(): Promise<string>
  /** What happens in the payment window: paid at WeChat, or the rider closes it. */
  pay(request: Any): Promise<'ok' | 'cancel' | string>
  /** What happens on Pay Score's confirm page; whatever it is, WeChat reports ok. */
  confirm(pack: string): Promise<void>
  /** A phone button's code of this rider's. */
  phoneCode?(): Promise<string>
}

interface PageInstance {
  route: string
  data: Any
  setData(values: Any): void
  onLoad(query: Query): Any
  onShow(): void
  onHide(): void
  onUnload(): void
  act(e: Any): Promise<void> | undefined
  children: Any[]
}

export const concurrent = 10
const stackMost = 10

export class Phone {
  storage = new Map<string, string>()
  files = new Map<string, Buffer>()
  online = true
  language = 'en'
  fontScale = 1
  /** Milliseconds that a page may go on in the background. */
  background = 5000
  /** Answers to requests for this path that get lost on the way back. */
  lose: Record<string, number> = {}
  /** Port of a proxy that all requests go through; 0: straight. */
  via = 0
  /** Who answers questions: scope -> what the rider taps. */
  answers: Record<string, boolean> = {}
  authSetting: Record<string, boolean> = {}
  privacy: 'agreed' | 'unasked' | 'undeclared' = 'agreed'
  position = { latitude: 31.0262, longitude: 121.4332 }
  fuzzyOnly = false
  camera: Any[] = []
  modal = true
  subscription: 'accept' | 'reject' = 'accept'
  /** What the rider taps on the phone button's sheet; or the numbers that WeChat gives this app are used up. */
  phoneSheet: 'give' | 'deny' | 'no quota' = 'give'
  bluetoothOn = true
  peripherals: Peripheral[] = []
  world: World
  config: Partial<Config>

  // What happened, for tests to look at.
  toasts: string[] = []
  dialled: string[] = []
  asked: string[] = []
  maps: Any[] = []
  requests: { method: string; path: string; status: number; key: string }[] = []
  peak = 0
  writes: number[] = []
  errors: unknown[] = []
  title = ''
  headlines: string[] = [] // each title of an order's screen as it came
  tornWrites = 0

  private app: Any
  pages: PageInstance[] = []
  private modules = new Map<string, Any>()
  private enter: { path: string; query: Query; scene: number } = { path: '', query: {}, scene: 1001 }
  private visible = false
  private suspended = false
  private suspendTimer: NodeJS.Timeout | undefined
  private held: (() => void)[] = []
  private inFlight = new Set<{ fail: (e: Any) => void; destroy: () => void }>()
  private waiting: (() => void)[] = []
  private timers = new Set<NodeJS.Timeout>()
  private agent = new http.Agent({ keepAlive: true })
  private privacyListener: ((resolve: (a: Any) => void) => void) | undefined
  readonly radio = new Radio(this)
  private appJson: Any
  generation = 0

  constructor(world: World, config: Partial<Config>) {
    this.world = world
    this.config = config
    this.appJson = JSON.parse(fs.readFileSync(path.join(dist, 'app.json'), 'utf8'))
  }

  // ---- the runtime ----

  private load(file: string): Any {
    const known = this.modules.get(file)
    if (known) return known.exports
    const module = { exports: {} as Any }
    this.modules.set(file, module)
    const code = fs.readFileSync(file, 'utf8')
    const require = (name: string) => {
      if (!name.startsWith('.')) throw new Error(`${file}: require(${name}): only relative paths work in a mini-program`)
      return this.load(path.resolve(path.dirname(file), name.endsWith('.js') ? name : `${name}.js`))
    }
    const generation = this.generation
    const alive = () => generation === this.generation
    const later = (then: () => void, ms: number) => {
      const timer = setTimeout(() => {
        this.timers.delete(timer)
        if (!alive()) return
        if (this.suspended) this.held.push(then)
        else then()
      }, ms)
      this.timers.add(timer)
      return timer
    }
    const globals: Record<string, Any> = {
      require,
      module,
      exports: module.exports,
      wx: this.wx(alive),
      setTimeout: later,
      clearTimeout: (t: NodeJS.Timeout) => clearTimeout(t),
      App: (def: Any) => {
        this.app = Object.assign(Object.create(null), def)
        for (const k of Object.keys(def)) if (typeof def[k] === 'function') this.app[k] = def[k].bind(this.app)
      },
      Component: (def: Any) => (this.defined = def),
      getApp: () => this.app,
      getCurrentPages: () => this.pages,
      // What a mini-program has not: a use of it is an error here too.
      window: undefined,
      document: undefined,
      process: undefined,
      fetch: undefined,
      URL: undefined,
      URLSearchParams: undefined,
      TextEncoder: undefined,
      TextDecoder: undefined,
      Buffer: undefined,
      crypto: undefined,
      localStorage: undefined,
      setInterval: undefined,
    }
    vm.compileFunction(code, Object.keys(globals), { filename: file })(...Object.values(globals))
    if (file.endsWith('/config.js')) Object.assign(module.exports.config, this.config)
    return module.exports
  }

  private defined: Any

  private instance(route: string): PageInstance {
    const file = path.join(dist, `${route}.js`)
    this.modules.delete(file)
    this.defined = undefined
    this.load(file)
    const def = this.defined
    if (!def) throw new Error(`${route} defines no component`)
    const json = JSON.parse(fs.readFileSync(path.join(dist, `${route}.json`), 'utf8'))
    const children: Any[] = []
    const page = this.component(def, route) as PageInstance
    for (const child of Object.values(json.usingComponents ?? {}) as string[]) {
      const childFile = path.join(dist, `${child}.js`)
      this.modules.delete(childFile)
      this.load(childFile)
      children.push(this.component(this.defined, child))
    }
    page.children = children
    return page
  }

  private component(def: Any, route: string): Any {
    const self: Any = { route, data: JSON.parse(JSON.stringify(def.data ?? {})), def, gone: false }
    for (const [name, p] of Object.entries(def.properties ?? {}) as [string, Any][]) self.data[name] = p.value
    self.setData = (values: Any) => {
      if (self.gone) throw new Error(`${route}: setData after unload`)
      for (const [key, value] of Object.entries(values)) {
        if (value === undefined) throw new Error(`${route}: setData ${key} to undefined`)
        const copy = JSON.parse(JSON.stringify(value)) // it crosses to another thread
        const steps = key.replace(/\[(\d+)\]/g, '.$1').split('.')
        let at = self.data
        for (const s of steps.slice(0, -1)) at = at[s]
        at[steps.at(-1) as string] = copy
      }
      const headline = self.data.v?.title
      if (headline && this.headlines.at(-1) !== headline) this.headlines.push(headline)
    }
    self.triggerEvent = () => undefined
    for (const [name, f] of Object.entries(def.methods ?? {}) as [string, Any][]) self[name] = f.bind(self)
    def.lifetimes?.attached?.call(self)
    return self
  }

  private async push(url: string, how: 'push' | 'replace' | 'relaunch'): Promise<void> {
    const [route = '', search = ''] = url.replace(/^\//, '').split('?')
    if (!this.appJson.pages.includes(route)) throw new Error(`no page ${route}`)
    if (how === 'push' && this.pages.length >= stackMost) throw new Error('navigateTo:fail webview count limit exceed')
    const query: Query = {}
    for (const pair of search === '' ? [] : search.split('&'))
      query[pair.slice(0, pair.indexOf('='))] = decodeURIComponent(pair.slice(pair.indexOf('=') + 1))
    this.open(route, query, how)
  }

  private open(route: string, query: Query, how: 'push' | 'replace' | 'relaunch'): void {
    if (how === 'relaunch') for (const p of this.pages.splice(0).reverse()) this.drop(p)
    else if (how === 'replace') {
      const old = this.pages.pop()
      if (old) this.drop(old)
    } else this.page?.onHide()
    const page = this.instance(route)
    this.pages.push(page)
    const loaded = page.onLoad(query)
    if (loaded?.catch) loaded.catch((e: unknown) => this.errors.push(e))
    this.showPage(page)
  }

  private showPage(page: PageInstance): void {
    for (const c of page.children) c.def.pageLifetimes?.show?.call(c)
    page.onShow()
  }

  private drop(page: PageInstance): void {
    page.onUnload()
    ;(page as Any).gone = true
    ;(page as Any).setData = () => {
      throw new Error(`${page.route}: setData after unload`)
    }
  }

  get page(): PageInstance | undefined {
    return this.pages.at(-1)
  }

  get route(): string {
    return this.page?.route.split('/')[1] ?? ''
  }

  get data(): Any {
    return this.page?.data ?? {}
  }

  /** A cold start. */
  launch(route = 'pages/home/index', query: Query = {}, scene = 1001): void {
    this.enter = { path: route, query, scene }
    this.visible = true
    this.load(path.join(dist, 'app.js'))
    this.app.onLaunch?.({ path: route, query, scene })
    this.app.onShow?.({ path: route, query, scene })
    this.open(route, query, 'relaunch')
  }

  /** WeChat's scanner read an address: percent-encoded once, with the moment. */
  launchScan(url: string, at = Math.floor(Date.now() / 1000)): void {
    this.launch('pages/device/index', { q: encodeURIComponent(url), scancode_time: String(at) }, 1011)
  }

  /** Another scan while the app lives: a page made anew, or App.onShow alone. */
  rescan(url: string, how: 'page' | 'onShow', at = Math.floor(Date.now() / 1000)): void {
    const query = { q: encodeURIComponent(url), scancode_time: String(at) }
    this.enter = { path: 'pages/device/index', query, scene: 1011 }
    this.resume()
    this.app.onShow?.(this.enter)
    if (how === 'page') this.open('pages/device/index', query, 'relaunch')
    else if (this.page) this.showPage(this.page)
  }

  hide(): void {
    this.visible = false
    this.page?.onHide()
    this.app.onHide?.()
    this.suspendTimer = setTimeout(() => {
      this.suspended = true
      for (const r of [...this.inFlight]) {
        r.destroy()
        this.held.push(() => r.fail({ errMsg: 'request:fail interrupted', errno: 600003 }))
      }
    }, this.background)
  }

  private resume(): void {
    clearTimeout(this.suspendTimer)
    this.visible = true
    this.suspended = false
    for (const then of this.held.splice(0)) then()
  }

  show(): void {
    this.resume()
    this.app.onShow?.(this.enter)
    if (this.page) this.showPage(this.page)
  }

  /** WeChat destroys the app: nothing of it runs on, the storage stays. */
  kill(): void {
    this.generation++
    clearTimeout(this.suspendTimer)
    for (const t of this.timers) clearTimeout(t)
    this.timers.clear()
    for (const r of this.inFlight) r.destroy()
    this.inFlight.clear()
    this.waiting = []
    this.held = []
    this.pages = []
    this.modules.clear()
    this.privacyListener = undefined
    this.visible = false
    this.suspended = false
    this.radio.reset()
  }

  close(): void {
    this.kill()
    this.agent.destroy()
  }

  async tap(what: string, value?: string | number): Promise<void> {
    const buttons = this.data.v?.buttons as { do: string }[] | undefined
    const own = ['call', 'home', 'retry', 'scan', 'wallet', 'live', 'settings']
    if (this.route === 'order' && !own.includes(what) && !buttons?.some((b) => b.do === what))
      throw new Error(`no button ${what} among ${JSON.stringify(buttons)}`)
    await this.page?.act({ currentTarget: { dataset: { do: what, ...(value === undefined ? {} : { value }) } }, detail: {} })
  }

  async type(what: string, text: string): Promise<void> {
    await this.page?.act({ currentTarget: { dataset: { do: what } }, detail: { value: text } })
  }

  /** WeChat's phone button on the page: consent to the terms, its own sheet, then the event. */
  async tapPhoneButton(): Promise<void> {
    const page = this.page as PageInstance
    const wxml = fs.readFileSync(path.join(dist, `${page.route}.wxml`), 'utf8')
    const button = /<button[^>]*open-type="getPhoneNumber"[^>]*>/.exec(wxml)?.[0] ?? ''
    const attribute = (name: string) => new RegExp(` ${name}="(?:{{)?([^"}]*)`).exec(button)?.[1] ?? ''
    const shown = attribute('wx:if')
      .split('.')
      .reduce((at: Any, key) => at?.[key], page.data)
    if (!shown) throw new Error(`no phone button on ${page.route}`)
    const born = this.generation
    const alive = () => born === this.generation
    const detail = await new Promise<Any>((done) => {
      const o = { success: done, fail: done }
      this.private('getPhoneNumber', o, alive, () => {
        const a = this.answer(o, alive, 'getPhoneNumber')
        if (this.phoneSheet === 'no quota') a.no('no quota', { errno: 1400001 })
        else if (this.phoneSheet === 'deny') a.no('user deny')
        else
          void this.world.phoneCode?.().then(
            (code) => a.ok({ code }),
            (e) => a.no(String(e)),
          )
      })
    })
    await (page as Any)[attribute('bindgetphonenumber')]({
      currentTarget: { dataset: { do: attribute('data-do') } },
      detail,
    })
  }

  /** Waits until the screen shows something. */
  async until(what: string, met: () => unknown, within = 15_000): Promise<void> {
    const end = Date.now() + within
    while (!met()) {
      if (this.errors.length > 0) throw this.errors[0]
      if (Date.now() > end)
        throw new Error(
          `not within ${within} ms: ${what}; on ${this.route}: ${JSON.stringify(this.data.v ?? this.data).slice(0, 1500)} notice ${JSON.stringify(this.data.notice)}; ${JSON.stringify(this.requests.slice(-6))}`,
        )
      await new Promise((r) => setTimeout(r, 15))
    }
  }

  // ---- wx ----

  answer(o: Options, alive: () => boolean, name: string, ms = 5) {
    const give = (f: () => void) => {
      const timer = setTimeout(() => {
        this.timers.delete(timer)
        if (!alive()) return
        if (this.suspended) this.held.push(f)
        else f()
      }, ms)
      this.timers.add(timer)
    }
    return {
      ok: (r: Any = {}) =>
        give(() => {
          o.success?.({ errMsg: `${name}:ok`, ...r })
          o.complete?.(r)
        }),
      no: (why: string, more: Any = {}) =>
        give(() => {
          const e = { errMsg: `${name}:fail ${why}`, ...more }
          o.fail?.(e)
          o.complete?.(e)
        }),
    }
  }

  /** What WeChat checks before a private function works. */
  private(name: string, o: Options, alive: () => boolean, then: () => void): void {
    const a = this.answer(o, alive, name)
    if (this.privacy === 'undeclared') return a.no('api scope is not declared in the privacy agreement', { errno: 112 })
    if (this.privacy === 'agreed') return then()
    if (!this.privacyListener) return a.no('privacy permission is not authorized', { errno: 104 })
    this.privacyListener((r) => {
      if (r.event === 'agree') {
        this.privacy = 'agreed'
        then()
      } else if (r.event === 'disagree') a.no('privacy permission is not authorized', { errno: 104 })
    })
  }

  private wx(alive: () => boolean): Any {
    const phone = this
    const answer = (o: Options, name: string) => phone.answer(o, alive, name)
    const scope = (name: string, key: string, o: Options, then: () => void) => {
      phone.private(name, o, alive, () => {
        if (phone.authSetting[key] === undefined) {
          phone.asked.push(key)
          phone.authSetting[key] = phone.answers[key] ?? false
        }
        if (!phone.authSetting[key]) answer(o, name).no('auth deny', { errno: 103 })
        else then()
      })
    }
    const located = (name: string, key: string) => (o: Options) => {
      if (!phone.appJson.requiredPrivateInfos?.includes(name))
        return answer(o, name).no('the api need to be declared in the requiredPrivateInfos field in app.json/ext.json')
      if (name === 'getLocation' && phone.fuzzyOnly) return answer(o, name).no('auth deny', { errno: 103 })
      scope(name, key, o, () => answer(o, name).ok(phone.position))
    }
    return {
      request: (o: Options) => phone.request(o, alive),
      uploadFile: (o: Options) => phone.upload(o, alive),
      getStorageSync: (k: string) => phone.storage.get(k) ?? '',
      setStorageSync: (k: string, v: string) => void phone.storage.set(k, v),
      removeStorageSync: (k: string) => void phone.storage.delete(k),
      getEnterOptionsSync: () => phone.enter,
      getAppBaseInfo: () => ({
        language: phone.language,
        fontSizeScaleFactor: phone.fontScale,
        fontSizeSetting: 16 * phone.fontScale,
      }),
      login: (o: Options) => {
        if (!phone.online) return answer(o, 'login').no('network error', { errno: 600001 })
        phone.world.loginCode().then(
          (code) => answer(o, 'login').ok({ code }),
          (e) => answer(o, 'login').no(String(e)),
        )
      },
      scanCode: (o: Options) => {
        const found = phone.camera.shift()
        if (!found) answer(o, 'scanCode').no('cancel')
        else
          answer(o, 'scanCode').ok(
            typeof found === 'string' ? { result: found, scanType: 'QR_CODE', charSet: 'UTF-8', rawData: '' } : found,
          )
      },
      requestPayment: (o: Options) => {
        for (const k of ['timeStamp', 'nonceStr', 'package', 'signType', 'paySign'])
          if (typeof o[k] !== 'string') return answer(o, 'requestPayment').no(`parameter error: ${k}`)
        const { timeStamp, nonceStr, package: pack, signType, paySign } = o
        void phone.world
          .pay({ timeStamp, nonceStr, package: pack, signType, paySign })
          .then((r) => (r === 'ok' ? answer(o, 'requestPayment').ok() : answer(o, 'requestPayment').no(r)))
      },
      openBusinessView: (o: Options) => {
        if (o.businessType !== 'wxpayScoreUse' || !o.extraData?.package) return answer(o, 'openBusinessView').no('invalid param')
        answer(o, 'openBusinessView').ok({ extraData: {} }) // it says ok at once, and means nothing by it
        phone.hide()
        void phone.world.confirm(o.extraData.package).then(() => alive() && phone.show())
      },
      requestSubscribeMessage: (o: Options) => {
        if (o.tmplIds.length > 3)
          return answer(o, 'requestSubscribeMessage').no('TmplIds count out of max bounds', { errCode: 20003 })
        answer(o, 'requestSubscribeMessage').ok(Object.fromEntries(o.tmplIds.map((id: string) => [id, phone.subscription])))
      },
      chooseMedia: (o: Options) =>
        phone.private('chooseMedia', o, alive, () => {
          const file = [...phone.files.keys()][0]
          if (!file) answer(o, 'chooseMedia').no('cancel')
          else
            answer(o, 'chooseMedia').ok({
              tempFiles: [{ tempFilePath: file, size: phone.files.get(file)?.length ?? 0 }],
              type: 'image',
            })
        }),
      compressImage: (o: Options) => {
        const small = `${o.src}.small`
        phone.files.set(small, (phone.files.get(o.src) as Buffer).subarray(0, 100_000))
        answer(o, 'compressImage').ok({ tempFilePath: small })
      },
      getLocation: located('getLocation', 'scope.userLocation'),
      getFuzzyLocation: located('getFuzzyLocation', 'scope.userFuzzyLocation'),
      getSetting: (o: Options) => answer(o, 'getSetting').ok({ authSetting: { ...phone.authSetting } }),
      openSetting: (o: Options) => answer(o, 'openSetting').ok({ authSetting: { ...phone.authSetting } }),
      openPrivacyContract: (o: Options) => answer(o, 'openPrivacyContract').ok(),
      onNeedPrivacyAuthorization: (f: Any) => (phone.privacyListener = f),
      openLocation: (o: Options) => {
        phone.maps.push({ latitude: o.latitude, longitude: o.longitude })
        answer(o, 'openLocation').ok()
      },
      makePhoneCall: (o: Options) => {
        phone.dialled.push(o.phoneNumber)
        answer(o, 'makePhoneCall').ok()
      },
      showToast: (o: Options) => void phone.toasts.push(o.title),
      showModal: (o: Options) => {
        if ([...o.confirmText].length > 4 || [...o.cancelText].length > 4)
          return answer(o, 'showModal').no('confirmText length should not larger than 4 Chinese characters')
        answer(o, 'showModal').ok({ confirm: phone.modal, cancel: !phone.modal })
      },
      setNavigationBarTitle: (o: Options) => void (phone.title = o.title),
      navigateTo: (o: Options) =>
        phone.push(o.url, 'push').then(
          () => o.success?.({}),
          (e) => (o.fail ? o.fail({ errMsg: String(e) }) : phone.errors.push(e)),
        ),
      redirectTo: (o: Options) => phone.push(o.url, 'replace').catch((e) => phone.errors.push(e)),
      reLaunch: (o: Options) => phone.push(o.url, 'relaunch').catch((e) => phone.errors.push(e)),
      navigateBack: (o: Options) => {
        const old = phone.pages.length > 1 ? phone.pages.pop() : undefined
        if (!old) return o.fail?.({ errMsg: 'navigateBack:fail cannot navigate back at first page.' })
        phone.drop(old)
        if (phone.page) phone.showPage(phone.page)
      },
      ...phone.radio.functions(alive),
    }
  }

  private request(o: Options, alive: () => boolean): Any {
    const a = this.answer(o, alive, 'request', 0)
    const url = new URL(o.url)
    const entry = {
      method: o.method as string,
      path: url.pathname + url.search,
      status: 0,
      key: (o.header['Idempotency-Key'] ?? '') as string,
    }
    this.requests.push(entry)
    let over = false
    let req: http.ClientRequest | undefined
    const flight = {
      fail: (e: Any) => o.fail?.(e),
      destroy: () => {
        over = true
        end()
        req?.destroy()
      },
    }
    const end = () => {
      if (this.inFlight.delete(flight)) this.waiting.shift()?.()
    }
    const fail = (why: string, more: Any = {}) => {
      if (over) return
      over = true
      end()
      a.no(why, more)
    }
    const start = () => {
      if (over) return
      this.inFlight.add(flight)
      this.peak = Math.max(this.peak, this.inFlight.size)
      if (!this.online) {
        const t = setTimeout(
          () => fail('errcode:-106 cronet_error_code:-106 error_msg:net::ERR_INTERNET_DISCONNECTED', { errno: 600001 }),
          30,
        )
        this.timers.add(t)
        return
      }
      if (!this.visible && this.suspended) return fail('interrupted', { errno: 600003 })
      req = http.request(
        {
          host: '127.0.0.1',
          port: this.via || url.port,
          path: url.pathname + url.search,
          method: o.method,
          agent: this.agent,
          headers: { ...o.header, Host: url.host, Referer: 'https://servicewechat.com/touristappid/0/page-frame.html' },
        },
        (res) => {
          const chunks: Buffer[] = []
          res.on('data', (c) => chunks.push(c))
          res.on('error', (e) => fail(String(e), { errno: 600001 }))
          res.on('end', () => {
            if (over) return
            over = true
            end()
            if ((this.lose[url.pathname] ?? 0) > 0) {
              this.lose[url.pathname]--
              a.no('errcode:-101 error_msg:net::ERR_CONNECTION_RESET', { errno: 600001 })
              return
            }
            entry.status = res.statusCode ?? 0
            a.ok({ statusCode: res.statusCode, header: res.headers, data: Buffer.concat(chunks).toString() })
          })
        },
      )
      req.on('error', (e) => fail(String(e), { errno: 600001 }))
      req.setTimeout(o.timeout, () => {
        fail('timeout', { errno: 5 })
        req?.destroy()
      })
      req.end(o.data)
    }
    if (this.inFlight.size >= concurrent) this.waiting.push(start)
    else start()
    return {
      abort: () => {
        if (over) return
        fail('abort')
        req?.destroy()
      },
    }
  }

  /** A broken link: what runs dies. */
  disconnect(): void {
    this.online = false
    for (const r of [...this.inFlight]) {
      r.destroy()
      setTimeout(() => r.fail({ errMsg: 'request:fail errcode:-101 error_msg:net::ERR_CONNECTION_RESET', errno: 600001 }), 5)
    }
  }

  private upload(o: Options, alive: () => boolean): Any {
    const a = this.answer(o, alive, 'uploadFile', 0)
    const url = new URL(o.url)
    const file = this.files.get(o.filePath)
    if (!file) return a.no('file not found')
    if (!this.online) return a.no('errcode:-106', { errno: 600001 })
    const boundary = `----wx${Date.now()}`
    const body = Buffer.concat([
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${o.name}"; filename="${path.basename(o.filePath)}"\r\nContent-Type: image/png\r\n\r\n`,
      ),
      file,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ])
    const entry = { method: 'UPLOAD', path: url.pathname, status: 0, key: '' }
    this.requests.push(entry)
    const req = http.request(
      {
        host: '127.0.0.1',
        port: this.via || url.port,
        path: url.pathname,
        method: 'POST',
        agent: this.agent,
        headers: {
          ...o.header,
          Host: url.host,
          'Content-Type': `multipart/form-data; boundary=${boundary}`,
          'Content-Length': body.length,
        },
      },
      (res) => {
        const chunks: Buffer[] = []
        res.on('data', (c) => chunks.push(c))
        res.on('end', () => {
          entry.status = res.statusCode ?? 0
          a.ok({ statusCode: res.statusCode, data: Buffer.concat(chunks).toString() })
        })
      },
    )
    req.on('error', (e) => a.no(String(e)))
    req.end(body)
    return { abort: () => req.destroy() }
  }

  /** The lock goes out of reach. */
  outOfReach(p: Peripheral): void {
    this.radio.outOfReach(p)
  }

  /** The privacy window that the page shows: the rider taps. */
  async consent(agree: boolean): Promise<void> {
    const window = this.page?.children.find((c) => c.route.includes('privacy') && c.data.open)
    if (!window) throw new Error('no privacy window is open')
    if (agree) window.agree()
    else window.refuse()
  }
}
