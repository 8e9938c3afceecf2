// The console's ground: frame, keyboard, words, looks, and what every page owes.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, test } from 'node:test'
import { ask, begin, close, go, open, password, phone, picture, requested, shown, sound, stop, until, visit, keep } from './stage.mjs'

let demo
before(async () => { demo = await begin() })
afterEach(close)
after(stop)

// Every page of app.js, with the ids of this demo where it takes one.
const source = readFileSync(new URL('../web/app.js', import.meta.url), 'utf8')
const table = source.slice(source.indexOf('export const pages = {'), source.indexOf('\n}', source.indexOf('export const pages = {')))
async function addresses() {
  const { orders } = await ask('GET', '/v1/operator/orders?limit=1')
  const { riders } = await ask('GET', '/v1/operator/riders?limit=1')
  const ids = { '/devices/:id': '/devices/bike-030', '/orders/:id': '/orders/' + orders[0].id, '/riders/:id': '/riders/' + riders[0].id, '/venues/:id': '/venues/station' }
  return [...table.matchAll(/'(\/[^']*)': '\w+'/g)].map(m => ids[m[1]] ?? m[1])
}

// All of axe's rules once; in the dark those about colour, on a phone those about size.
const ways = { light: [{}, undefined], dark: [{ colorScheme: 'dark' }, ['color-contrast', 'link-in-text-block']], phone: [phone, ['target-size', 'scrollable-region-focusable', 'color-contrast']], chinese: [{ locale: 'zh-CN' }, []] }
for (const [name, [more, rules]] of Object.entries(ways)) {
  test(`every page is sound: ${name}`, async () => {
    const page = await open({ path: '/', ...more })
    for (const path of await addresses()) {
      await go(page, path)
      await sound(page, `${name}${path.replaceAll('/', '-')}`, rules)
    }
  })
}

test('nothing is asked of another host', () => {
  assert.deepEqual([...requested], [new URL(demo.http).host])
})

test('each word comes from the dictionary: nothing shows without its brackets in the pseudo-locale', async () => {
  const page = await open({ path: '/me?pseudo=1' })
  for (const path of ['/me', '/wall', '/closes']) {
    await go(page, path)
    const bare = await page.evaluate(() => {
      const found = []
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
      for (let n = walk.nextNode(); n; n = walk.nextNode()) {
        const text = n.data.trim(), e = n.parentElement
        if (!/[a-z]{4}/i.test(text) || text.includes('⟦') || text.includes('⟧') || e.closest('noscript, script, kbd, code, .mono, time, [lang], .brand, .who-text b, option, .tile-name, .prices')) continue
        found.push(text)
      }
      return found
    })
    // What is left are facts: names of venues, people, browsers and devices.
    assert.deepEqual(bare.filter(text => !/^(Ada|Willow|pump-|Unlatch|unlatch|.*(Chrome|Linux|yuan)|\d|¥|9[258])/.test(text)), [], path)
    assert.deepEqual(page.faults, [], path)
  }
})

test('the language changes without loading again', async () => {
  const page = await open({ path: '/me' })
  await page.evaluate(() => { globalThis.stayed = true })
  await page.getByRole('button', { name: '简体中文' }).click()
  await page.getByRole('heading', { name: '我的', exact: true }).waitFor()
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-CN')
  assert.ok(await page.evaluate(() => globalThis.stayed))
  await page.reload()
  await page.getByRole('heading', { name: '我的', exact: true }).waitFor()
})

test('the theme is the system\u2019s until one is chosen, and is there before the first paint', async () => {
  const page = await open({ path: '/me', colorScheme: 'dark' })
  const ground = () => page.evaluate(() => getComputedStyle(document.body.parentElement).backgroundColor)
  const dark = await ground()
  await page.getByRole('button', { name: 'Light', exact: true }).click()
  await until(async () => await ground() !== dark, 'another ground')
  await page.reload()
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light')
})

