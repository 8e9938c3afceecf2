// What an installation fills in before it uploads; docs/miniprogram.md tells where each value comes from.

export interface Config {
  /** Where the server is, https, without a slash at the end. It is the console's one request and upload domain. */
  api: string
  /** Hosts whose /d/ addresses are codes of ours. Empty: every host, and the server decides. */
  domains: string[]
  /** The number to call where no venue's own is known. */
  phone: string
  /** Whether riders are asked for their own number, by WeChat's phone button; it is opened for verified organisations, and billed. */
  askPhone: boolean
  /** Which location the app may ask for: the two exclude each other in one app (scripts/check.js holds app.json to it). */
  location: 'precise' | 'fuzzy'
  /** Ways to pay in the order in which they are offered; the server refuses what it does not have. */
  payLock: PayWay[]
  payPump: PayWay[]
  /** Subscribe messages: at most three template ids; none: the button is not shown. */
  templates: string[]
  /** Pre-set amounts, Fen. */
  topUps: number[]
  fuelAmounts: number[]
}

export type PayWay = 'wallet' | 'prepay' | 'pay_score'

export const config: Config = {
  api: 'https://q.example.cn',
  domains: ['q.example.cn'],
  phone: '400-000-0000',
  askPhone: true,
  location: 'precise',
  payLock: ['wallet', 'pay_score', 'prepay'],
  payPump: ['prepay', 'wallet'],
  templates: [],
  topUps: [1000, 2000, 5000],
  fuelAmounts: [10000, 20000, 30000],
}
