// What settings say of a map is text.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const read = name => readFileSync(new URL('../web/pages/' + name, import.meta.url), 'utf8')
const { escaped } = await import('data:text/javascript,' + encodeURIComponent(read('basemaps.js')))

test('an attribution holds no HTML', () => {
  assert.equal(escaped(`© Maps & <a href="x" title='y'>`), '© Maps &#38; &#60;a href=&#34;x&#34; title=&#39;y&#39;&#62;')
})

test('Leaflet gets attributions escaped alone', () => {
  const given = read('fencemap.js').match(/addAttribution\([^)]*|attribution: .*/g)
  assert.deepEqual(given, ['addAttribution(escaped(settings.map.attribution'])
})
