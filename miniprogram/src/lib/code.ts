// What a rider presents, read the same way wherever it comes from: WeChat's own scanner (options.q, percent-encoded
// once), the scanner inside the app, a mini-program code (options.scene), a number typed in.

/** What POST /v1/scans takes. */
export interface Code {
  url?: string
  number?: string
}

export type Wrong = 'code_mistyped' | 'code_foreign' | 'not_a_code'
export type Read = { code: Code; wrong?: undefined } | { code?: undefined; wrong: Wrong }

export type Query = Record<string, string | undefined>

const digits = 14
const longest = 512

/** The quasigroup of order 10 of H. M. Damm (2004): a wrong digit or two swapped neighbours change the result. */
const damm = [
  '0317598642',
  '7092154863',
  '4206871359',
  '1750983426',
  '6123045978',
  '3674209581',
  '5869720134',
  '8945362017',
  '9438617205',
  '2581436790',
]

/** Whether the first ten of 14 digits agree, so that a slip of the finger needs no network. */
function agrees(number: string): boolean {
  let state = 0
  for (const d of number.slice(0, 10)) state = Number(damm[state]?.charAt(Number(d)))
  return state === 0
}

function decodeOnce(s: string): string | undefined {
  try {
    return decodeURIComponent(s)
  } catch {
    return undefined
  }
}

/** Reads plain text: an address of ours or the digits alone. URL is not there in every mini-program runtime. */
export function read(text: string, domains: string[]): Read {
  const s = text.trim()
  if (s === '' || s.length > longest) return { wrong: 'not_a_code' }
  return s.includes('/') ? readAddress(s, domains) : readTyped(s)
}

function readAddress(s: string, domains: string[]): Read {
  const m = /^(?:(https?):\/\/)?([^/?#\s@:]+(?::\d{1,5})?)(\/[^?#]*)?(?:[?#].*)?$/i.exec(s)
  if (!m || !m[2]) return { wrong: 'not_a_code' }
  const host = m[2].toLowerCase()
  if (domains.length > 0 && !domains.some((d) => d.toLowerCase() === host)) return { wrong: 'code_foreign' }
  const path = /^\/d\/([0-9]+)(-[A-Za-z0-9_-]{1,44})?$/.exec(m[3] ?? '')
  if (!path || !path[1]) return { wrong: 'not_a_code' }
  if (path[1].length !== digits || !agrees(path[1])) return { wrong: 'code_mistyped' }
  return { code: { url: `${(m[1] ?? 'https').toLowerCase()}://${host}/d/${path[1]}${path[2] ?? ''}` } }
}

function readTyped(s: string): Read {
  let number = ''
  for (const c of s) {
    const wide = c.charCodeAt(0) - 0xff10 // full-width digits, as Chinese keyboards give them
    if (c >= '0' && c <= '9') number += c
    else if (wide >= 0 && wide <= 9) number += String(wide)
    else if (!/[\s\-\u2010-\u2015\u2212\uff0d\ufe58\ufe63]/.test(c)) return { wrong: 'not_a_code' }
  }
  if (number === '') return { wrong: 'not_a_code' }
  return number.length === digits && agrees(number) ? { code: { number } } : { wrong: 'code_mistyped' }
}

/** Reads what a page was opened with; undefined where it was not opened with a code. */
export function readEntry(query: Query | undefined, domains: string[]): Read | undefined {
  if (query?.q !== undefined) {
    const text = decodeOnce(query.q)
    return text === undefined ? { wrong: 'not_a_code' } : read(text, domains)
  }
  if (query?.scene !== undefined) return readScene(query.scene, domains)
  if (query?.number !== undefined) return read(query.number, [])
  return undefined
}

/** A scene has at most 32 characters: the digits, and behind a dash the password that a screen shows. */
function readScene(scene: string, domains: string[]): Read {
  const text = decodeOnce(scene)
  if (text === undefined) return { wrong: 'not_a_code' }
  const shown = /^([0-9]{14})-([A-Za-z0-9_-]+)$/.exec(text)
  if (shown && domains[0]) return read(`https://${domains[0]}/d/${text}`, domains)
  return read(text, domains)
}

/** Reads the result of wx.scanCode: path is there when it was a mini-program code of this app. */
export function readScan(found: { result: string; path?: string }, domains: string[]): Read {
  if (found.path) {
    const query: Query = {}
    for (const pair of (found.path.split('?')[1] ?? '').split('&')) {
      const at = pair.indexOf('=')
      if (at > 0) query[pair.slice(0, at)] = pair.slice(at + 1)
    }
    return readEntry(query, domains) ?? { wrong: 'not_a_code' }
  }
  return read(found.result, domains)
}

/** Names one entry, so that what both onLoad and onShow tell counts once. Undefined: no code. */
export function entryKey(query: Query | undefined): string | undefined {
  if (query?.q !== undefined) return `q ${query.q} ${query.scancode_time ?? ''}`
  if (query?.scene !== undefined) return `scene ${query.scene}`
  return undefined
}
