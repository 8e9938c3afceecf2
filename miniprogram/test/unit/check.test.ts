// The check finds what it is there to find: each planted fault, and nothing in the source as it is.

import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'

// eslint-disable-next-line @typescript-eslint/no-require-imports
const { check, weigh, aim } = require('../../scripts/check.js') as {
  check(src: string): string[]
  weigh(dist: string): number
  aim: number
}
const root = path.join(__dirname, '../..')

test('the source keeps to the rules, and the package is small', () => {
  expect(check(path.join(root, 'src'))).toEqual([])
  expect(weigh(path.join(root, 'dist'))).toBeLessThan(aim)
})

const faults: [string, string, (text: string) => string, RegExp][] = [
  [
    'a page that is not there',
    'app.json',
    (s) => s.replace('"pages/home/index"', '"pages/nowhere/index"'),
    /pages\/nowhere\/index\.ts is missing/,
  ],
  [
    'a page that is not listed',
    'app.json',
    (s) => s.replace(', "pages/about/index"', ''),
    /pages\/about\/index is not in app\.json/,
  ],
  [
    'a location that is not declared',
    'app.json',
    (s) => s.replace('["getLocation"]', '[]'),
    /requiredPrivateInfos lacks getLocation/,
  ],
  [
    'both locations',
    'app.json',
    (s) => s.replace('["getLocation"]', '["getLocation", "getFuzzyLocation"]'),
    /exclude each other/,
  ],
  [
    'the other location switched on',
    'config.ts',
    (s) => s.replace("location: 'precise',", "location: 'fuzzy',"),
    /requiredPrivateInfos lacks getFuzzyLocation/,
  ],
  [
    'a private function nobody declared',
    'lib/wechat.ts',
    (s) => `${s}\nexport const x = () => wx.getClipboardData({})\n`,
    /privacy\.json lacks getClipboardData/,
  ],
  [
    'a private button nobody declared',
    'pages/about/index.wxml',
    (s) => s.replace('open-type="getPhoneNumber"', 'open-type="getRealtimePhoneNumber"'),
    /privacy\.json lacks getRealtimePhoneNumber\nprivacy\.json has getPhoneNumber, which nothing uses/,
  ],
  [
    'something more on the phone',
    'lib/wechat.ts',
    (s) => `${s}\nexport const x = () => wx.setStorageSync('order', '1')\n`,
    /something but the token/,
  ],
  ['a word of one language', 'lib/words/zh.ts', (s) => s.replace("    scan: '扫码',\n", ''), /zh lacks home\.scan/],
  ['a hole that is not filled', 'lib/words/zh.ts', (s) => s.replace('拨打 {phone}', '拨打'), /common\.call: zh fills nothing/],
  ['a word left in English', 'lib/words/zh.ts', (s) => s.replace("'响铃'", "'Ring'"), /order\.ring: zh is not Chinese/],
  ['text in wxml', 'pages/about/index.wxml', (s) => s.replace('{{t.about.text}}', 'About us'), /text in wxml: About us/],
  [
    'text in an attribute',
    'pages/fault/index.wxml',
    (s) => s.replace('placeholder="{{t.fault.which}}"', 'placeholder="Number"'),
    /text in placeholder: Number/,
  ],
  [
    'a control that a screen reader cannot name',
    'pages/about/index.wxml',
    (s) => s.replace(' aria-label="{{t.about.logout}}"', ''),
    /no aria-label/,
  ],
  [
    'words that are not there',
    'pages/about/index.wxml',
    (s) => s.replace('t.about.text', 't.about.nothing'),
    /no words about\.nothing/,
  ],
  ['text that does not grow', 'app.wxss', (s) => s.replace('font-size: 1.15em', 'font-size: 36rpx'), /does not scale/],
]

test.each(faults)('%s is found', (_, file, change, want) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'unlatch-check-'))
  try {
    fs.cpSync(path.join(root, 'src'), dir, { recursive: true })
    const before = fs.readFileSync(path.join(dir, file), 'utf8')
    const after = change(before)
    expect(after).not.toBe(before)
    fs.writeFileSync(path.join(dir, file), after)
    expect(check(dir).join('\n')).toMatch(want)
  } finally {
    fs.rmSync(dir, { recursive: true })
  }
})
