// Compiles src to dist and copies what needs no compiling. With UNLATCH_API and UNLATCH_DOMAINS in the environment the
// built app speaks to that server; without, to the one in src/config.ts.
'use strict'
const fs = require('fs')
const path = require('path')
const { execFileSync } = require('child_process')

const root = path.join(__dirname, '..')
const src = path.join(root, 'src')
const dist = path.join(root, 'dist')

function files(dir) {
  return fs
    .readdirSync(dir, { withFileTypes: true })
    .flatMap((e) => (e.isDirectory() ? files(path.join(dir, e.name)) : [path.join(dir, e.name)]))
}

fs.rmSync(dist, { recursive: true, force: true })
execFileSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', path.join(root, 'tsconfig.json')], {
  stdio: 'inherit',
})
for (const file of files(src)) {
  if (file.endsWith('.ts')) continue
  const to = path.join(dist, path.relative(src, file))
  fs.mkdirSync(path.dirname(to), { recursive: true })
  if (file.endsWith('.json')) fs.writeFileSync(to, JSON.stringify(JSON.parse(fs.readFileSync(file, 'utf8'))))
  else fs.copyFileSync(file, to)
}
