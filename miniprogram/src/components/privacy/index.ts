// WeChat asks for consent to the privacy terms before the first use of what is private; the answer goes back to it.
import type { Unlatch } from '../../lib/unlatch'

type Answer = (a: { event: 'agree' | 'disagree' | 'exposureAuthorization'; buttonId?: string }) => void

Component({
  options: { addGlobalClass: true },
  data: { open: false, t: {}, size: 32 },
  lifetimes: {
    attached() {
      const app = getApp<{ unlatch: Unlatch }>().unlatch
      this.setData({ t: app.t.privacy, size: Math.round(32 * app.platform.textScale()) })
    },
  },
  pageLifetimes: {
    show() {
      ;(this as unknown as { listen(): void }).listen()
    },
  },
  methods: {
    listen() {
      const self = this as unknown as { answers: Answer[] }
      self.answers = []
      wx.onNeedPrivacyAuthorization?.((answer) => {
        self.answers.push(answer as unknown as Answer)
        this.setData({ open: true })
      })
    },
    agree() {
      this.close({ event: 'agree', buttonId: 'agree' })
    },
    refuse() {
      this.close({ event: 'disagree' })
    },
    terms() {
      wx.openPrivacyContract({})
    },
    close(answer: { event: 'agree' | 'disagree'; buttonId?: string }) {
      const self = this as unknown as { answers: Answer[] }
      for (const tell of self.answers.splice(0)) tell(answer)
      this.setData({ open: false })
    },
  },
})
