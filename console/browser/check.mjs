// Checks that need no browser: the words are there in both languages and used, nothing
// of another host, no markup made of data, and the first page is light.
import { readFileSync, readdirSync } from 'node:fs'
import { register } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'

const web = join(dirname(fileURLToPath(import.meta.url)), '../web')
const faults = []
const all = readdirSync(web, { recursive: true, withFileTypes: true }).filter(e => e.isFile()).map(e => relative(web, join(e.parentPath ?? e.path, e.name)))
const own = all.filter(f => !f.startsWith('vendor/'))
const text = f => readFileSync(join(web, f), 'utf8')

// Words: the same keys in both languages, the same holes in each word, no key twice with
// another meaning.
const holes = w => [...new Set([w].flatMap(w => typeof w === 'string' ? w : Object.values(w)).flatMap(w => [...w.matchAll(/\{(\w+)\}/g)].map(m => m[1])))].sort().join()
const keys = new Map()
// A file of words exports them, or adds them itself: then lib/words.js, which needs a
// page, is one that remembers them.
globalThis.addedWords = []
const words = 'data:text/javascript,export const addWords = w => { globalThis.addedWords.push(w) }'
register('data:text/javascript,' + encodeURIComponent(`export const resolve = (name, context, next) => name.endsWith('/lib/words.js') ? { url: ${JSON.stringify(words)}, shortCircuit: true } : next(name, context)`))
for (const f of own.filter(f => /^words\/.*\.js$/.test(f))) {
  globalThis.addedWords = []
  const { default: exported } = await import(pathToFileURL(join(web, f)).href)
  const all = exported ? [exported, ...globalThis.addedWords] : globalThis.addedWords
  if (!all.length) faults.push(`${f}: holds no words`)
  all.forEach(words => checkWords(f, words))
}
function checkWords(f, words) {
  const languages = Object.keys(words)
  if (languages.join() !== 'en,zh-CN') { faults.push(`${f}: languages ${languages}, want en and zh-CN`); return }
  for (const [one, other] of [['en', 'zh-CN'], ['zh-CN', 'en']]) for (const k of Object.keys(words[one])) if (!(k in words[other])) faults.push(`${f}: ${k} is missing in ${other}`)
  for (const [k, w] of Object.entries(words.en)) {
    if (!/^[a-z][\w-]*(\.[\w-]+)+$/.test(k)) faults.push(`${f}: ${k} is not of the form area.name`)
    const zh = words['zh-CN'][k]
    if (zh === undefined) continue
    if (holes(w) !== holes(zh)) faults.push(`${f}: ${k} has other holes in zh-CN`)
    if (typeof zh === 'object' && !('other' in zh) || typeof w === 'object' && !('other' in w)) faults.push(`${f}: ${k} has no plural form other`)
    if (w === '' || zh === '') faults.push(`${f}: ${k} is empty`)
    const before = keys.get(k)
    if (before && (JSON.stringify(before.w) !== JSON.stringify(w) || JSON.stringify(before.zh) !== JSON.stringify(zh))) faults.push(`${f}: ${k} has another word in ${before.f}`)
    keys.set(k, { f, w, zh })
  }
}

// Each t('area.name') has its word, and each t('area.' + x) has at least one that begins so.
for (const f of own.filter(f => f.endsWith('.js') && !f.startsWith('words/'))) {
  const source = text(f)
  for (const m of source.matchAll(/\bt\(\s*'([^']+)'\s*([,)+])/g)) {
    if (m[2] === '+' ? ![...keys.keys()].some(k => k.startsWith(m[1])) : !keys.has(m[1])) faults.push(`${f}: no word ${m[1]}`)
  }
  for (const m of source.matchAll(/\bwords: '([^']+)'\s*[,}]/g)) if (!keys.has(m[1])) faults.push(`${f}: no word ${m[1]}`)
  for (const m of source.matchAll(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\(|new Function/g)) faults.push(`${f}: ${m[0]}`)
}

// No address of another host anywhere. The name space of SVG is a name.
// pages/basemaps.js offers maps that an operator may choose; nothing there is asked before.
for (const f of own.filter(f => /\.(js|css|html|svg|json)$/.test(f) && f !== 'pages/basemaps.js')) {
  for (const m of text(f).matchAll(/(https?:)?\/\/[a-z0-9-]+(\.[a-z0-9-]+)+/gi)) {
    if (m[0] !== 'http://www.w3.org' && !/\.example(\.|$)/.test(m[0]) && (m[1] || /url\(/.test(text(f).slice(m.index - 5, m.index)))) faults.push(`${f}: ${m[0]}`)
  }
}

// The first page: what index.html names, app.js, the fleet's page and all they import.
const named = { preact: 'vendor/preact.mjs', 'preact/hooks': 'vendor/hooks.mjs', '@preact/signals': 'vendor/signals.mjs', '@preact/signals-core': 'vendor/signals-core.mjs', htm: 'vendor/htm.mjs', leaflet: 'vendor/leaflet.js', uplot: 'vendor/uPlot.esm.js' }
const first = new Set(['index.html', 'boot.js', ...[...text('index.html').matchAll(/rel="stylesheet" href="\{base\}\/([^"]+)"/g)].map(m => m[1])])
const queue = ['app.js', 'pages/fleet.js']
while (queue.length) {
  const f = queue.pop()
  if (first.has(f)) continue
  first.add(f)
  for (const m of text(f).matchAll(/(?:^|;)\s*(?:import|export)\s*(?:[\w*{][^'"();]*?from\s*)?['"]([^'"]+)['"]/gm)) queue.push(named[m[1]] ?? join(dirname(f), m[1]))
}
const size = [...first].reduce((n, f) => n + gzipSync(text(f), { level: 9 }).length, 0)
if (size > 250 * 1024) faults.push(`the first page costs ${size} bytes zipped, more than 250 KiB`)

if (faults.length) {
  console.error(faults.join('\n'))
  process.exit(1)
}
console.log(`${keys.size} words in two languages, ${own.length} files, first page ${(size / 1024).toFixed(0)} KiB zipped`)
