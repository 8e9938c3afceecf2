// Maps that operators in China and elsewhere may use, each with the datum that it is
// drawn in. None is asked before an operator chooses one; keys are theirs.
/** Name to what settings take. */
export const presets = {
  tianditu: { tiles: 'https://t0.tianditu.gov.cn/vec_w/wmts?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER=vec&STYLE=default&TILEMATRIXSET=w&FORMAT=tiles&TILEMATRIX={z}&TILEROW={y}&TILECOL={x}&tk=', attribution: '© 天地图', datum: 'wgs84' },
  amap: { tiles: 'https://webrd01.is.autonavi.com/appmaptile?lang=zh_cn&size=1&scale=1&style=8&x={x}&y={y}&z={z}', attribution: '© 高德地图', datum: 'gcj02' },
  osm: { tiles: 'https://tile.openstreetmap.org/{z}/{x}/{y}.png', attribution: '© OpenStreetMap', datum: 'wgs84' },
}

/**
 * escaped is a text as Leaflet wants it, which takes attributions for HTML.
 * @param {string} text
 */
export const escaped = text => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`)
