import * as fs from 'node:fs'
import * as path from 'node:path'
import { Collector, frames, fromBase64, toBase64 } from '../../src/lib/ble'

interface Vector {
  name: string
  message_hex?: string
  frames_hex: string[]
  messages_hex?: string[]
}

const vectors = JSON.parse(fs.readFileSync(path.join(__dirname, '../../../device/wire/testdata/frames.json'), 'utf8')) as Vector[]
const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))
const hex = (b: Uint8Array) => Buffer.from(b).toString('hex')

function collect(all: string[]): string[] {
  const c = new Collector()
  return all
    .map((f) => c.take(bytes(f), 0))
    .filter((m) => m !== undefined)
    .map((m) => hex(m))
}

test.each(vectors.filter((v) => v.message_hex !== undefined).map((v) => [v.name, v] as const))('golden: %s', (_, v) => {
  expect(frames(bytes(v.message_hex as string)).map(hex)).toEqual(v.frames_hex)
  expect(collect(v.frames_hex)).toEqual([v.message_hex])
})

test.each(vectors.filter((v) => v.messages_hex !== undefined).map((v) => [v.name, v] as const))('golden, broken: %s', (_, v) => {
  expect(collect(v.frames_hex)).toEqual(v.messages_hex)
})

test('five seconds of silence drop a half message', () => {
  const message = bytes('00'.repeat(40))
  const [first, ...rest] = frames(message)
  const patient = new Collector()
  patient.take(first, 0)
  expect(rest.map((f) => patient.take(f, 5000)).at(-1)).toEqual(message)
  const late = new Collector()
  late.take(first, 0)
  expect(rest.map((f) => late.take(f, 5001)).at(-1)).toBeUndefined()
})

test('a message has 1 to 1024 bytes', () => {
  expect(() => frames(new Uint8Array(0))).toThrow(RangeError)
  expect(() => frames(new Uint8Array(1025))).toThrow(RangeError)
  expect(frames(new Uint8Array(1024)).every((f) => f.length <= 20)).toBe(true)
})

test('base64 is what everybody else makes', () => {
  for (let n = 0; n < 70; n++) {
    const b = Uint8Array.from({ length: n }, (_, i) => (i * 37 + n) & 255)
    expect(toBase64(b)).toBe(Buffer.from(b).toString('base64'))
    expect(fromBase64(toBase64(b))).toEqual(b)
  }
  expect(() => fromBase64('a*b=')).toThrow(RangeError)
})
