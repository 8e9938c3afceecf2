// Makes a WeChat page of a screen. Component() rather than Page(), so that the same definition can be rendered off-line.

import type { Query } from './code'
import type { Screen, Values } from './screen'
import type { Unlatch } from './unlatch'
import { phoneCode } from './wechat'

interface Tap {
  currentTarget: { dataset: { do?: string; value?: unknown } }
  detail?: { value?: unknown; markerId?: number; do?: string }
}

interface Self {
  screen?: Screen
  begun?: Promise<void>
  setData(values: Values): void
}

export function page(make: (app: Unlatch, show: (values: Values) => void) => Screen): void {
  Component({
    data: { t: {}, notice: null, busy: '', phone: '', call: '', size: 32 },
    methods: {
      onLoad(this: unknown, query: Query) {
        const self = this as Self
        const app = getApp<{ unlatch: Unlatch }>().unlatch
        self.screen = make(app, (values) => self.setData(values))
        self.begun = self.screen.begin(query ?? {})
        return self.begun
      },
      onShow(this: unknown) {
        const self = this as Self
        const screen = self.screen
        if (screen) void screen.guarded(() => screen.shown())
      },
      onHide(this: unknown) {
        ;(this as Self).screen?.hidden()
      },
      onUnload(this: unknown) {
        const self = this as Self
        self.screen?.hidden()
        self.screen?.end()
      },
      act(this: unknown, e: Tap) {
        const { do: what, value } = e.currentTarget.dataset
        const given = e.detail?.value ?? e.detail?.markerId ?? value
        return (this as Self).screen?.tap(e.detail?.do ?? what ?? '', given === undefined ? '' : String(given))
      },
      /** WeChat's phone button, which asks the rider itself. */
      gavePhone(this: unknown, e: Tap) {
        const given = phoneCode(e.detail)
        const [code, fault] = typeof given === 'string' ? [given, undefined] : ['', given]
        return (this as Self).screen?.tap(e.currentTarget.dataset.do ?? '', code, fault)
      },
    },
  })
}
