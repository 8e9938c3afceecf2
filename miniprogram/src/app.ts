import { config } from './config'
import { Unlatch } from './lib/unlatch'
import { entryQuery, wechat } from './lib/wechat'

App<{ unlatch: Unlatch }>({
  unlatch: new Unlatch(wechat(config), config),
  onShow(options) {
    this.unlatch.shown(entryQuery() ?? (options.query as Record<string, string>))
  },
  onHide() {
    this.unlatch.hidden()
  },
})
