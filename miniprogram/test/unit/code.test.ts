import { entryKey, read, readEntry, readScan } from '../../src/lib/code'

const domains = ['q.example.cn']
const number = '59486518762752'
const url = `https://q.example.cn/d/${number}`
const ours = { code: { url } }

test.each([
  ['an address', url, ours],
  ['http', `http://q.example.cn/d/${number}`, { code: { url: `http://q.example.cn/d/${number}` } }],
  ['no scheme', `q.example.cn/d/${number}`, ours],
  ['capitals in the host', `HTTPS://Q.Example.CN/d/${number}`, ours],
  ['a query and a fragment', `${url}?from=moments#x`, ours],
  ['spaces around it', `  ${url}\n`, ours],
  ['a password from a screen', `${url}-aB3_x-9`, { code: { url: `${url}-aB3_x-9` } }],
  ['the digits', number, { code: { number } }],
  ['the digits as printed', '5948-6518-7627-52', { code: { number } }],
  ['digits of a Chinese keyboard', '５９４８－６５１８　７６２７ 52', { code: { number } }],
  ['a digit too few', number.slice(1), { wrong: 'code_mistyped' }],
  ['two digits swapped', `95${number.slice(2)}`, { wrong: 'code_mistyped' }],
  ['a wrong digit in the address', url.replace('5948', '5947'), { wrong: 'code_mistyped' }],
  ['another host', `https://other.example.cn/d/${number}`, { wrong: 'code_foreign' }],
  ['our host as a name before another', `https://q.example.cn@evil.cn/d/${number}`, { wrong: 'not_a_code' }],
  ['another path', `https://q.example.cn/e/${number}`, { wrong: 'not_a_code' }],
  ['more path', `${url}/x`, { wrong: 'not_a_code' }],
  ['a payment code', 'wxp://f2f0abcdef', { wrong: 'not_a_code' }],
  ['words', 'hello', { wrong: 'not_a_code' }],
  ['nothing', '  ', { wrong: 'not_a_code' }],
  ['too much', `${url}?${'x'.repeat(600)}`, { wrong: 'not_a_code' }],
])('%s is read', (_, text, want) => {
  expect(read(text, domains)).toEqual(want)
})

test('all ways in read the same code', () => {
  expect(readEntry({ q: encodeURIComponent(url), scancode_time: '1700000000' }, domains)).toEqual(ours)
  expect(readScan({ result: url }, domains)).toEqual(ours)
  expect(readEntry({ scene: number }, domains)).toEqual({ code: { number } })
  expect(readEntry({ scene: encodeURIComponent(`${number}-aB3`) }, domains)).toEqual({ code: { url: `${url}-aB3` } })
  expect(readScan({ result: '', path: `pages/device/index?scene=${number}` }, domains)).toEqual({ code: { number } })
  expect(readEntry({ number: '5948-6518-7627-52' }, [])).toEqual({ code: { number } })
})

test('q is decoded once: an address that was encoded twice is not ours', () => {
  expect(readEntry({ q: encodeURIComponent(encodeURIComponent(url)) }, domains)?.wrong).toBe('not_a_code')
  expect(readEntry({ q: '%E0%A4%A' }, domains)).toEqual({ wrong: 'not_a_code' })
})

test('a start without a code is none', () => {
  expect(readEntry({}, domains)).toBeUndefined()
  expect(readEntry(undefined, domains)).toBeUndefined()
})

test('an entry is named by what and when', () => {
  expect(entryKey({ q: 'a', scancode_time: '1' })).toBe(entryKey({ q: 'a', scancode_time: '1' }))
  expect(entryKey({ q: 'a', scancode_time: '1' })).not.toBe(entryKey({ q: 'a', scancode_time: '2' }))
  expect(entryKey({ x: 'a' })).toBeUndefined()
})
