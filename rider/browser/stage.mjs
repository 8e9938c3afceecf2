// The stage of the browser tests: a real demo, or a real installation, and a real
// Chromium at a phone's size.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const shots = process.env.UNLATCH_SHOTS // a folder for pictures of each screen; unset: none are taken

export const folder = mkdtempSync(join(tmpdir(), 'unlatch-browser-'))
chmodSync(folder, 0o755) // as root the database runs as another, which has to enter it
const running = []

// binary is UNLATCH_BIN, or what the repository builds.
export function binary() {
  if (process.env.UNLATCH_BIN) return process.env.UNLATCH_BIN
  const built = join(folder, 'unlatch')
  execFileSync('go', ['build', '-o', built, './cmd/unlatch'], { cwd: root, stdio: 'inherit' })
  return built
}

// start runs a program until stop and returns what until finds in its output.
export async function start(program, args, until) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const ended = new Promise(done => child.once('exit', done))
  running.push({ child, ended })
  return new Promise((found, failed) => {
    const timer = setTimeout(() => failed(new Error(`not ready within 40 s:\n${output}`)), 40_000)
    const hear = text => {
      output += text
      const match = until(output)
      if (match) { clearTimeout(timer); found(match) }
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    ended.then(code => failed(new Error(`ended with ${code}:\n${output}`)))
  })
}

export async function stop() {
  await browser?.close()
  await Promise.all(running.map(async ({ child, ended }) => {
    child.kill('SIGINT')
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
    await ended
    clearTimeout(late)
  }))
  rmSync(folder, { recursive: true, force: true })
}

let browser, contexts = []
export const requested = new Set() // hosts that any page asked for anything

// open gives a page of a new phone, which has nothing stored.
export async function open({ locale = 'en-GB', ...more } = {}) {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  })
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale, isMobile: true, hasTouch: true, ...more })
  contexts.push(context)
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  page.asked = []
  page.faults = []
  context.on('request', r => { requested.add(new URL(r.url()).host); page.asked.push(r) })
  page.on('pageerror', e => page.faults.push(e.message))
  page.on('console', m => m.type() === 'error' && !/Failed to load resource/.test(m.text()) && page.faults.push(m.text()))
  return page
}

// close takes all phones away; a page that waits for its order costs the others time.
export async function close() {
  await Promise.all(contexts.map(c => c.close()))
  contexts = []
}

// at waits for a screen of the journey and returns its text. What is there instead
// stands in the error.
export async function at(page, screen) {
  await seen(page, page.locator(`#${screen}`))
  return page.locator(`#${screen}`).innerText()
}

// headed waits for a heading.
export const headed = (page, name) => seen(page, page.getByRole('heading', { name }))

async function seen(page, what) {
  try { await what.waitFor() } catch (e) {
    throw new Error(`${what} never came; the page says:\n${await page.innerText('main')}`, { cause: e })
  }
}

export const press = (page, name) => page.getByRole('button', { name, exact: typeof name === 'string' }).click()

// sound asserts what every screen owes: no serious fault that axe knows of, nothing
// wider than the phone, targets that a thumb meets, no script that failed.
let pictures = 0
export async function sound(page, name) {
  if (shots) {
    mkdirSync(shots, { recursive: true })
    await page.screenshot({ path: join(shots, `${String(++pictures).padStart(2, '0')}-${name}.png`), fullPage: true })
  }
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  const grave = violations.filter(v => ['serious', 'critical'].includes(v.impact))
  assert.deepEqual(grave.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`), [], `axe on ${name}`)
  const faults = await page.evaluate(() => {
    const found = document.documentElement.scrollWidth > innerWidth ? ['wider than the phone'] : []
    for (const e of document.querySelectorAll('button, summary, label, a')) {
      const { width, height } = e.getBoundingClientRect()
      if (width && (height < 44 || width < 44)) found.push(`${e.textContent}: ${Math.round(width)} x ${Math.round(height)}`)
    }
    return found
  })
  assert.deepEqual(faults, [], `layout of ${name}`)
  await reflows(page, name)
  assert.deepEqual(page.faults, [], `scripts of ${name}`)
}

// reflows asserts that nothing runs off a narrow screen: 320 px, and half of 390, which is
// what 200 % of zoom leaves (WCAG 2.2, 1.4.10).
async function reflows(page, name) {
  const was = page.viewportSize()
  for (const width of [320, 195]) {
    await page.setViewportSize({ width, height: 568 })
    if (shots) await page.screenshot({ path: join(shots, `${String(pictures).padStart(2, '0')}-${name}-${width}.png`), fullPage: true })
    const wide = await page.evaluate(width => [...document.querySelectorAll('main *')].filter(e => {
      const { right, width: w, height } = e.getBoundingClientRect()
      const card = e.closest('.card, .hands')
      return w > 1 && height > 1 && right > (card && card !== e ? card.getBoundingClientRect().right - 4 : width - 8)
    }).map(e => `${e.localName}.${e.className}: ${e.textContent.slice(0, 30)}`), width)
    assert.deepEqual(wide, [], `${name} at ${width} px`)
  }
  await page.setViewportSize(was)
}

export async function ask(method, url, { body, key, once } = {}) {
  const r = await fetch(url, { method, body: body && JSON.stringify(body),
    headers: { ...(body && { 'Content-Type': 'application/json' }), ...(key && { Authorization: `Bearer ${key}` }), ...(once && { 'Idempotency-Key': once }) } })
  const text = await r.text()
  assert.ok(r.ok, `${method} ${url}: ${r.status} ${text}`)
  return text ? JSON.parse(text) : null
}
