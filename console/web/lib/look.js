// Theme and density of this browser.
import { signal } from './html.js'

const kept = name => { try { return localStorage.getItem('unlatch.' + name) } catch { return null } }

function keep(name, value) {
  try { localStorage.setItem('unlatch.' + name, value) } catch { /* a private window keeps nothing */ }
}

/** auto, light or dark. */
export const theme = signal(kept('theme') ?? 'auto')

/** dense or roomy. */
export const density = signal(kept('density') ?? 'dense')

/** @param {string} to auto, light or dark */
export function setTheme(to) {
  theme.value = to
  keep('theme', to)
  if (to === 'auto') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = to
}

/** @param {string} to dense or roomy */
export function setDensity(to) {
  density.value = to
  keep('density', to)
  if (to === 'roomy') document.documentElement.dataset.density = to
  else delete document.documentElement.dataset.density
}

/** Whether the page is dark now; changes with the system where the theme is auto. */
const system = matchMedia('(prefers-color-scheme: dark)')
const systemDark = signal(system.matches)
system.addEventListener('change', () => { systemDark.value = system.matches })
export const isDark = () => theme.value === 'dark' || theme.value === 'auto' && systemDark.value

/** The value of a colour of style.css, for canvases: colour('--bad'). @param {string} name */
export function colour(name) {
  isDark()
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}
