// Draws the map's marks: src/images/*.png, discs of 48 pixels. Run it when a colour changes; the result is committed.
'use strict'
const fs = require('fs')
const path = require('path')
const zlib = require('zlib')

const side = 48
const marks = { lock: [11, 107, 58], pump: [166, 92, 0], venue: [40, 80, 160] }

function crc(buf) {
  let c = ~0
  for (const b of buf) {
    c ^= b
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  }
  return ~c >>> 0
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name), data])
  const out = Buffer.alloc(8 + body.length)
  out.writeUInt32BE(data.length, 0)
  body.copy(out, 4)
  out.writeUInt32BE(crc(body), 4 + body.length)
  return out
}

for (const [name, [r, g, b]] of Object.entries(marks)) {
  const rows = []
  for (let y = 0; y < side; y++) {
    rows.push(0)
    for (let x = 0; x < side; x++) {
      const d = Math.hypot(x - side / 2 + 0.5, y - side / 2 + 0.5)
      const inner = d < side / 2 - 6 ? 1 : 0 // a white ring around it
      const a = Math.max(0, Math.min(1, side / 2 - d))
      rows.push(inner ? r : 255, inner ? g : 255, inner ? b : 255, Math.round(a * 255))
    }
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(side, 0)
  head.writeUInt32BE(side, 4)
  head.set([8, 6, 0, 0, 0], 8)
  const png = Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', head),
    chunk('IDAT', zlib.deflateSync(Buffer.from(rows), { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
  fs.mkdirSync(path.join(__dirname, '../src/images'), { recursive: true })
  fs.writeFileSync(path.join(__dirname, '../src/images', `${name}.png`), png)
}
