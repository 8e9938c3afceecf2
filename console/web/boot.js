// Runs before the first paint: theme, density and language of this browser, so that
// nothing flashes. lib/look.js changes them later.
(() => {
  const root = document.documentElement
  const kept = name => { try { return localStorage.getItem('unlatch.' + name) } catch { return null } }
  const theme = kept('theme')
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme
  if (kept('density') === 'roomy') root.dataset.density = 'roomy'
  root.lang = kept('language') ?? (/^zh/i.test(navigator.language) ? 'zh-CN' : 'en')
})()
