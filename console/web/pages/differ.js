// What an act changed, as lines: path, before, after.

/**
 * @typedef {{path: string, before?: any, after?: any, kind: 'added' | 'removed' | 'changed'}} Change
 * @param {any} before
 * @param {any} after
 * @returns {Change[]} in the order of the keys; nested values by path: map.tiles, sides.0.grade
 */
export function changes(before, after) {
  const found = []
  const walk = (path, a, b) => {
    // Nothing, a null, an empty text and an empty object say the same; a switch that is
    // off may be left out.
    if (none(a)) a = undefined
    if (none(b)) b = undefined
    if (a === undefined && b === false || b === undefined && a === false) return
    if (same(a, b)) return
    if (nested(a) && nested(b)) {
      for (const k of new Set([...Object.keys(a), ...Object.keys(b)])) walk(path ? path + '.' + k : k, a[k], b[k])
      return
    }
    if (a === undefined && nested(b)) { for (const k of Object.keys(b)) walk(path ? path + '.' + k : k, undefined, b[k]); return }
    if (b === undefined && nested(a)) { for (const k of Object.keys(a)) walk(path ? path + '.' + k : k, a[k], undefined); return }
    found.push({ path, before: a, after: b, kind: a === undefined ? 'added' : b === undefined ? 'removed' : 'changed' })
  }
  walk('', before, after)
  return found
}

const none = v => v === null || v === '' || typeof v === 'object' && !Array.isArray(v) && Object.keys(v).length === 0

// A list of plain values reads better as one.
const nested = v => v !== null && typeof v === 'object' && (!Array.isArray(v) || v.some(x => x !== null && typeof x === 'object')) && Object.keys(v).length > 0 && depth(v) < 6

const depth = v => v !== null && typeof v === 'object' ? 1 + Math.max(0, ...Object.values(v).map(depth)) : 0

const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b)

/** A value as people read it. @param {any} v */
export function shown(v) {
  if (v === undefined) return ''
  if (v === null) return '–'
  if (typeof v === 'string') return v === '' ? '""' : v
  const text = JSON.stringify(v)
  return text.length > 160 ? text.slice(0, 157) + '...' : text.replaceAll(',"', ', "')
}
