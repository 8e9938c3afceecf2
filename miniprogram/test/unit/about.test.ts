// A rider's own number: given on a tap, shown by its end, taken back.

import { config } from '../../src/config'
import { Fault } from '../../src/lib/platform'
import { Unlatch } from '../../src/lib/unlatch'
import { AboutScreen } from '../../src/screens/about'
import { FakePlatform } from '../fake'

type Any = any

/** The server's answers by method and path; what is missing is an empty one. */
let answers: Record<string, object>
let platform: FakePlatform
let app: Unlatch
let shown: Any

const refusal = (status: number, code: string) => ({ status, body: { code, detail: '' } })

async function open(asks = true): Promise<AboutScreen> {
  shown = {}
  platform = new FakePlatform((c) => answers[`${c.method} ${c.url.slice(config.api.length)}`] ?? {})
  platform.kept = 'T'
  app = new Unlatch(platform, { ...config, askPhone: asks })
  const screen = new AboutScreen(app, (values) => Object.assign(shown, values))
  await screen.begin({})
  return screen
}

const posted = () => platform.calls.filter((c) => c.method === 'POST').map((c) => [c.url.slice(config.api.length), c.body])

beforeEach(() => {
  answers = { 'GET /v1/me/phone': { body: { given: false } }, 'POST /v1/me/phone/forget': { status: 204 } }
})

test('a number is given on a tap, known by its end, and taken back', async () => {
  const screen = await open()
  expect(shown.number).toMatchObject({ give: 'Give my number', take: '' })
  expect(shown.number.text).toContain('Only if you like')
  answers['POST /v1/me/phone'] = { body: { given: true, ends: '1234' } }
  await screen.tap('givePhone', 'code')
  expect(shown.number).toMatchObject({ give: '', take: 'Take my number back' })
  expect(shown.number.text).toContain('ends with 1234')
  expect(shown.heard).toBe('Thank you. Staff now find you by your number.')
  await screen.tap('takePhone', '')
  expect(shown.number).toMatchObject({ give: 'Give my number', take: '' })
  expect(shown.heard).toBe('Your number is taken back. Staff no longer find you by it.')
  expect(posted()).toEqual([
    ['/v1/me/phone', '{"code":"code"}'],
    ['/v1/me/phone/forget', undefined],
  ])
})

test('who refuses sends nothing, and reads that everything works without it', async () => {
  const screen = await open()
  await screen.tap('givePhone', '', new Fault('cancelled', 'getPhoneNumber:fail user deny'))
  expect([shown.heard, shown.notice]).toEqual(['You gave no number. Everything works without it.', null])
  await screen.tap('givePhone', '', new Fault('withheld', 'getPhoneNumber:fail no quota', 1400001))
  expect([shown.heard, shown.notice.code]).toEqual(['', 'withheld'])
  expect(shown.number.give).not.toBe('')
  expect(posted()).toEqual([])
})

test('an installation that does not ask shows no button, and still takes back what was given', async () => {
  await open(false)
  expect(shown.number).toBeNull()
  answers['GET /v1/me/phone'] = { body: { given: true, ends: '1234' } }
  const screen = await open(false)
  expect(shown.number).toMatchObject({ give: '', take: 'Take my number back' })
  await screen.tap('takePhone', '')
  expect(shown.number).toBeNull()
})

test('a server that does not ask takes the button away, for as long as the app lives', async () => {
  const screen = await open()
  answers['POST /v1/me/phone'] = refusal(409, 'phone_not_asked')
  await screen.tap('givePhone', 'code')
  expect([shown.number, shown.notice, shown.say]).toEqual([
    null,
    null,
    'We do not ask for numbers here. Nothing was kept.',
  ])
  const again = new AboutScreen(app, (values) => Object.assign(shown, values))
  await again.begin({})
  expect(shown.number).toBeNull()
})

test('a code that is refused on its repeat may have worked: the server’s word counts', async () => {
  const screen = await open()
  answers['POST /v1/me/phone'] = refusal(401, 'login_code_invalid')
  await screen.tap('givePhone', 'old')
  expect(shown.notice).toMatchObject({ title: 'No number has arrived', code: 'login_code_invalid' })
  expect(shown.number.give).not.toBe('')
  answers['GET /v1/me/phone'] = { body: { given: true, ends: '1234' } }
  await screen.tap('givePhone', 'used')
  expect(shown.notice).toBeNull()
  expect(shown.number.text).toContain('ends with 1234')
})

test('too many tries are said, and what could not be asked is asked again', async () => {
  const screen = await open()
  answers['POST /v1/me/phone'] = refusal(429, 'too_many_requests')
  const trying = screen.tap('givePhone', 'code')
  await platform.pass(60_000)
  await trying
  expect(shown.notice.title).toBe('Too fast')
  answers['GET /v1/me/phone'] = refusal(500, 'internal')
  await screen.tap('retry', '')
  expect(shown.notice.code).toBe('internal')
  answers['GET /v1/me/phone'] = { body: { given: true, ends: '1234' } }
  await screen.tap('retry', '')
  expect([shown.notice, shown.number.take]).toEqual([null, 'Take my number back'])
})

test('logged out, nothing of the number is left on the screen', async () => {
  answers['GET /v1/me/phone'] = { body: { given: true, ends: '1234' } }
  const screen = await open()
  await screen.tap('logout', '')
  expect([shown.number, platform.kept]).toEqual([null, ''])
})
