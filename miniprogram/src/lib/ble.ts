// How a message travels over Bluetooth (docs/protocol.md): frames of at most 20 bytes. Byte 0 has FIRST in bit 7 and
// the index in the message, mod 128, in the others; the first frame's payload begins with the length, two bytes.

export const frameSize = 20
export const messageMost = 1024
/** Milliseconds of silence after which a half message is dropped. */
export const silence = 5000

/** Cuts a message of 1 to 1024 bytes into frames. */
export function frames(message: Uint8Array): Uint8Array[] {
  if (message.length < 1 || message.length > messageMost)
    throw new RangeError(`a message has 1 to ${messageMost} bytes, not ${message.length}`)
  const body = new Uint8Array(message.length + 2)
  body[0] = message.length >> 8
  body[1] = message.length & 0xff
  body.set(message, 2)
  const out: Uint8Array[] = []
  for (let at = 0, index = 0; at < body.length; at += frameSize - 1, index++) {
    const piece = body.subarray(at, at + frameSize - 1)
    const frame = new Uint8Array(piece.length + 1)
    frame[0] = (index === 0 ? 0x80 : 0) | (index & 0x7f)
    frame.set(piece, 1)
    out.push(frame)
  }
  return out
}

/** Puts frames together again. Whatever does not fit drops what was collected; the next first frame begins anew. */
export class Collector {
  private parts: number[] | undefined
  private length = 0
  private index = 0
  private heard = 0

  /** Takes one frame that came at a moment, ms; answers the message that it completes. */
  take(frame: Uint8Array, at: number): Uint8Array | undefined {
    if (this.parts && at - this.heard > silence) this.parts = undefined
    this.heard = at
    const head = frame[0]
    if (head === undefined || frame.length > frameSize) {
      this.parts = undefined
      return undefined
    }
    let payload = frame.subarray(1)
    if (head & 0x80) {
      this.parts = undefined
      if (head !== 0x80 || payload.length < 2) return undefined
      this.length = ((payload[0] ?? 0) << 8) | (payload[1] ?? 0)
      if (this.length < 1 || this.length > messageMost) return undefined
      payload = payload.subarray(2)
      this.parts = []
      this.index = 0
    } else {
      if (!this.parts) return undefined
      if ((head & 0x7f) !== (this.index & 0x7f) || payload.length === 0) {
        this.parts = undefined
        return undefined
      }
    }
    this.index++
    this.parts.push(...payload)
    if (this.parts.length > this.length) {
      this.parts = undefined
      return undefined
    }
    if (this.parts.length < this.length) return undefined
    const message = Uint8Array.from(this.parts)
    this.parts = undefined
    return message
  }
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

export function toBase64(bytes: Uint8Array): string {
  let out = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const n = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
    out += alphabet.charAt(n >> 18) + alphabet.charAt((n >> 12) & 63)
    out += i + 1 < bytes.length ? alphabet.charAt((n >> 6) & 63) : '='
    out += i + 2 < bytes.length ? alphabet.charAt(n & 63) : '='
  }
  return out
}

export function fromBase64(text: string): Uint8Array {
  const clean = text.replace(/=+$/, '')
  const out = new Uint8Array(Math.floor((clean.length * 3) / 4))
  let bits = 0
  let have = 0
  let at = 0
  for (const c of clean) {
    const v = alphabet.indexOf(c === '-' ? '+' : c === '_' ? '/' : c)
    if (v < 0) throw new RangeError('not base64')
    bits = (bits << 6) | v
    have += 6
    if (have >= 8) {
      have -= 8
      out[at++] = (bits >> have) & 0xff
    }
  }
  return out
}
