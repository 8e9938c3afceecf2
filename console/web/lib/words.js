// Words in the languages of the console. A page brings its own with addWords; t
// reads the language's signal, so what was rendered changes with it.
import { signal } from './html.js'

/** @type {Record<string, Record<string, any>>} */
const dictionary = { en: {}, 'zh-CN': {} }

/** The languages by their own names. */
export const languages = { en: 'English', 'zh-CN': '简体中文' }

const pseudo = new URLSearchParams(location.search).has('pseudo')

/** The language in use: en or zh-CN. */
export const language = signal(document.documentElement.lang === 'zh-CN' ? 'zh-CN' : 'en')

const loaded = signal(0) // counts dictionaries, so that late words appear

/**
 * Adds words. A word is a text with {names}, or an object of texts by plural
 * category ({one, other}) chosen by the variable n.
 * @param {{en: Record<string, any>, 'zh-CN': Record<string, any>}} words keys like 'device.title'
 */
export function addWords(words) {
  for (const [lang, more] of Object.entries(words)) Object.assign(dictionary[lang] ??= {}, more)
  loaded.value = loaded.peek() + 1
}

/** Tells whether there is a word of this key. @param {string} key */
export function has(key) {
  loaded.value // read, so that a late dictionary renders again
  return key in dictionary.en
}

/**
 * The word of a key in the language in use. A missing key is an error in the browser's
 * log, which tests refuse, and shows the key.
 * @param {string} key
 * @param {Record<string, any>} [vars]
 * @returns {string}
 */
export function t(key, vars) {
  loaded.value
  const lang = language.value
  let word = dictionary[lang]?.[key] ?? dictionary.en[key]
  if (word === undefined) {
    if (pseudo) throw new Error('no word: ' + key)
    console.error('no word: ' + key)
    return key
  }
  if (typeof word === 'object') word = word[new Intl.PluralRules(lang).select(Number(vars?.n ?? 0))] ?? word.other
  if (pseudo) word = strange(word)
  return vars ? word.replace(/\{(\w+)\}/g, (whole, name) => name in vars ? String(vars[name] ?? '') : whole) : word
}

/**
 * The word of a code that the API gave, such as a state; the code itself where none is
 * known, since a server may be newer than this page.
 * @param {string} area
 * @param {string} code
 */
export const tCode = (area, code) => has(`${area}.${code}`) ? t(`${area}.${code}`) : String(code ?? '').replaceAll('_', ' ')

/** Changes the language here, at once and for later. @param {string} to */
export function setLanguage(to) {
  if (!(to in languages)) return
  language.value = to
  document.documentElement.lang = to
  try { localStorage.setItem('unlatch.language', to) } catch { /* a private window keeps nothing */ }
}

const accents = { a: 'á', e: 'é', i: 'í', o: 'ó', u: 'ú', A: 'Á', E: 'É', I: 'Í', O: 'Ó', U: 'Ú', n: 'ñ', c: 'ç', y: 'ý' }

// strange is the pseudo-locale: accents and a third more length in brackets, with
// the holes left alone. What shows without brackets was never a word of ours.
function strange(word) {
  const bent = word.replace(/\{\w+\}|[a-zA-Z]/g, m => m.length > 1 ? m : accents[m] ?? m)
  return '⟦' + bent + '·'.repeat(Math.ceil(word.length / 3)) + '⟧'
}
