// Holds the source to what WeChat and we ask of it; prints each finding and fails on any. `node scripts/check.js [folder]`
// checks another folder than src, for the check's own test.
'use strict'
const fs = require('fs')
const path = require('path')
const ts = require('typescript')

const root = path.join(__dirname, '..')
const mainPackageMost = 1024 * 1024
const aim = 200 * 1024

/** Private functions by the kind of declaration that they need. */
const inRequiredPrivateInfos = [
  'getLocation',
  'getFuzzyLocation',
  'onLocationChange',
  'startLocationUpdate',
  'startLocationUpdateBackground',
  'chooseLocation',
  'choosePoi',
  'chooseAddress',
]
const inGuideline = [
  ...inRequiredPrivateInfos,
  'chooseMedia',
  'chooseImage',
  'chooseVideo',
  'chooseMessageFile',
  'saveImageToPhotosAlbum',
  'openBluetoothAdapter',
  'createBLEPeripheralServer',
  'getRecorderManager',
  'startRecord',
  'joinVoIPChat',
  'createCameraContext',
  'getClipboardData',
  'setClipboardData',
  'addPhoneContact',
  'addPhoneCalendar',
  'getWeRunData',
  'chooseInvoice',
  'startAccelerometer',
  'startCompass',
  'startGyroscope',
  'getUserProfile',
  'getPhoneNumber',
  'getRealtimePhoneNumber',
]

function files(dir) {
  return fs
    .readdirSync(dir, { withFileTypes: true })
    .flatMap((e) => (e.isDirectory() ? files(path.join(dir, e.name)) : [path.join(dir, e.name)]))
}

