// The words of the map.
import { addWords } from '../lib/words.js'

addWords({
  en: {
    'map.label': 'Map of the devices. Arrow keys move it, plus and minus zoom; the list beside it says the same in words.',
    'map.zoom_in': 'Zoom in',
    'map.zoom_out': 'Zoom out',
    'map.fit': 'Show all',
    'map.only_here': 'Only what the map shows',
    'map.legend': 'How many in each state',
    'map.unplaced': '{count} not on the map',
    'map.unplaced.text': 'They have never told a position and nobody has set one.',
    'map.open': 'Open',
    'map.card': 'Device chosen on the map',
    'map.heard': 'Heard',
    'map.battery': 'Battery',
    'map.venue': 'Venue',
    'map.no_position': 'Not on the map',
  },
  'zh-CN': {
    'map.label': '设备地图。方向键移动，加减号缩放；旁边的列表以文字列出同样的内容。',
    'map.zoom_in': '放大',
    'map.zoom_out': '缩小',
    'map.fit': '显示全部',
    'map.only_here': '只看地图范围内',
    'map.legend': '各状态的数量',
    'map.unplaced': '{count} 台不在地图上',
    'map.unplaced.text': '它们从未报告位置，也没有人为它们设置位置。',
    'map.open': '打开',
    'map.card': '在地图上选中的设备',
    'map.heard': '最近通信',
    'map.battery': '电量',
    'map.venue': '场地',
    'map.no_position': '不在地图上',
  },
})
