// A bad link between a phone and a server: latency, little bandwidth, and now and then a segment that has to be sent
// again. The same seed gives the same luck.

import * as net from 'node:net'

export interface Link {
  /** Milliseconds on the way, there and back. */
  latency: number
  /** Bytes a second, each way. */
  rate: number
  /** Milliseconds that a lost segment costs, and how often one is lost. */
  stall: number
  loss: number
  seed: number
}

const segment = 1400

export class SlowLink {
  private constructor(
    private readonly server: net.Server,
    readonly port: number,
    private readonly sockets: Set<net.Socket>,
    readonly bytes: { up: number; down: number },
  ) {}

  static async start(to: string, link: Link): Promise<SlowLink> {
    const { hostname, port } = new URL(to)
    let state = link.seed >>> 0 || 1
    const luck = () => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) / 2 ** 32
    }
    const sockets = new Set<net.Socket>()
    const bytes = { up: 0, down: 0 }
    const server = net.createServer({ noDelay: true }, (phone) => {
      const there = net.connect({ host: hostname, port: Number(port), noDelay: true })
      sockets.add(phone).add(there)
      carry(phone, there, (n) => (bytes.up += n))
      carry(there, phone, (n) => (bytes.down += n))
    })
    const carry = (from: net.Socket, to: net.Socket, count: (n: number) => void) => {
      let free = 0 // when the line is free again
      let arrived = 0 // what arrives keeps its order
      from.on('data', (data: Buffer) => {
        for (let at = 0; at < data.length; at += segment) {
          const piece = data.subarray(at, at + segment)
          count(piece.length)
          free = Math.max(free, Date.now()) + (piece.length / link.rate) * 1000
          arrived = Math.max(arrived, free + link.latency / 2 + (luck() < link.loss ? link.stall : 0))
          setTimeout(() => to.writable && to.write(piece), arrived - Date.now())
        }
      })
      const end = () => {
        sockets.delete(from)
        setTimeout(() => to.destroy(), Math.max(0, arrived - Date.now()))
      }
      from.on('close', end)
      from.on('error', end)
    }
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return new SlowLink(server, (server.address() as net.AddressInfo).port, sockets, bytes)
  }

  async stop(): Promise<void> {
    for (const s of this.sockets) s.destroy()
    await new Promise((done) => this.server.close(done))
  }
}
