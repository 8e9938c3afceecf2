// What is kept, and how to end it.

import { Screen } from '../lib/screen'
import { pages } from '../lib/unlatch'

export class AboutScreen extends Screen {
  override words() {
    const t = this.app.t
    return { title: t.about.title, t: { about: t.about } }
  }

  override open(): void {
    this.show({ say: '' })
  }

  protected override async act(what: string): Promise<void> {
    const { platform: p, t, api } = this.app
    switch (what) {
      case 'logout':
        await api.logout()
        return this.show({ say: t.about.loggedOut })
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
}
