// Between a page and WeChat: pages are three lines, screens are plain classes that a test can drive.

import { explain, explainCode, type Notice } from './explain'
import { pages, type Unlatch } from './unlatch'
import { readScan, type Query } from './code'
import type { Fault } from './platform'

export type Values = Record<string, unknown>

/** What every page shows beside its own. */
export interface Common {
  notice: Notice | null
  busy: string
  phone: string
  /** Text size, rpx; everything else is in em. */
  size: number
}

const usualSize = 32

export abstract class Screen {
  protected phone = ''
  private acting = new Set<string>()
  protected gone = false

  constructor(
    protected readonly app: Unlatch,
    protected readonly show: (values: Values) => void,
  ) {}

  /** The words of this page and its title. */
  abstract words(): { title: string; t: Values }
  open(_query: Query): void | Promise<void> {}
  /** The page is in front again, or for the first time. */
  shown(): void | Promise<void> {}
  hidden(): void {}
  closed(): void {}
  /**
   * A tap on what has data-do; the value is data-value, or what was typed or chosen. The fault is why a button of
   * WeChat's own gave nothing.
   */
  protected abstract act(what: string, value: string, fault?: Fault): void | Promise<void>

  async begin(query: Query): Promise<void> {
    const { title, t } = this.words()
    this.phone = this.app.phone()
    this.show({
      t: { ...t, common: this.app.t.common },
      notice: null,
      busy: '',
      phone: this.phone,
      call: this.callLabel(),
      size: Math.round(usualSize * this.app.platform.textScale()),
    })
    this.app.platform.title(title)
    await this.guarded(() => this.open(query))
  }

  end(): void {
    this.gone = true
    this.closed()
  }

  /** A second tap while the first one works does nothing. */
  async tap(what: string, value: string, fault?: Fault): Promise<void> {
    if (what === '' || this.acting.has(what)) return
    this.acting.add(what)
    this.app.acting++
    this.show({ busy: what, ...(what === 'type' ? {} : { notice: null }) })
    await this.guarded(() => this.common(what) ?? this.act(what, value, fault))
    this.acting.delete(what)
    this.app.acting--
    if (!this.gone) this.show({ busy: [...this.acting][0] ?? '' })
  }

  async guarded(work: () => void | Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (e) {
      this.fail(e)
      return false
    }
  }

  protected fail(error: unknown): void {
    const notice = explain(error, this.app.t)
    if (!this.gone && notice.code !== 'cancelled') this.show({ notice })
  }

  protected say(code: string): void {
    this.show({ notice: explainCode(code, this.app.t) })
  }

  protected callLabel(): string {
    return this.app.t.common.call.replace('{phone}', this.phone)
  }

  protected at(venue: string): void {
    this.phone = this.app.phone(venue)
    this.show({ phone: this.phone, call: this.callLabel() })
  }

  /** What the buttons beside every failure do. */
  private common(what: string): Promise<void> | undefined {
    const p = this.app.platform
    switch (what) {
      case 'call':
        return p.dial(this.phone)
      case 'settings':
        return p.openSettings()
      case 'wallet':
        return Promise.resolve(p.go(pages.wallet))
      case 'home':
        return Promise.resolve(p.relaunch(pages.home))
      case 'scan':
        return this.scan()
      case 'live':
        return this.app.look(true).then((me) => {
          const live = me.live_orders[0]
          if (live) this.app.toOrder(live.id)
          else p.relaunch(pages.home)
        })
      default:
        return undefined
    }
  }

  /** WeChat's scanner inside the app; it does not go through the rule for ordinary links. */
  protected async scan(): Promise<void> {
    this.app.scanned = readScan(await this.app.platform.scan(), this.app.config.domains)
    this.app.platform.replace(pages.device)
  }
}
