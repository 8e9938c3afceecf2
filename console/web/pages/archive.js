// Files that are made in the browser and handed to its user.

/** @param {BlobPart | Blob} content @param {string} name @param {string} [type] */
export function save(content, name, type = 'application/octet-stream') {
  const a = document.createElement('a')
  a.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }))
  a.download = name
  document.body.append(a)
  a.click()
  a.remove()
  setTimeout(() => URL.revokeObjectURL(a.href), 60_000)
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1
  return n
})

/** The checksum of ZIP, as in RFC 1952, 8. @param {Uint8Array} bytes */
export function crc32(bytes) {
  let c = 0xffffffff
  for (const b of bytes) c = table[(c ^ b) & 255] ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

/**
 * A ZIP whose files are stored as they are. Names are UTF-8 and at most 65535 bytes, the
 * whole below 4 GiB.
 * @param {Array<{name: string, text: string}>} files
 */
export function zip(files) {
  const utf8 = new TextEncoder()
  const now = new Date()
  const time = now.getHours() << 11 | now.getMinutes() << 5 | now.getSeconds() >> 1
  const day = now.getFullYear() - 1980 << 9 | now.getMonth() + 1 << 5 | now.getDate()
  const local = [], central = []
  let at = 0, listed = 0
  for (const { name, text } of files) {
    const title = utf8.encode(name), body = utf8.encode(text), sum = crc32(body)
    // Version 2.0, names in UTF-8 (bit 11), stored.
    const facts = [[2, 20], [2, 0x800], [2, 0], [2, time], [2, day], [4, sum], [4, body.length], [4, body.length], [2, title.length], [2, 0]]
    const first = fields([[4, 0x04034b50], ...facts])
    local.push(first, title, body)
    const entry = fields([[4, 0x02014b50], [2, 20], ...facts, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]])
    central.push(entry, title)
    at += first.length + title.length + body.length
    listed += entry.length + title.length
  }
  const end = fields([[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, listed], [4, at], [2, 0]])
  return new Blob([...local, ...central, end], { type: 'application/zip' })
}

// fields are little-endian numbers of two or four bytes.
function fields(list) {
  const out = new DataView(new ArrayBuffer(list.reduce((n, [size]) => n + size, 0)))
  let at = 0
  for (const [size, value] of list) {
    if (size === 2) out.setUint16(at, value, true)
    else out.setUint32(at, value, true)
    at += size
  }
  return new Uint8Array(out.buffer)
}