test('figures and files read as people write them', async () => {
  const page = await open({ path: '/me' })
  const read = language => page.evaluate(async language => {
    const base = document.querySelector('script[type=module]').src.replace(/app\.js$/, '')
    const [f, w, s] = await Promise.all(['format', 'words', 'show'].map(name => import(`${base}lib/${name}.js`)))
    w.setLanguage(language)
    const columns = [{ key: 'a', title: 'A' }, { key: 'b', title: 'B, too' }]
    return [f.money(-5), f.money(123456789), f.money(null), f.litres(12345), f.age(3725), f.age(59), f.age(200000), f.duration(250), f.percent(.125), f.relative(Date.now() - 300_000, Date.now()),
      s.csv(columns, [{ a: '=1+1', b: 'x "y"' }, { a: -5, b: null }])]
  }, language)
  assert.deepEqual(await read('en'), ['−¥0.05', '¥1,234,567.89', '–', '12.35 L', '1 h 2 min', '59 s', '2 d 7 h', '250 ms', '13%', '5 min. ago', '\ufeffA,"B, too"\r\n\'=1+1,"x ""y"""\r\n-5,\r\n'])
  assert.deepEqual((await read('zh-CN')).slice(4, 10), ['1 小时 2 分', '59 秒', '2 天 7 小时', '250 ms', '13%', '5分钟前'])
})

test('rows of a table are walked with the arrows and opened with Enter', async () => {
  const page = await open({ path: '/orders' })
  const rows = page.locator('main tbody tr')
  await rows.nth(2).waitFor()
  await rows.first().focus()
  await page.keyboard.press('ArrowDown')
  await page.waitForFunction(() => document.activeElement === document.querySelectorAll('main tbody tr')[1])
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/console\/orders\/[0-9a-f-]+$/)
})

test('keys lead from page to page, and the sheet names them', async () => {
  const page = await open({ path: '/me' })
  // What comes faster than hands, or slower than they forget, is no sequence; which of both
  // a busy machine makes of it, it makes by chance, so the hands try again.
  await until(async () => {
    await page.keyboard.press('g')
    await page.waitForTimeout(120)
    await page.keyboard.press('w')
    return page.waitForURL(/\/console\/wall$/, { timeout: 3000 }).then(() => true, () => false)
  }, 'the wall')
  await page.getByRole('heading', { name: 'Pump wall' }).waitFor()
  assert.equal(new URL(page.url()).pathname, '/console/wall')
  await page.waitForTimeout(120)
  await page.keyboard.press('?')
  const sheet = page.getByRole('dialog', { name: 'Keyboard' })
  await sheet.getByText('Stop all of the venue').waitFor()
  await sound(page, 'keys')
  await page.keyboard.press('Escape')
  await sheet.waitFor({ state: 'detached' })
  await page.waitForTimeout(120)
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox', { name: /^Page, device/ }).fill('clos')
  await sound(page, 'palette')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Closes', exact: true }).waitFor()
})

test('the palette finds a device by a part of its name', async () => {
  const page = await open({ path: '/me' })
  await page.keyboard.press('/')
  await page.getByRole('combobox', { name: /^Page, device/ }).fill('bike-012')
  await page.getByRole('option', { name: /bike-012/ }).first().waitFor()
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/console\/devices\/bike-012$/)
})

test('a barcode gun opens the device from anywhere outside of a field', async () => {
  const { codes } = await ask('GET', '/v1/operator/codes?device=bike-012')
  const page = await open({ path: '/me' })
  assert.ok(codes.length, 'bike-012 has a code')
  // A gun is a keyboard of a few milliseconds per key; keys of one task come as fast.
  const gun = text => page.evaluate(text => {
    for (const key of [...text, 'Enter']) dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))
  }, text)
  await gun(codes[0].number)
  await page.waitForURL(/\/console\/devices\/bike-012$/)
  await go(page, '/me')
  await gun(codes[0].url)
  await page.waitForURL(/\/console\/devices\/bike-012$/)
  await go(page, '/me')
  await gun('9999999999')
  await page.getByText('Nothing is known of 9999999999').waitFor()
  assert.match(page.url(), /\/me$/)
})

