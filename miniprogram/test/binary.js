// Before the tests against a real installation: the server, built once unless UNLATCH_BIN names one.
'use strict'
const fs = require('fs')
const os = require('os')
const path = require('path')
const { execFileSync } = require('child_process')

module.exports = async () => {
  if (process.env.UNLATCH_BIN) return
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'unlatch-mp-bin-'))
  process.env.UNLATCH_BIN = path.join(dir, 'unlatch')
  process.env.UNLATCH_BIN_BUILT = dir
  execFileSync('go', ['build', '-o', process.env.UNLATCH_BIN, './cmd/unlatch'], {
    cwd: path.join(__dirname, '../..'),
    env: { ...process.env, CGO_ENABLED: '0' },
    stdio: 'inherit',
  })
}
