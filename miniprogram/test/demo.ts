// A real installation for the tests: unlatch demo with its database, broker, devices and the WeChat double.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import type { Config } from '../src/config'
import { Phone, type Peripheral } from './wx'

interface Ready {
  http: string
  sim: string
  wechat: string
  codes: string[]
  pump_codes: string[]
  riders: string[]
  first_run: string
  database: string
}

const riders = Array.from({ length: 30 }, (_, i) => `rider${i + 1}`)

export class Demo {
  private next = 0
  private bike = 0
  private pump = 0
  private phones: Phone[] = []

  private constructor(
    readonly ready: Ready,
    private readonly child: ChildProcess,
    private readonly dir: string,
    readonly log: () => string,
  ) {}

  static async start(more: string[] = []): Promise<Demo> {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'unlatch-mp-'))
    fs.chmodSync(dir, 0o755) // the database's own account has to pass through
    const binary = process.env.UNLATCH_BIN
    if (!binary) throw new Error('UNLATCH_BIN is not set; test/binary.js sets it')
    const file = path.join(dir, 'ready.json')
    const child = spawn(
      binary,
      [
        'demo',
        '--http',
        '127.0.0.1:0',
        '--sim',
        '127.0.0.1:0',
        '--wechat',
        '127.0.0.1:0',
        '--bikes',
        '14',
        '--pumps',
        '4',
        '--riding',
        '0',
        '--fuelling',
        '0',
        '--riders',
        riders.join(','),
        '--data',
        path.join(dir, 'data'),
        '--ready-file',
        file,
        ...more,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let log = ''
    child.stdout.on('data', (d) => (log += d))
    child.stderr.on('data', (d) => (log += d))
    process.on('exit', () => child.kill('SIGKILL')) // its database dies with it
    const end = Date.now() + 50_000
    while (!fs.existsSync(file)) {
      if (child.exitCode !== null || Date.now() > end) {
        child.kill('SIGKILL')
        fs.rmSync(dir, { recursive: true, force: true })
        throw new Error(`the demo did not start: ${log}`)
      }
      await new Promise((r) => setTimeout(r, 50))
    }
    return new Demo(JSON.parse(fs.readFileSync(file, 'utf8')), child, dir, () => log)
  }

  async stop(): Promise<void> {
    for (const p of this.phones) p.close()
    if (this.child.exitCode === null) {
      const ended = new Promise((done) => this.child.once('exit', done))
      this.child.kill('SIGINT')
      const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000)
      await ended
      clearTimeout(timer)
    }
    fs.rmSync(this.dir, { recursive: true, force: true })
  }

  /** A rider with 100 yuan and a phone. */
  phone(config: Partial<Config> = {}): Phone & { rider: string } {
    const rider = riders[this.next++]
    if (!rider) throw new Error('no rider is left')
    const host = new URL(this.ready.http).host
    const phone = new Phone(
      {
        loginCode: async () => (await this.wechat<{ login_code: string }>(`/riders/${rider}/login-code`)).login_code,
        pay: async (request) => {
          await this.wechat(`/riders/${rider}/pay`, request)
          return 'ok'
        },
        confirm: async (pack) => {
          await this.wechat(`/riders/${rider}/confirm`, { package: pack })
        },
        phoneCode: async () =>
          (await this.wechat<{ phone_code: string }>(`/riders/${rider}/phone-code`, { phone_number: '13800001234' })).phone_code,
      },
      { api: this.ready.http, domains: [host], payLock: ['wallet', 'pay_score', 'prepay'], ...config },
    )
    this.phones.push(phone)
    return Object.assign(phone, { rider })
  }

  /** A bike that no other test uses. */
  async aBike(): Promise<{ id: string; url: string }> {
    const url = this.ready.codes[this.bike]
    const id = `bike-${String(++this.bike).padStart(3, '0')}`
    if (!url) throw new Error('no bike is left')
    return { id, url }
  }

  async aPump(): Promise<{ id: string; url: string }> {
    const id = `pump-${String(++this.pump).padStart(2, '0')}`
    return { id, url: await (await fetch(`${this.ready.sim}/codes/${id}`)).text() }
  }

  async wechat<T>(path: string, body: unknown = {}): Promise<T> {
    return call<T>(this.ready.wechat + path, body)
  }

  /** Makes the database's clock sample of a device an hour older, as an hour without a network does. */
  forgets(device: string): void {
    execFileSync(
      'psql',
      [
        '-q',
        '-v',
        'ON_ERROR_STOP=1',
        '-c',
        `UPDATE devices SET version = version + 1, heard_at = heard_at - interval '1 hour',
      sample = jsonb_set(sample, '{at}', to_jsonb((sample->>'at')::timestamptz - interval '1 hour')) WHERE id = '${device}'`,
        this.ready.database,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
  }

  private key: string | undefined

  /** What a member of staff does. */
  async staff<T>(method: 'PUT' | 'POST', path: string, body: unknown): Promise<T> {
    this.key ??= (
      await call<{ api_key: string }>(`${this.ready.http}/v1/operator/first-run`, { link: this.ready.first_run, name: 'Lin' })
    ).api_key
    const r = await fetch(this.ready.http + path, {
      method,
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${this.key}` },
    })
    const text = await r.text()
    if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${text}`)
    return (text === '' ? {} : JSON.parse(text)) as T
  }

  /** A stage direction. */
  async sim<T = Record<string, unknown>>(device: string, direction: string, body: unknown = {}): Promise<T> {
    return call<T>(`${this.ready.sim}/devices/${device}/${direction}`, body)
  }

  /** The simulated lock as a phone meets it over Bluetooth. */
  overBluetooth(device: string, service = '3c4cd4a3-ff48-4e5a-a37f-8719f6dfef2e'): Peripheral {
    const demo = this
    let notify: ((frame: Uint8Array) => void) | undefined
    let queue: Promise<void> = Promise.resolve()
    let pending: string[] = []
    let timer: NodeJS.Timeout | undefined
    const exchange = () => {
      queue = queue
        .then(async () => {
          const frames = pending
          pending = []
          const answer = await demo.sim<{ frames: string[] | null }>(device, 'bluetooth', { frames })
          for (const f of answer.frames ?? []) notify?.(Uint8Array.from(Buffer.from(f, 'hex')))
        })
        .catch(() => undefined)
    }
    return {
      deviceId: `AA:BB:${device}`,
      localName: device,
      service,
      write: service.replace(/^(.{7})./, '$14'),
      notify: service.replace(/^(.{7})./, '$15'),
      reachable: true,
      written(frame) {
        pending.push(Buffer.from(frame).toString('hex'))
        exchange()
      },
      connected(then) {
        notify = then
        timer = setInterval(exchange, 100)
      },
      disconnected() {
        notify = undefined
        clearInterval(timer)
      },
    }
  }
}

async function call<T>(url: string, body: unknown): Promise<T> {
  const r = await fetch(url, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } })
  const text = await r.text()
  if (!r.ok) throw new Error(`${url} ${JSON.stringify(body)}: ${r.status} ${text}`)
  return (text === '' ? {} : JSON.parse(text)) as T
}
