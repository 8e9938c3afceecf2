// What the app needs of the phone and of WeChat. Everything else under lib is plain code behind this interface;
// lib/wechat.ts is the one implementation.

import type { PayRequest, Place } from './shapes'

/** Why the phone did not do something; words.ts has a sentence for each. */
export type FaultKind =
  | 'network' // no answer: no link, a broken one, a timeout
  | 'interrupted' // the app went to the background
  | 'cancelled' // the rider said no, this time
  | 'denied' // the rider, or WeChat's settings, refuse it until changed there
  | 'privacy' // the privacy terms are not agreed to, or do not name it (errno 104)
  | 'unsupported' // this WeChat cannot
  | 'withheld' // WeChat does not do it for this app: not opened for it, or its quota is used up
  | 'failed'
  | 'ble_off'
  | 'ble_not_found'
  | 'ble_connect'
  | 'ble_lost'
  | 'ble_other'

export class Fault extends Error {
  constructor(
    readonly kind: FaultKind,
    message: string,
    readonly code?: number,
  ) {
    super(message)
  }
}

export interface Call {
  method: 'GET' | 'POST'
  url: string
  headers: Record<string, string>
  body?: string
  /** Milliseconds. */
  timeout: number
}

export interface Answer {
  status: number
  /** Names in lower case. */
  headers: Record<string, string>
  body: unknown
}

export interface Running {
  /** Rejects with a Fault when no answer came, never because of its status. */
  answer: Promise<Answer>
  abort(): void
}

/** Bluetooth low energy, one lock at a time. Bytes are at most 20 a write. All reject with a ble_ Fault. */
export interface Radio {
  open(): Promise<void>
  /** Looks for a lock that offers the service and advertises the name; answers the phone's handle for it. */
  find(service: string, name: string, within: number): Promise<string>
  connect(device: string, within: number): Promise<void>
  /** Finds the two characteristics: one that takes writes, one that notifies. */
  discover(device: string, service: string): Promise<{ write: string; notify: string }>
  listen(device: string, service: string, characteristic: string, heard: (bytes: Uint8Array) => void): Promise<void>
  write(device: string, service: string, characteristic: string, bytes: Uint8Array): Promise<void>
  onLost(lost: () => void): void
  close(device?: string): Promise<void>
}

export interface Platform {
  request(call: Call): Running
  upload(url: string, file: string, name: string, headers: Record<string, string>): Promise<Answer>
  /** The only thing that is kept on the phone is the token. */
  token(): string
  keepToken(token: string): void

  /** A login code, good for five minutes and one use. */
  login(): Promise<string>
  scan(): Promise<{ result: string; path?: string }>
  /** Nil error says that WeChat's window closed well; what was paid only the server knows. */
  pay(request: PayRequest): Promise<void>
  /** Opens the confirm page of Pay Score. It says ok without a confirmation. */
  confirm(pack: string): Promise<void>
  /** From a tap only. */
  subscribe(templates: string[]): Promise<boolean>
  /** A compressed picture of the rider's, as a path. */
  photo(): Promise<string>
  /** Asks for permission where it must. */
  locate(): Promise<Place>
  /** Whether locate would answer without asking. */
  mayLocate(): Promise<boolean>
  dial(number: string): Promise<void>
  openSettings(): Promise<void>
  /** The privacy terms that the operator entered in WeChat's console. */
  openTerms(): Promise<void>
  openMap(lat: number, lng: number, name: string): Promise<void>
  radio: Radio

  now(): number
  /** Calls back once; the answer calls it off. */
  after(ms: number, then: () => void): () => void
  /** 22 characters that nobody guesses twice. */
  random(): string
  /** zh-CN or en, by WeChat's own language. */
  language(): 'zh-CN' | 'en'
  /** The rider's text size in relation to the usual one. */
  textScale(): number

  go(page: string, query?: Record<string, string>): void
  replace(page: string, query?: Record<string, string>): void
  /** Clears the stack of pages. */
  relaunch(page: string, query?: Record<string, string>): void
  back(): void
  title(text: string): void
  toast(text: string): void
  /** Yes and no have at most four characters. */
  ask(title: string, text: string, yes: string, no: string): Promise<boolean>
}

export function wait(p: Platform, ms: number): Promise<void> {
  return new Promise((done) => p.after(ms, done))
}
