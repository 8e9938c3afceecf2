// Leaflet, whose published module is not minified: the minified one sets a global.
import 'leaflet'

/** @type {any} */
export const L = /** @type {any} */ (globalThis).L
