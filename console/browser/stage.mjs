// The stage of the console's browser tests: a real demo, a real sign-in, and a real
// Chromium at a desk's or a phone's size.
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
const shots = process.env.UNLATCH_SHOTS // a folder for pictures; unset: none are taken

const folder = mkdtempSync(join(tmpdir(), 'unlatch-console-'))
chmodSync(folder, 0o755) // as root the database runs as another, which has to enter it
const running = []

// binary is UNLATCH_BIN, or what the repository builds.
function binary() {
  if (process.env.UNLATCH_BIN) return process.env.UNLATCH_BIN
  const built = join(folder, 'unlatch')
  execFileSync('go', ['build', '-o', built, './cmd/unlatch'], { cwd: root, stdio: 'inherit' })
  return built
}

/**
 * Starts a demo and signs its first admin in, whose cookie every page that open gives
 * has, and whose key ask takes. Answers the demo's ready file with key in it.
 * @param {string[]} [args] of unlatch demo
 */
export async function begin(args = ['--bikes', '30', '--pumps', '3']) {
  const file = join(folder, 'ready.json')
  const child = spawn(binary(), ['demo', '--data', join(folder, 'demo'), '--http', '127.0.0.1:0', '--sim', '127.0.0.1:0', '--wechat', '127.0.0.1:0', '--ready-file', file, ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const s of [child.stdout, child.stderr]) s.on('data', text => { output += text })
  const ended = new Promise(done => child.once('exit', done))
  running.push({ child, ended })
  let demo
  for (let tries = 0; !demo; tries++) {
    try { demo = JSON.parse(readFileSync(file, 'utf8')) } catch {
      assert.ok(tries < 1800 && child.exitCode === null, `the demo is not ready:\n${output}`)
      await new Promise(done => setTimeout(done, 100))
    }
  }
  const page = await blank()
  await page.goto(demo.first_run)
  await page.fill('[name=name]', 'Ada')
  await page.fill('[name=password]', password)
  await page.click('button[type=submit]')
  await page.waitForURL(url => !url.pathname.startsWith('/first-run'))
  storage = await page.context().storageState()
  const me = await (await page.request.get(demo.http + '/v1/operator/me')).json()
  const made = await page.request.post(demo.http + '/v1/operator/keys', { data: { staff: me.id, label: 'tests', role: 'admin' }, headers: { Origin: demo.http } })
  assert.ok(made.ok(), `no key for the tests: ${made.status()} ${await made.text()}`)
  demo.key = (await made.json()).api_key
  await page.context().close()
  stage = demo
  return demo
}

/** The first admin's. */
export const password = 'a long enough sentence'

// For how long anything may take before it counts as never, ms: long, since a machine may
// have other work.
const patience = 60_000

let stage, storage, browser, contexts = []

/** Hosts that any page asked for anything. */
export const requested = new Set()

async function blank(more = {}) {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  })
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...more })
  contexts.push(context)
  const page = await context.newPage()
  page.setDefaultTimeout(patience)
  return page
}

export const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }

/**
 * Gives a page of a signed-in browser. page.faults gathers scripts' errors, words that
 * are missing and violations of the policy; sound asserts that there are none.
 * @param {any} [more] of a browser context; phone is one
 */
export async function open({ path, ...more } = {}) {
  const page = await blank({ storageState: storage, ...more })
  page.faults = []
  page.context().on('request', r => requested.add(new URL(r.url()).host))
  page.on('pageerror', e => page.faults.push(e.stack ?? e.message))
  // A refusal of the API is an answer, and the page says it; its line in the log is not ours.
  page.on('console', m => m.type() === 'error' && !/^Failed to load resource/.test(m.text()) && page.faults.push(m.text()))
  await page.addInitScript(() => addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`)))
  if (path !== undefined) await visit(page, path)
  return page
}

/** Goes to a path below /console and waits until it shows. */
export async function visit(page, path) {
  await page.goto(stage.http + '/console' + path)
  await shown(page)
}

/** Waits until a page of the console shows and has loaded what it shows first. */
export async function shown(page) {
  await page.locator('main h1').first().waitFor({ state: 'attached' })
  await page.waitForFunction(() => !document.querySelector('main .waiting'))
}

/** Goes on inside the console, as a link does. */
export async function go(page, path) {
  await page.evaluate(path => { history.pushState(null, '', '/console' + path); dispatchEvent(new PopStateEvent('popstate')) }, path)
  await shown(page)
}

/** Lets the pages that come have the login that a page has by now: it signed in anew. */
export async function keep(page) { storage = await page.context().storageState() }

/** Takes all pages away. */
export async function close() {
  await Promise.all(contexts.map(c => c.close()))
  contexts = []
}

/** Ends the browser and the demo. */
export async function stop() {
  await browser?.close()
  await Promise.all(running.map(async ({ child, ended }) => {
    child.kill('SIGINT')
    const late = setTimeout(() => child.kill('SIGKILL'), patience)
    await ended
    clearTimeout(late)
  }))
  rmSync(folder, { recursive: true, force: true })
}

let pictures = 0

/** Takes a picture where UNLATCH_SHOTS asks for them. */
export async function picture(page, name) {
  if (!shots) return
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: join(shots, `${String(++pictures).padStart(2, '0')}-${name}.png`) })
}

/**
 * Asserts what every page owes: no serious fault that axe knows of, nothing wider than
 * the window, no script that failed, no word that is missing.
 * @param {string[]} [rules] of axe; absent: all of them, [] none
 */
export async function sound(page, name, rules) {
  // What still fades in has colours of its own; what turns without end is looked at as it is.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter(a => a.effect?.getComputedTiming().endTime !== Infinity).map(a => a.finished)))
  await picture(page, name)
  if (!await page.evaluate(() => 'axe' in globalThis)) await page.evaluate(axe)
  const { violations } = rules?.length === 0 ? { violations: [] } : await page.evaluate(rules => globalThis.axe.run(document, { resultTypes: ['violations'], ...(rules && { runOnly: rules }) }), rules)
  const grave = violations.filter(v => ['serious', 'critical'].includes(v.impact))
  assert.deepEqual(grave.map(v => `${v.id}: ${v.nodes.slice(0, 4).map(n => n.html.slice(0, 200) + ' ' + (n.any[0]?.message ?? '')).join(' | ')}`), [], `axe on ${name}`)
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  assert.ok(wide <= 0, `${name} is ${wide} px wider than the window`)
  assert.deepEqual(page.faults, [], `scripts of ${name}`)
}

/**
 * Asks the API as the admin.
 * @param {string} method
 * @param {string} path below the API's origin, or a whole address
 */
export async function ask(method, path, body, { once } = {}) {
  const r = await fetch(path.startsWith('http') ? path : stage.http + path, { method, body: body && JSON.stringify(body),
    headers: { Authorization: `Bearer ${stage.key}`, ...(body && { 'Content-Type': 'application/json' }), ...(once && { 'Idempotency-Key': once }) } })
  const text = await r.text()
  assert.ok(r.ok, `${method} ${path}: ${r.status} ${text}`)
  return text ? JSON.parse(text) : null
}

/** Waits until fn gives something, and gives that. */
export async function until(fn, what) {
  for (const end = Date.now() + patience; Date.now() < end;) {
    const found = await fn()
    if (found) return found
    await new Promise(done => setTimeout(done, 100))
  }
  throw new Error(`${what} never came`)
}
