// Words and figures in the rider's language. The words are words.json, which the page
// carries; {0} and {1} in them are filled in.
const words = JSON.parse(document.getElementById('words').textContent)
let language = localStorage.getItem('unlatch.language') ?? document.documentElement.lang

export const spoken = () => language
export const has = key => key in words[language]
export const t = (key, ...fill) => fill.reduce((s, v, i) => s.replaceAll(`{${i}}`, v), words[language][key] ?? key)

export function speak(other) {
  if (other) localStorage.setItem('unlatch.language', language = other)
  document.documentElement.lang = language
}
speak()

// Fen are whole; a litre has 1000 ml.
export const yuan = fen => `${fen < 0 ? '−' : ''}¥${(Math.abs(fen) / 100).toFixed(2)}`
export const litres = (ml, digits = 3) => (ml / 1000).toFixed(digits)
const two = n => String(n).padStart(2, '0')
export const clock = ms => {
  const s = Math.max(0, Math.floor(ms / 1000)), hours = Math.floor(s / 3600)
  return `${hours ? hours + ':' : ''}${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`
}
export const stamp = at => new Date(at).toLocaleString('sv-SE') // 2026-01-31 09:05:00
