// Telling staff what is wrong with a device.

import { read, readScan, type Code, type Query } from '../lib/code'
import { explainCode } from '../lib/explain'
import { Screen } from '../lib/screen'

const kinds = ['wont_open', 'wont_close', 'damaged', 'misplaced', 'code_unreadable', 'other'] as const

export class FaultScreen extends Screen {
  private kind = ''
  private typed = ''
  private code: Code | undefined
  private text = ''
  private photo = ''
  private report = ''

  override words() {
    const t = this.app.t
    return { title: t.fault.title, t: { fault: t.fault } }
  }

  override open(query: Query): void {
    this.typed = this.app.numbers.get(query.device ?? '') ?? ''
    this.show({ number: this.typed, kinds: this.choices(), photo: '', say: '', sent: false, photoLost: false })
  }

  private choices() {
    return kinds.map((id) => ({ id, label: this.app.t.fault[id], on: id === this.kind }))
  }

  protected override async act(what: string, value: string): Promise<void> {
    const { platform: p, config } = this.app
    switch (what) {
      case 'number':
        this.typed = value
        this.code = undefined
        return
      case 'text':
        this.text = value.slice(0, 500)
        return
      case 'kind':
        this.kind = value
        return this.show({ kinds: this.choices() })
      case 'camera': {
        const found = readScan(await p.scan(), config.domains)
        if (!found.code) return this.say(found.wrong)
        this.code = found.code
        return this.show({ number: found.code.number ?? /\/d\/(\d+)/.exec(found.code.url ?? '')?.[1] ?? '' })
      }
      case 'photo':
        this.photo = await p.photo()
        return this.show({ photo: this.photo })
      case 'again':
        return this.sendPhoto()
      case 'retry':
        return this.report === '' ? this.send() : undefined
      case 'send':
        return this.send()
    }
  }

  private async send(): Promise<void> {
    const t = this.app.t.fault
    const code = this.code ?? read(this.typed, []).code
    if (!code) return this.show({ notice: { ...explainCode('code_mistyped', this.app.t), text: t.noNumber } })
    if (this.kind === '')
      return this.show({ notice: { ...explainCode('code_mistyped', this.app.t), title: t.what, text: t.noKind } })
    this.report = await this.app.api.fault({ ...code, kind: this.kind, ...(this.text === '' ? {} : { text: this.text }) })
    this.show({ sent: true, say: t.thanks })
    if (this.photo !== '') await this.sendPhoto()
  }

  /** The report is in already: a photo that is lost loses only itself. */
  private async sendPhoto(): Promise<void> {
    const t = this.app.t.fault
    try {
      await this.app.api.faultPhoto(this.report, this.photo)
      this.show({ photoLost: false, say: t.thanks })
    } catch (e) {
      this.show({ photoLost: true, say: t.photoLost })
      throw e
    }
  }
}
