// What is kept, the number that one may give, and how to end it.

import { explain } from '../lib/explain'
import { phoneCard } from '../lib/phone'
import type { Fault } from '../lib/platform'
import { Screen } from '../lib/screen'
import { pages, refused } from '../lib/unlatch'
import type { Phone } from '../lib/shapes'

export class AboutScreen extends Screen {
  override words() {
    const t = this.app.t
    return { title: t.about.title, t: { about: t.about, number: t.number } }
  }

  override open(): Promise<void> {
    this.show({ say: '', heard: '', number: null })
    return this.load()
  }

  private async load(): Promise<void> {
    this.told(await this.app.api.phone())
  }

  private told(phone: Phone): void {
    this.show({ number: phoneCard(phone, this.app.asksPhone, this.app.t) })
  }

  protected override async act(what: string, value: string, fault?: Fault): Promise<void> {
    const { platform: p, t, api } = this.app
    this.show({ say: '', heard: '' })
    switch (what) {
      case 'retry':
        return this.load()
      case 'givePhone':
        return this.give(value, fault)
      case 'takePhone':
        await api.forgetPhone()
        this.told({ given: false })
        return this.show({ heard: t.number.taken })
      case 'logout':
        await api.logout()
        return this.show({ say: t.about.loggedOut, number: null })
      case 'erase':
        if (!(await p.ask(t.about.eraseAsk, t.about.eraseText, t.common.yes, t.common.no))) return
        await api.erase()
        this.app.me = undefined
        p.toast(t.about.erased)
        return p.relaunch(pages.home)
      case 'terms':
        return p.openTerms()
    }
  }

  private async give(code: string, fault?: Fault): Promise<void> {
    const { t, api } = this.app
    if (fault?.kind === 'cancelled') return this.show({ heard: t.number.refused })
    if (fault) throw fault
    let phone: Phone
    try {
      phone = await api.givePhone(code)
    } catch (e) {
      if (refused(e, 'phone_not_asked')) {
        this.app.asksPhone = false
        this.told({ given: false })
        return this.show({ say: explain(e, t).text })
      }
      if (!refused(e, 'login_code_invalid', 'login_unavailable')) throw e
      // A code works once: where the first answer got lost, the repeat is refused though the number has arrived.
      phone = await api.phone()
      if (!phone.given) {
        const [title, text] = t.number.lost
        return this.show({ notice: { ...explain(e, t), title, text } })
      }
    }
    this.told(phone)
    this.show({ heard: t.number.given })
  }
}
