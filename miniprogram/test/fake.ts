// A Platform without a phone: time moves when a test says so, and answers come from a list.

import { Fault, type Answer, type Call, type Platform, type Radio } from '../src/lib/platform'

export type Server = (call: Call) => Partial<Answer> | Error | 'silence' | Promise<Partial<Answer> | Error>

export class FakePlatform implements Platform {
  at = 1_700_000_000_000
  calls: Call[] = []
  kept = ''
  logins = 0
  went: string[] = []
  aborted = 0
  private timers: { at: number; then: () => void }[] = []
  radio = {} as Radio

  constructor(public server: Server) {}

  request(call: Call) {
    this.calls.push(call)
    let abort: () => void = () => undefined
    const cut = new Promise<Answer>((_, failed) => {
      abort = () => {
        this.aborted++
        failed(new Fault('network', 'request:fail abort'))
      }
    })
    cut.catch(() => undefined)
    const served = async (): Promise<Answer> => {
      const r = await this.server(call)
      if (r === 'silence') return new Promise(() => undefined)
      if (r instanceof Error) throw r
      return { status: 200, headers: {}, body: undefined, ...r }
    }
    return { answer: Promise.race([cut, served()]), abort }
  }
  upload = () => Promise.reject(new Fault('network', ''))
  token = () => this.kept
  keepToken(t: string) {
    this.kept = t
  }
  login = async () => `code-${++this.logins}`
  scan = () => Promise.reject(new Fault('cancelled', ''))
  pay = async () => undefined
  confirm = async () => undefined
  subscribe = async () => true
  photo = async () => 'photo'
  locate = () => Promise.reject(new Fault('denied', ''))
  mayLocate = async () => false
  dial = async () => undefined
  openSettings = async () => undefined
  openTerms = async () => undefined
  openMap = async () => undefined
  now = () => this.at
  after(ms: number, then: () => void) {
    const timer = { at: this.at + ms, then }
    this.timers.push(timer)
    return () => {
      this.timers = this.timers.filter((t) => t !== timer)
    }
  }
  random = () => `key-${this.calls.length}`
  language = (): 'en' | 'zh-CN' => 'en'
  textScale = () => 1
  go = (page: string) => void this.went.push(`go ${page}`)
  replace = (page: string) => void this.went.push(`replace ${page}`)
  relaunch = (page: string) => void this.went.push(`relaunch ${page}`)
  back = () => undefined
  title = () => undefined
  toast = () => undefined
  ask = async () => true

  /** Lets the time pass, and all that it sets off. */
  async pass(ms: number): Promise<void> {
    const end = this.at + ms
    for (;;) {
      await settle()
      const next = this.timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.timers = this.timers.filter((t) => t !== next)
      this.at = Math.max(this.at, next.at)
      next.then()
    }
    this.at = end
    await settle()
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}
