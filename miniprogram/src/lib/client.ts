// The way to the server: a login that renews itself, answers or problems, and repeats that never do a thing twice.

import { Fault, wait, type Answer, type Platform, type Running } from './platform'
import type { Problem } from './shapes'

/** The server said no; code is stable. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail)
  }
}

export interface Options {
  body?: unknown
  /** Idempotency-Key: the same over every repeat of one wish. */
  key?: string
  headers?: Record<string, string>
  /** Milliseconds in which a broken link is tried again; 0: once. */
  patience?: number
  /** It moves metal: what was not answered while the app was in front is given up, never repeated minutes later. */
  now?: boolean
  /** Milliseconds that the server may take on purpose. */
  waits?: number
  handle?: Handle
}

export interface Reply<T> {
  status: number
  etag: string
  /** Whether the server agreed to wait. */
  waited: boolean
  body: T
}

/** Lets a caller give up: what runs is cut and nothing is repeated. */
export class Handle {
  stopped = false
  private running: Running | undefined
  private sleepers: (() => void)[] = []
  stop(): void {
    this.stopped = true
    this.running?.abort()
    for (const wake of this.sleepers) wake()
  }
  hold(running: Running): void {
    this.running = running
    if (this.stopped) running.abort()
  }
  onStop(wake: () => void): void {
    if (this.stopped) wake()
    else this.sleepers.push(wake)
  }
}

const perTry = 15_000
const firstPause = 600
const longestPause = 8_000
export const usualPatience = 25_000

/** Statuses that say: not now. Every request of ours may be repeated, for each is idempotent or carries a key. */
const later = new Set([408, 429, 502, 503, 504])

export class Client {
  private loggingIn: Promise<void> | undefined
  private awake: Promise<void> = Promise.resolve()
  private wake: (() => void) | undefined
  private skew = 0

  constructor(
    readonly platform: Platform,
    private readonly base: string,
  ) {}

  /** From now on nothing is repeated until shown: a request begun in the background dies within five seconds. */
  hidden(): void {
    if (!this.wake) this.awake = new Promise((done) => (this.wake = done))
  }

  shown(): void {
    this.wake?.()
    this.wake = undefined
  }

  /** The server's time, ms: phones' clocks are wrong by minutes. */
  now(): number {
    return this.platform.now() + this.skew
  }

  async get<T>(path: string, o: Options = {}): Promise<Reply<T>> {
    return this.call<T>('GET', path, o)
  }

  async post<T>(path: string, o: Options = {}): Promise<Reply<T>> {
    return this.call<T>('POST', path, o)
  }

  /** Logs in if that was not done; callers need not, but may save a round trip by doing it early. */
  async ready(): Promise<void> {
    if (this.platform.token() !== '') return
    this.loggingIn ??= this.login().finally(() => (this.loggingIn = undefined))
    return this.loggingIn
  }

  forget(): void {
    this.platform.keepToken('')
  }

  private async login(): Promise<void> {
    for (let round = 0; ; round++) {
      try {
        const code = await this.platform.login() // of one use: a new one for each try
        const body = await this.persist(
          () => this.send('POST', '/v1/login', { body: { login_code: code }, patience: 0 }, false),
          { patience: 0 },
        )
        this.platform.keepToken((body.body as { token: string }).token)
        return
      } catch (e) {
        const again =
          e instanceof Fault
            ? e.kind === 'network' || e.kind === 'interrupted'
            : e instanceof Refusal && (e.code === 'login_code_invalid' || later.has(e.status))
        if (!again || round >= 4) throw e
        await wait(this.platform, this.pause(round))
      }
    }
  }

  private async call<T>(method: 'GET' | 'POST', path: string, o: Options): Promise<Reply<T>> {
    await this.ready()
    try {
      return (await this.persist(() => this.send(method, path, o, true), o)) as Reply<T>
    } catch (e) {
      if (!(e instanceof Refusal) || e.code !== 'unauthenticated') throw e
      this.forget() // the login ended elsewhere, or grew too old: once more, with a new one
      await this.ready()
      return (await this.persist(() => this.send(method, path, o, true), o)) as Reply<T>
    }
  }

  /** Repeats what had no answer, with longer and longer pauses that no two phones share. */
  private async persist<T>(send: () => Promise<T>, o: Options): Promise<T> {
    const until = this.platform.now() + (o.patience ?? usualPatience)
    for (let round = 0; ; round++) {
      await this.awake
      if (o.now && this.platform.now() > until) throw new Fault('interrupted', 'too late to be meant')
      if (o.handle?.stopped) throw new Fault('interrupted', 'given up')
      let error: unknown
      let pause = this.pause(round)
      try {
        return await send()
      } catch (e) {
        error = e
      }
      if (error instanceof Later) {
        pause = Math.max(pause, error.after)
        error = error.refusal
      } else if (!(error instanceof Fault) || (error.kind !== 'network' && error.kind !== 'interrupted')) {
        throw error
      }
      if (this.wake && error instanceof Fault && !o.handle?.stopped) {
        if (o.now) throw error
        continue // cut by the background: again when it is over
      }
      if (o.handle?.stopped || this.platform.now() + pause > until) throw error
      await Promise.race([wait(this.platform, pause), new Promise<void>((done) => o.handle?.onStop(done))])
    }
  }

  private pause(round: number): number {
    return Math.min(longestPause, firstPause * 2 ** round) * (0.7 + 0.6 * Math.random())
  }

  private async send(method: 'GET' | 'POST', path: string, o: Options, authorised: boolean): Promise<Reply<unknown>> {
    const headers: Record<string, string> = { Accept: 'application/json', ...o.headers }
    if (authorised) headers.Authorization = `Bearer ${this.platform.token()}`
    if (o.key !== undefined) headers['Idempotency-Key'] = o.key
    if (o.body !== undefined) headers['Content-Type'] = 'application/json'
    const running = this.platform.request({
      method,
      url: this.base + path,
      headers,
      timeout: perTry + (o.waits ?? 0),
      ...(o.body === undefined ? {} : { body: JSON.stringify(o.body) }),
    })
    o.handle?.hold(running)
    return this.judge(await running.answer)
  }

  /** Sends a file; once, for a picture is too much to repeat unasked. */
  async upload(path: string, file: string, name: string): Promise<void> {
    await this.ready()
    this.judge(await this.platform.upload(this.base + path, file, name, { Authorization: `Bearer ${this.platform.token()}` }))
  }

  private judge(answer: Answer): Reply<unknown> {
    const date = Date.parse(answer.headers.date ?? '')
    if (!Number.isNaN(date)) this.skew = date + 500 - this.platform.now()
    if (answer.status < 400) {
      return {
        status: answer.status,
        etag: answer.headers.etag ?? '',
        waited: answer.headers['preference-applied'] !== undefined,
        body: answer.body,
      }
    }
    const problem = (typeof answer.body === 'object' && answer.body !== null ? answer.body : {}) as Partial<Problem>
    const refusal = new Refusal(answer.status, problem.code ?? 'internal', problem.detail ?? '')
    if (later.has(answer.status)) throw new Later(refusal, 1000 * Number(answer.headers['retry-after'] ?? 0) || 0)
    throw refusal
  }
}

/** A refusal that time mends. It never leaves this file. */
class Later extends Error {
  constructor(
    readonly refusal: Refusal,
    readonly after: number,
  ) {
    super(refusal.message)
  }
}