test('what lets people in asks for the password of who signed in long ago, and goes on', async () => {
  const page = await open({ path: '/staff' })
  let refused = 0
  await page.route('**/v1/operator/staff', (route, r) => r.method() === 'POST' && !refused++
    ? route.fulfill({ status: 403, contentType: 'application/problem+json', body: JSON.stringify({ status: 403, code: 'proof_needed', title: '' }) }) : route.continue())
  await page.getByRole('button', { name: 'New member' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Kim')
  await page.getByRole('button', { name: 'Make member' }).click()
  const proof = page.getByRole('dialog', { name: 'Confirm that it is you' })
  await proof.getByLabel('Your password').fill('not my password')
  await proof.getByRole('button', { name: 'Confirm that it is you' }).click()
  await proof.getByRole('alert').waitFor()
  await sound(page, 'fresh-login')
  await proof.getByLabel('Your password').fill(password)
  await proof.getByRole('button', { name: 'Confirm that it is you' }).click()
  await page.getByText('Kim is a member now').first().waitFor()
  assert.ok((await (await page.request.get(new URL('/v1/operator/staff', page.url()).href)).json()).staff.some(m => m.name === 'Kim'))
  await keep(page)
})

test('who signs out sees the sign-in page, and comes back to where they were', async () => {
  const fresh = await open({ path: '/me' })
  await fresh.context().clearCookies()
  await fresh.goto(demo.http + '/console/closes?period=day')
  await fresh.waitForURL(/\/sign-in/)
  await fresh.fill('[name=name]', 'Ada')
  await fresh.fill('[name=password]', password)
  await fresh.click('form button[type=submit]')
  await fresh.waitForURL(/\/console\/closes\?period=day$/)
  await fresh.getByRole('button', { name: 'Sign out' }).click()
  await fresh.waitForURL(/\/sign-in/)
})

test('a passkey is added, signs in and is removed', async () => {
  // Passkeys are for names: localhost is one, 127.0.0.1 is not.
  const page = await open(), at = demo.http.replace('127.0.0.1', 'localhost')
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('WebAuthn.enable')
  await devtools.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true } })
  const signIn = async () => {
    await page.goto(at + '/sign-in?to=/console/me')
    await page.fill('[name=name]', 'Ada')
  }
  await signIn()
  await page.fill('[name=password]', password)
  await page.click('form button[type=submit]')
  await shown(page)
  await page.getByText('No passkey yet').waitFor()
  await page.getByRole('button', { name: 'Add a passkey' }).click()
  await page.getByLabel('Name of the passkey').fill('Laptop at the depot')
  await page.getByRole('dialog').getByRole('button', { name: 'Add a passkey' }).click()
  await page.getByText('Passkey added').waitFor()
  await page.getByRole('listitem').filter({ hasText: 'Laptop at the depot' }).waitFor()
  await sound(page, 'passkey')

  // Long after the sign-in the server wants more than a cookie. It is told so here, since
  // nobody waits ten minutes; the password goes to the server.
  const proofs = []
  await page.route('**/v1/operator/passkeys/options', (route, r) => {
    const { password } = r.postDataJSON()
    proofs.push(password)
    return password ? route.continue() : route.fulfill({ status: 403, contentType: 'application/problem+json', body: JSON.stringify({ status: 403, code: 'proof_needed', title: '' }) })
  })
  await page.getByRole('button', { name: 'Add a passkey' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name of the passkey').fill('Key ring')
  await dialog.getByRole('button', { name: 'Add a passkey' }).click()
  await dialog.getByLabel('Your password').fill('not my password')
  await sound(page, 'passkey-proof')
  await dialog.getByRole('button', { name: 'Add a passkey' }).click()
  await dialog.getByText('The present password is another one').waitFor()
  await dialog.getByLabel('Your password').fill(password)
  await dialog.getByRole('button', { name: 'Add a passkey' }).click()
  await dialog.getByText('The browser made no passkey').waitFor() // this authenticator holds one of Ada's already
  assert.deepEqual(proofs, [undefined, 'not my password', password])
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.waitForURL(/\/sign-in/)
  await signIn()
  await page.getByRole('button', { name: /passkey/i }).click()
  await page.waitForURL(/\/console\/me/)
  await page.getByRole('row', { name: /This one/ }).getByText('Passkey').waitFor()
  await page.getByRole('button', { name: 'Remove: Laptop at the depot' }).waitFor()
  // An admin ends it where the members are, as another's.
  await go(page, '/staff')
  await page.getByRole('button', { name: 'Passkeys of Ada' }).click()
  await sound(page, 'passkeys-of-a-member')
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await page.getByRole('dialog').last().getByRole('button', { name: 'Revoke' }).click()
  await page.getByText('No passkey', { exact: true }).waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
  await page.getByRole('button', { name: 'Passkeys of Ada' }).waitFor({ state: 'detached' })
  await go(page, '/me')
  await page.getByText('No passkey yet').waitFor()
})

test('the wall counts litres, stops a pump, and stops all of a venue in two steps by the keyboard', async () => {
  const page = await open({ path: '/wall' })
  await page.locator('.tile.running').first().waitFor()
  const figure = () => page.locator('.tile.running .tile-figure span').first().innerText().catch(() => '')
  const before = await figure()
  await until(async () => await figure() !== before, 'another figure')
  await picture(page, 'wall-live')
  await visit(page, '/wall?tv=1')
  await page.locator('.tile').first().waitFor()
  assert.equal(await page.locator('.side').count(), 0)
  await sound(page, 'wall-tv')
  await visit(page, '/wall')
  await page.locator('.tile').first().waitFor()

  await page.getByRole('button', { name: 'Stop pump-03' }).first().click()
  await page.getByLabel('Reason').fill('it drips')
  await page.getByRole('dialog').getByRole('button', { name: 'Stop pump-03' }).click()
  await page.locator('.tile', { hasText: 'pump-03' }).filter({ hasText: 'Stopped' }).first().waitFor()
  assert.equal((await ask('GET', '/v1/operator/devices/pump-03')).stopped, 'it drips')

  await page.keyboard.press('s')
  const dialog = page.getByRole('dialog', { name: /Stop all of/ })
  await dialog.getByText('Step 1 of 2').waitFor()
  await page.keyboard.press('Enter')
  await dialog.getByText('Step 2 of 2').waitFor()
  await sound(page, 'stop-all')
  await page.waitForTimeout(500) // for so long a key counts as held down since the first step
  await page.keyboard.press('Enter')
  await dialog.waitFor({ state: 'detached' })
  await until(async () => await page.locator('.tile', { hasText: 'Stopped' }).count() === 6, 'six stopped sides')
  await picture(page, 'wall-stopped')
})

test('a close is looked at, taken once and printed', async () => {
  const page = await open({ path: '/closes' })
  await page.getByText('Next shift close, number 1').waitFor()
  await page.getByRole('button', { name: 'Close the shift' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Close the shift' }).click()
  await page.getByRole('heading', { name: 'Shift close 1' }).waitFor()
  await shown(page)
  await sound(page, 'close')
  await page.emulateMedia({ media: 'print' })
  assert.equal(await page.locator('.side').isVisible(), false)
  assert.equal(await page.locator('.close-sign').isVisible(), true)
  await picture(page, 'close-print')
  await page.emulateMedia({ media: 'screen' })
  await page.goBack()
  await page.getByText('Next shift close, number 2').waitFor()
  const { closes } = await ask('GET', '/v1/operator/venues/station/closes?period=shift')
  assert.deepEqual(closes.map(c => c.number), [1])
})

test('one tab holds the stream for all tabs, and another takes it over', async () => {
  const page = await open({ path: '/' })
  let streams = 0
  page.context().on('request', r => { if (r.url().includes('/v1/operator/updates')) streams++ })
  const second = await page.context().newPage()
  await second.goto(demo.http + '/console/me')
  await shown(second)
  await second.locator('.stream.live').waitFor()
  assert.equal(streams, 0)
  await page.close()
  await until(() => streams === 1, 'a stream of the second tab')
  await second.locator('.stream.live').waitFor()
})

test('an address of no page says so, and a page that is lost offers to load again', async () => {
  const page = await open({ path: '/no/such/page' })
  await page.getByRole('heading', { name: 'No such page' }).waitFor()
  await sound(page, 'no-page')
  await page.route('**/pages/venues.js', route => route.abort())
  await page.evaluate(() => { history.pushState(null, '', '/console/venues'); dispatchEvent(new PopStateEvent('popstate')) })
  await page.getByRole('button', { name: 'Load again' }).waitFor()
})

test('a password is changed, and another login is ended', async () => {
  const other = await open({ path: '/me' })
  await other.context().clearCookies()
  await other.goto(demo.http + '/sign-in')
  await other.fill('[name=name]', 'Ada')
  await other.fill('[name=password]', password)
  await other.click('form button[type=submit]')
  await other.waitForURL(/\/console\//)
  const page = await open({ path: '/me' })
  const row = page.getByRole('row').filter({ hasNotText: 'This one' }).filter({ has: page.getByRole('button', { name: 'End', exact: true }) }).first()
  await row.getByRole('button', { name: 'End', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'End this login' }).click()
  await page.getByText('The login has ended').waitFor()
  await page.getByLabel('Present password').fill('not this one at all')
  await page.getByLabel('New password', { exact: true }).fill('another long sentence')
  await page.getByLabel('New password again').fill('another long sentence')
  await page.getByRole('button', { name: 'Change the password' }).click()
  await page.getByRole('alert').getByText('The present password is another one').waitFor()
  await page.getByLabel('Present password').fill(password)
  await page.getByRole('button', { name: 'Change the password' }).click()
  await page.getByText('The password is changed').waitFor()
})