function check(src) {
  const found = []
  const all = files(src)
  const text = (f) => fs.readFileSync(f, 'utf8')
  const app = JSON.parse(text(path.join(src, 'app.json')))

  for (const page of app.pages)
    for (const ext of ['ts', 'wxml', 'json'])
      if (!fs.existsSync(path.join(src, `${page}.${ext}`))) found.push(`app.json: ${page}.${ext} is missing`)
  for (const f of all.filter((f) => /pages\/.*\.wxml$/.test(f))) {
    const page = path.relative(src, f).replace(/\.wxml$/, '')
    if (!app.pages.includes(page)) found.push(`${page} is not in app.json`)
  }
  for (const f of all.filter((f) => f.endsWith('.json') && f !== path.join(src, 'app.json'))) {
    for (const [name, where] of Object.entries(JSON.parse(text(f)).usingComponents ?? {})) {
      const at = path.join(src, where)
      for (const ext of ['ts', 'wxml', 'json'])
        if (!fs.existsSync(`${at}.${ext}`)) found.push(`${path.relative(src, f)}: ${name}: ${where}.${ext} is missing`)
      const wxml = f.replace(/\.json$/, '.wxml')
      if (fs.existsSync(wxml) && !new RegExp(`<${name}[\\s/>]`).test(text(wxml)))
        found.push(`${path.relative(src, f)}: ${name} is not used`)
    }
  }

  // Private functions: used, declared, explained; and nothing declared that is not used.
  const code = all
    .filter((f) => f.endsWith('.ts'))
    .map(text)
    .join('\n')
  const buttons = all
    .filter((f) => f.endsWith('.wxml'))
    .map(text)
    .join('\n')
  const used = inGuideline.filter(
    (name) => new RegExp(`\\bwx\\s*\\.\\s*${name}\\b`).test(code) || buttons.includes(`open-type="${name}"`),
  )
  const location = /location: '(precise|fuzzy)',?$/m.exec(
    text(path.join(src, 'config.ts')).split('export const config')[1] ?? '',
  )?.[1]
  const wanted = location === 'fuzzy' ? 'getFuzzyLocation' : 'getLocation'
  const declared = app.requiredPrivateInfos ?? []
  if (location === undefined) found.push("config.ts: location is neither 'precise' nor 'fuzzy'")
  if (declared.includes('getLocation') && declared.includes('getFuzzyLocation'))
    found.push('app.json: getLocation and getFuzzyLocation exclude each other')
  for (const name of used.filter((n) => inRequiredPrivateInfos.includes(n))) {
    const off = (name === 'getLocation' || name === 'getFuzzyLocation') && name !== wanted // built in, switched off by config.location
    if (!off && !declared.includes(name)) found.push(`app.json: requiredPrivateInfos lacks ${name}`)
  }
  for (const name of declared)
    if (!used.includes(name)) found.push(`app.json: requiredPrivateInfos has ${name}, which nothing uses`)
  const guideline = JSON.parse(text(path.join(root, 'privacy.json')))
  const other = wanted === 'getLocation' ? 'getFuzzyLocation' : 'getLocation'
  for (const name of used) if (name !== other && !guideline[name]) found.push(`privacy.json lacks ${name}`)
  for (const name of Object.keys(guideline)) if (!used.includes(name)) found.push(`privacy.json has ${name}, which nothing uses`)
  if (
    declared.some((n) => /Location/.test(n)) &&
    !app.permission?.[wanted === 'getLocation' ? 'scope.userLocation' : 'scope.userFuzzyLocation']?.desc
  )
    found.push('app.json: permission of the location has no desc')
  if (app.__usePrivacyCheck__ !== true) found.push('app.json: __usePrivacyCheck__ is not on')
  if (/\bsetStorage(?:Sync)?\(/.test(code.replace(/wx\.setStorageSync\(tokenKey,/g, '')))
    found.push('something but the token is kept on the phone')

  // Words: same keys and same places to fill in; none in wxml.
  const words = (name) => {
    const module = { exports: {} }
    const js = ts.transpileModule(text(path.join(src, `lib/words/${name}.ts`)), {
      compilerOptions: { module: 'commonjs', target: 'ES2020' },
    }).outputText
    new Function('module', 'exports', 'require', js)(module, module.exports, () => ({}))
    return module.exports[name]
  }
  const flat = (o, at = '') =>
    Object.entries(o).flatMap(([k, v]) => (typeof v === 'object' ? flat(v, `${at}${k}.`) : [[`${at}${k}`, v]]))
  const en = new Map(flat(words('en')))
  const zh = new Map(flat(words('zh')))
  const holes = (s) => [...new Set(s.match(/\{\w+\}/g) ?? [])].sort().join()
  for (const [k, v] of en) {
    if (!zh.has(k)) found.push(`zh lacks ${k}`)
    else if (holes(v) !== holes(zh.get(k)))
      found.push(`${k}: zh fills ${holes(zh.get(k)) || 'nothing'}, en ${holes(v) || 'nothing'}`)
    else if (v === '' || zh.get(k) === '') found.push(`${k} is empty`)
    else if (!/[\u4e00-\u9fff]/.test(zh.get(k)) && v !== 'unlatch' && /[A-Za-z]/.test(v.replace(/\{\w+\}/g, '')))
      found.push(`${k}: zh is not Chinese`)
    if (/[\u4e00-\u9fff]/.test(v)) found.push(`${k}: en is not English`)
  }
  for (const k of zh.keys()) if (!en.has(k)) found.push(`en lacks ${k}`)

  const controls = /<(button|input|textarea|map|image)\b/
  for (const f of all.filter((f) => f.endsWith('.wxml'))) {
    const name = path.relative(src, f)
    const wxml = text(f).replace(/<!--[\s\S]*?-->/g, '')
    const tags = [...wxml.matchAll(/<\/?[a-z-]+(?:\s(?:"[^"]*"|[^">])*)?>/g)].map((m) => m[0])
    let rest = wxml
    for (const t of tags) rest = rest.replace(t, '\u0000')
    for (const piece of rest.split('\u0000')) {
      const said = piece.replace(/\{\{[\s\S]*?\}\}/g, '').trim()
      if (said !== '') found.push(`${name}: text in wxml: ${said}`)
    }
    for (const t of tags) {
      for (const [, attr, value] of t.matchAll(/\b(placeholder|aria-label|title|label)="([^"]*)"/g))
        if (value.replace(/\{\{[\s\S]*?\}\}/g, '').trim() !== '') found.push(`${name}: text in ${attr}: ${value}`)
      if (/[\u4e00-\u9fff]/.test(t)) found.push(`${name}: Chinese in a tag: ${t}`)
      if ((controls.test(t) || (/bindtap=/.test(t) && !/^<\//.test(t))) && !/aria-label=/.test(t))
        found.push(`${name}: no aria-label: ${t}`)
      if (/bindtap=/.test(t) && !/aria-role=/.test(t)) found.push(`${name}: no aria-role: ${t}`)
    }
    for (const [, key] of wxml.matchAll(/\bt\.(\w+\.\w+)/g)) if (!en.has(key)) found.push(`${name}: no words ${key}`)
  }
  // Text grows with the rider's size: lengths are in em.
  for (const f of all.filter((f) => f.endsWith('.wxss')))
    for (const [size] of text(f).matchAll(/font-size:\s*[\d.]+(px|rpx)/g))
      found.push(`${path.relative(src, f)}: ${size} does not scale`)
  return found
}

function weigh(dist) {
  return files(dist).reduce((sum, f) => sum + fs.statSync(f).size, 0)
}

module.exports = { check, weigh, aim }

if (require.main === module) {
  const found = check(process.argv[2] ? path.resolve(process.argv[2]) : path.join(root, 'src'))
  const dist = path.join(root, 'dist')
  if (!process.argv[2]) {
    if (!fs.existsSync(dist)) found.push('dist is missing: npm run build')
    else {
      const bytes = weigh(dist)
      console.log(`package: ${(bytes / 1024).toFixed(0)} kB`)
      if (bytes > mainPackageMost) found.push(`the package has ${bytes} bytes, more than ${mainPackageMost}`)
      if (bytes > aim) found.push(`the package has ${bytes} bytes, more than the ${aim} that we aim at`)
    }
  }
  for (const f of found) console.error(f)
  if (found.length > 0) process.exit(1)
}
