// Stickers: minted, printed on a sheet whose every symbol reads, printed again one by one,
// bound at the phone, swapped and revoked.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { ask, begin, close, open, phone, sound, stop, until } from './stage.mjs'

const folder = mkdtempSync(join(tmpdir(), 'unlatch-labels-'))
before(async () => { await begin(['--bikes', '6', '--pumps', '1', '--riding', '0', '--fuelling', '0']) })
afterEach(close)
after(async () => {
  await stop()
  rmSync(folder, { recursive: true, force: true })
})

/** What the labels of a page's sheet say, cut apart: a symbol stands in each. */
function read(pdf, page, { columns, rows, left_mm, top_mm, pitch_x_mm, pitch_y_mm, label_width_mm, label_height_mm }) {
  const dpi = 200, dots = mm => Math.round(mm / 25.4 * dpi), name = join(folder, 'page')
  execFileSync('pdftoppm', ['-r', dpi, '-gray', '-f', page, '-l', page, '-singlefile', pdf, name])
  const whole = readFileSync(name + '.pgm'), head = /^P5\s+(\d+)\s+(\d+)\s+255\s/.exec(whole.toString('latin1', 0, 60))
  const width = Number(head[1]), height = Number(head[2]), pixels = whole.subarray(head[0].length)
  const cuts = Array.from({ length: columns * rows }, (_, i) => {
    const x = dots(left_mm + i % columns * pitch_x_mm), y = dots(top_mm + Math.floor(i / columns) * pitch_y_mm)
    const w = Math.min(dots(label_width_mm), width - x), h = Math.min(dots(label_height_mm), height - y)
    const file = join(folder, `cut-${i}.pgm`)
    writeFileSync(file, Buffer.concat([Buffer.from(`P5\n${w} ${h}\n255\n`), ...Array.from({ length: h }, (_, r) => pixels.subarray((y + r) * width + x, (y + r) * width + x + w))]))
    return file
  })
  // One process reads them all; its exit code tells that some held none.
  const { stdout } = spawnSync('zbarimg', ['-q', '--xml', '--nodbus', '-Sdisable', '-Sqrcode.enable', ...cuts], { encoding: 'utf8' })
  const says = new Map([...stdout.matchAll(/<source href='([^']+)'>(.*?)<\/source>/gs)].map(([, file, found]) => [file, /CDATA\[(.*?)\]\]/.exec(found)?.[1] ?? '']))
  return cuts.map(cut => says.get(cut) ?? '')
}

async function taken(page, press) {
  const [download] = await Promise.all([page.waitForEvent('download'), press()])
  const path = join(folder, download.suggestedFilename())
  await download.saveAs(path)
  return path
}

test('a batch is minted and printed, and every symbol of its sheets reads', async () => {
  const page = await open({ path: '/codes' })
  await page.getByText('No batch yet').waitFor()
  await page.getByRole('button', { name: 'Mint a batch' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Venue').selectOption('campus')
  await dialog.getByLabel('Codes', { exact: true }).fill('26')
  await dialog.getByLabel('Caption').fill('Scan to ride')
  await dialog.getByRole('button', { name: 'Mint' }).click()
  await page.getByText('26 labels', { exact: true }).waitFor()
  const { batches: [batch] } = await ask('GET', '/v1/operator/codes/batches')
  assert.deepEqual([batch.count, batch.venue, batch.unbound], [26, 'campus', 26])
  const { codes } = await ask('GET', `/v1/operator/codes/batches/${batch.id}/codes?limit=100`)

  await page.getByLabel('Begin at label').fill('3')
  await page.locator('[data-test=preview][data-used="22"]').waitFor()
  await page.getByText('26 labels on 2 pages.').waitFor()
  await sound(page, 'codes-print')
  const pdf = await taken(page, () => page.getByRole('button', { name: 'PDF' }).click())
  const { sheets } = await ask('GET', '/v1/operator/codes/sheets'), sheet = sheets.find(s => s.name === 'a4-3x8')
  const first = read(pdf, 1, sheet)
  assert.deepEqual(first, ['', '', ...codes.slice(0, 22).map(c => c.url)], 'the first page')
  assert.deepEqual(read(pdf, 2, { ...sheet, rows: 2 }), [...codes.slice(22).map(c => c.url), '', ''], 'the second page')

  // One of them again, at another place.
  await page.getByRole('row').filter({ hasText: codes[4].printed }).getByRole('button', { name: 'Print again' }).click()
  await page.getByText('Label 5 alone.').waitFor()
  await page.getByLabel('Begin at label').fill('6')
  const again = await taken(page, () => page.getByRole('button', { name: 'PDF' }).click())
  assert.deepEqual(read(again, 1, { ...sheet, rows: 2 }), ['', '', '', '', '', codes[4].url])
  const csv = readFileSync(await taken(page, () => page.getByRole('button', { name: 'CSV' }).click()), 'utf8')
  assert.ok(csv.startsWith('\ufefflabel,') && csv.includes(codes[4].number) && !csv.includes(codes[5].number), csv)
})

test('a sticker is bound at the phone, with a scanner that types, and swapped there', async () => {
  const { batches: [batch] } = await ask('GET', '/v1/operator/codes/batches')
  const { codes } = await ask('GET', `/v1/operator/codes/batches/${batch.id}/codes?limit=100`)
  const page = await open({ path: '/codes/scan', ...phone })
  await page.getByText('Scan the fresh sticker.').waitFor()
  await page.locator('h1').click() // wherever the focus was
  await page.keyboard.type(codes[0].url + '\n', { delay: 2 })
  await page.getByText(codes[0].printed).waitFor()
  await page.getByLabel('Device or sticker').fill('bike-001')
  await page.keyboard.press('Enter')
  await sound(page, 'scan-bind')
  await page.getByRole('button', { name: 'Bind to bike-001' }).click()
  await page.getByText('Done so far: 1').waitFor()
  assert.equal((await ask('GET', '/v1/operator/codes/' + codes[0].number)).device, 'bike-001')

  // The second one by what another sticker says.
  await page.keyboard.type(codes[1].printed + '\n')
  await page.getByText(codes[1].printed).first().waitFor()
  const { codes: [hanging] } = await ask('GET', '/v1/operator/codes?device=bike-002')
  await page.getByLabel('Device or sticker').fill(hanging.number)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Bind to bike-002' }).click()
  await page.getByText('Done so far: 2').waitFor()

  await page.getByRole('tab', { name: 'Swap' }).click()
  await page.getByLabel('Number of the sticker').fill(codes[0].number)
  await page.keyboard.press('Enter')
  await page.getByText(codes[0].printed).first().waitFor()
  await page.getByText('Now the other one.').waitFor()
  await page.getByLabel('Number of the sticker').fill(codes[1].number)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Swap the two' }).click()
  await page.getByText('Done so far: 3').waitFor()
  const now = await Promise.all(codes.slice(0, 2).map(c => ask('GET', '/v1/operator/codes/' + c.number)))
  assert.deepEqual(now.map(c => c.device), ['bike-002', 'bike-001'])
})

test('a code is looked up, replaced and revoked', async () => {
  const { codes: [old] } = await ask('GET', '/v1/operator/codes?device=bike-003')
  const page = await open({ path: '/codes?q=' + old.printed })
  await page.getByRole('img', { name: 'The symbol of ' + old.printed }).waitFor()
  await page.getByRole('button', { name: 'Replace' }).click()
  await page.getByRole('dialog').getByRole('button', { name: /^Replace/ }).click()
  await until(async () => (await ask('GET', '/v1/operator/codes/' + old.number)).revoked, 'the old one revoked')
  const fresh = (await ask('GET', '/v1/operator/codes?device=bike-003')).codes.find(c => !c.revoked)
  await page.getByRole('heading', { name: fresh.printed }).waitFor()
  await sound(page, 'code')
  await page.getByRole('button', { name: 'Revoke' }).click()
  await page.getByRole('dialog').getByLabel('Reason').fill('worn')
  await page.getByRole('dialog').getByRole('button', { name: /^Revoke/ }).click()
  await page.getByText('Revoked', { exact: true }).first().waitFor()
  assert.equal((await ask('GET', '/v1/operator/codes/' + fresh.number)).revoked, true)
  const { acts } = await ask('GET', '/v1/operator/audit?act=code.revoke')
  assert.equal(acts.filter(a => a.reason === 'worn').length, 1)
})
