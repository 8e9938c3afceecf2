// Leaving a page before it had its answers, and coming back: the place is kept, and what
// was asked by the page that was left touches nothing that shows.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { ask, begin, close, open, stop, until } from './stage.mjs'

before(async () => { await begin(['--bikes', '40', '--pumps', '3', '--riding', '0', '--fuelling', '0']) })
afterEach(close)
after(stop)

const box = page => page.locator('.fleet-scroll')
const top = page => box(page).evaluate(e => e.scrollTop)
const active = page => page.locator('table.rows tr.active:not([hidden])')

// list opens the fleet in a window that shows a part of it, with its last row the active
// one and scrolled to where that is out of sight: two places that are one without the other.
async function list() {
  const page = await open({ path: '/?q=bike' })
  await page.locator('table.rows[aria-rowcount="41"]').waitFor()
  await page.locator('table.rows').focus()
  await page.keyboard.press('End')
  await active(page).and(page.locator('[aria-rowindex="41"]')).waitFor()
  await box(page).evaluate(e => { e.scrollTop = 180 })
  return page
}

// held keeps an answer back until release.
async function held(page, pattern) {
  let release = /** @type {any} */ (null)
  const freed = new Promise(done => { release = done })
  let asked = 0
  await page.route(pattern, async route => {
    asked++
    await freed
    await route.continue().catch(() => {}) // the page that asked no longer wants it
  })
  return { release, asked: () => asked }
}

const held180 = page => until(async () => await top(page).catch(() => 0) === 180, 'the place that the list had')

test('a list left by Enter and come back to at once stands where it stood', async () => {
  const page = await list()
  const answer = await held(page, '**/v1/operator/devices/bike-040')
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/console\/devices\/bike-040$/)
  await page.goBack()
  await page.waitForURL(/\/console\/\?q=bike$/)
  await held180(page)
  await page.locator('table.rows').focus()
  await page.keyboard.press('ArrowUp') // from the row that was the active one
  await active(page).and(page.locator('[aria-rowindex="40"]')).waitFor()
  answer.release()
  assert.deepEqual(page.faults, [])
})

test('a list left by a click, before any frame was drawn of the device, stands where it stood', async () => {
  const page = await list()
  const answer = await held(page, '**/v1/operator/devices/**')
  // One after the other in one breath: no frame and no timer comes between.
  await page.evaluate(async () => {
    const row = /** @type {any} */ ([...document.querySelectorAll('table.rows tbody tr:not([hidden]) a')].find(a => a.textContent === 'bike-010'))
    row.click()
    await new Promise(queueMicrotask)
    if (!location.pathname.endsWith('/devices/bike-010')) throw new Error('the click opened ' + location.pathname)
    history.pushState(null, '', '/console/?q=bike')
    dispatchEvent(new PopStateEvent('popstate'))
  })
  await held180(page)
  await page.locator('table.rows').focus()
  await page.keyboard.press('ArrowUp')
  await active(page).and(page.locator('[aria-rowindex="40"]')).waitFor()
  answer.release()
  assert.deepEqual(page.faults, [])
})

test('a device’s answer that comes when the fleet shows again changes nothing there', async () => {
  const page = await list()
  const answer = await held(page, '**/v1/operator/devices/bike-040')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'bike-040' }).waitFor()
  await until(answer.asked, 'what the device’s page asks')
  await page.goBack()
  await held180(page)
  const title = await page.title()
  answer.release()
  await page.getByRole('button', { name: 'Live' }).click() // the page does what it is asked
  await page.getByRole('region', { name: 'Live' }).getByRole('button', { name: 'Pause' }).waitFor()
  assert.equal(await page.title(), title)
  assert.equal(new URL(page.url()).search, '?q=bike')
  assert.deepEqual(page.faults, [])
})

test('a venue that is made when somebody has gone on does not lead them away', async () => {
  const page = await open({ path: '/venues' })
  await page.getByRole('button', { name: 'New venue' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill('Maple Campus')
  await dialog.getByLabel('Id').fill('maple')
  const answer = await held(page, '**/v1/operator/venues/maple')
  await dialog.locator('button[type=submit]').click()
  await until(answer.asked, 'the question whether the id is taken')
  await page.evaluate(() => { history.pushState(null, '', '/console/orders'); dispatchEvent(new PopStateEvent('popstate')) })
  await page.getByRole('heading', { name: 'Orders' }).waitFor()
  const put = page.waitForResponse(r => r.url().endsWith('/venues/maple') && r.request().method() === 'PUT')
  const again = put.then(() => page.waitForResponse(r => r.url().endsWith('/v1/operator/venues'))) // the list of venues, read anew
  answer.release()
  const read = await again
  await read.finished()
  // What follows that answer in the page comes before what the page is asked next.
  await page.evaluate(() => fetch('/v1/operator/venues').then(r => r.json()).then(() => new Promise(done => { setTimeout(done) })))
  assert.equal(new URL(page.url()).pathname, '/console/orders')
  assert.equal((await ask('GET', '/v1/operator/venues/maple')).name, 'Maple Campus')
  assert.deepEqual(page.faults, [])
})
