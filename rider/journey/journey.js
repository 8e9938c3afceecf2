// The rider's way through the demo. What an order is, the API alone says.
import { ask, follow, forget, keep, login, now, rider } from './api.js'
import { hands } from './hands.js'
import { drawing, h, morph } from './page.js'
import { receipt } from './receipt.js'
import { clock, has, litres, speak, spoken, t, yuan } from './words.js'

const root = document.querySelector('main')
const view = JSON.parse(root.dataset.view)
const said = root.parentNode.appendChild(h('p.unseen', { role: 'status' }))
const s = { pay: 'wallet', by: 'amount', amount: '100', litres: '20' }
let stop = new AbortController()

const button = (text, onclick, kind = 'button') => h(kind, { type: 'button', onclick, disabled: s.busy }, text)
const here = o => o.device === view.device && o.outlet === view.outlet
const called = o => o.kind === 'pump' && o.outlets !== 1 ? t('side', o.device, o.outlet) : o.device
const other = () => spoken() === 'en' ? 'zh-CN' : 'en'
const left = at => clock(Date.parse(at) - now())

async function act(what) {
  if (s.busy) return
  s.busy = true
  s.wrong = null
  draw()
  try { await what() } catch (e) {
    if (e.status === 401) forget()
    s.wrong = has(e.code) ? e.code : e.status ? 'fail' : 'offlineNow'
  }
  s.busy = false
  draw()
}

async function begin() {
  const named = location.hash.slice(1)
  if (!rider.token || !view.riders.includes(rider.name)) return forget()
  if (named) return watch(named)
  const mine = await running()
  return mine ? watch(mine.id) : scan()
}

// running is my live order of this device, or else of its kind.
async function running() {
  const { live_orders } = await ask('GET', '/v1/me')
  return live_orders.find(here) ?? live_orders.find(o => o.kind === view.kind)
}

async function scan() {
  s.scan = await ask('POST', '/v1/scans', { url: view.code })
  s.wallet = await ask('GET', '/v1/me/wallet')
  s.grade ??= s.scan.device.nozzles?.[0].grade
}

async function place() {
  if (Date.parse(s.scan.expires_at) - now() < 5000) await scan()
  const { ticket } = s.scan
  try {
    const { id } = await ask('POST', '/v1/orders', { ticket, pay_with: s.pay, ...(s.grade && { preset: preset() }) }, ticket)
    keep({ last: { id, number: view.number, path: location.pathname } })
    watch(id)
  } catch (e) {
    const mine = await running().catch(() => {})
    if (mine) return watch(mine.id) // it was ordered in another tab
    await scan().catch(() => {}) // it may be another's by now
    throw e
  }
}

function watch(id) {
  history.replaceState(null, '', `#${id}`)
  stop.abort()
  stop = new AbortController()
  follow(id, o => {
    if (o.id + o.state + o.pause?.state !== s.order?.id + s.order?.state + s.order?.pause?.state) s.wrong = null
    s.order = o
    draw()
  }, lost => { s.lost = lost; draw() }, stop.signal).catch(e => {
    if (e.status === 401) forget()
    restart()
  })
}

function restart() {
  stop.abort()
  history.replaceState(null, '', location.pathname)
  s.order = s.scan = s.there = null
  return act(begin)
}

const tell = (what, body) => () => act(async () => { s.order = await ask('POST', `/v1/orders/${s.order.id}/${what}`, body, s.order.id + s.order.version) })
const weChat = (what, body) => () => act(() => ask('POST', `/demo/wechat/${rider.name}/${what}`, body))

// bounds of what is typed: Fen, or ml; what a volume costs has the amount's bounds too.
function bounds() {
  const { least_amount_fen: least, most_amount_fen: most, most_millilitres } = s.scan.tariff.fuel
  return s.by === 'amount' ? [least, most] : [Math.ceil(least * 10000 / price()), Math.min(most_millilitres, Math.floor(most * 10000 / price()))]
}

// preset is what a pump is asked for; undefined: out of bounds.
function preset() {
  const { grade, by } = s
  if (by === 'full') return { grade }
  const n = Math.round(s[by] * (by === 'amount' ? 100 : 1000)), [least, most] = bounds()
  if (n >= least && n <= most) return { grade, [by === 'amount' ? 'amount_fen' : 'millilitres']: n }
}

// inBounds says what may be typed, rounded inwards to what a person types.
function inBounds() {
  const [least, most] = bounds()
  const say = n => s.by === 'amount' ? yuan(n) : `${n / 100} ${t('litre')}`
  return s.by === 'amount' ? t('bounds', say(least), say(most)) : t('bounds', say(Math.ceil(least / 10)), say(Math.floor(most / 10)))
}

// choice is a group of radio buttons: rows of value, title and note.
const choice = (name, title, rows, kind = '') => h('fieldset' + kind, {}, h('legend', {}, title), rows.map(([value, text, note]) =>
  h('label', {}, h('input', { type: 'radio', name, value, checked: s[name] === value, onchange() { s[name] = value; s.wrong = null; draw() } }),
    h('span', {}, h('b', {}, text), note && h('small', {}, note)))))

const screens = {
  who: () => [h('h2', {}, t('who')), h('p', {}, t('whoText')),
    h('div.names.who', {}, view.riders.map(name => button(name, () => act(async () => { await login(name); await begin() }))))],

  loading: () => [h('p.wait', {}, t('loading'))],

  refused: () => [h('h2', {}, t('sorry')), h('p', {}, t(s.wrong)), button(t('retry'), restart, 'button.go')],

  choose() {
    const { tariff, device } = s.scan, fuel = tariff.fuel
    const wanted = fuel && preset()
    if (device.availability !== 'available') return [h('h2', {}, t(device.availability)), h('p', {}, t('outlet_blocked')), button(t('retry'), restart)]
    const most = wanted?.amount_fen ?? (wanted?.millilitres && cost(wanted.millilitres))
    return [
      fuel && choice('grade', t('grade'), device.nozzles.map(n => [n.grade, `${n.grade}#`, t('perLitre', yuan(price(n.grade) / 10))]), '.row'),
      fuel && choice('by', t('howMuch'), ['amount', 'litres', 'full'].map(by => [by, t(by)]), '.row'),
      fuel && (s.by === 'full' ? h('p.note', {}, t('fullText')) : h('label.figure', {}, h('input', {
        id: s.by, inputmode: 'decimal', autocomplete: 'off', 'aria-label': t(s.by), 'aria-invalid': !wanted && 'true', value: s[s.by],
        oninput(e) { s[s.by] = e.target.value; draw() },
      }), t(s.by === 'amount' ? 'yuan' : 'litre'))),
      fuel && !wanted && h('p.alert', { role: 'alert' }, inBounds()),
      choice('pay', t('pay'), ['wallet', 'prepay', 'pay_score'].filter(w => w !== 'pay_score' || !fuel).map(w =>
        [w, t(w), w === 'wallet' ? t('walletText', yuan(s.wallet.available_fen)) :
          w === 'prepay' && tariff.ride_cap_fen ? t('prepayFirst', yuan(tariff.ride_cap_fen)) : t(w + 'Text')])),
      h('button.go', { type: 'button', disabled: s.busy || fuel && !wanted, onclick: () => act(place) },
        !fuel ? t('openLock', yuan(tariff.least_fen)) : most ? t('startPump', yuan(most)) : t(wanted ? 'startFull' : 'check')),
    ]
  },

  pending() {
    const o = s.order, p = o.payments?.find(p => p.for === 'order' && ['created', 'open', 'closing'].includes(p.state))
    const score = p?.road === 'score'
    if (o.cancelling || p?.state === 'closing') return waiting('closing', 'closingText')
    if (!p) return waiting('askLock', 'askText') // on another road
    return [h('h2', {}, t(score ? 'confirmNow' : 'payNow')), h('p', {}, t('pendingText', left(o.next.due_at ?? o.created_at))),
      h('section.phone', { 'aria-label': t('phone', rider.name) }, h('p.label', {}, t('phone', rider.name)),
        !p?.request && !p?.package ? h('p.wait', {}, t('atWeChat')) : [
          !score && h('p.figures', {}, yuan(p.amount_fen)), h('p.note', {}, score ? t('scoreNote', yuan(o.hold_fen)) : t('payNote')),
          button(t(score ? 'doConfirm' : 'doPay'), weChat(score ? 'confirm' : 'pay', score ? { package: p.package } : p.request), 'button.go')],
        score && p.package && button(t('instead'), tell('cancel', { instead: 'prepay' }))),
      button(t('cancel'), tell('cancel'), 'button.quiet')]
  },

  starting: () => waiting(s.order.kind === 'lock' ? 'askLock' : 'askPump', 'askText'),

  unresolved: () => waiting('checking', 'checkingText', s.order.next.due_at && h('p.note', {}, t('checkingUntil', left(s.order.next.due_at)))),

  active: () => s.order.kind === 'lock' ? ride() : fuel(),

  // Another device's code was scanned: nothing here may look like this one opened.
  elsewhere() {
    const { id, kind, state } = s.order, name = called(s.order), back = rider.last?.id === id && rider.last.path, to = t('toOther', name)
    return [h('h2', {}, t(kind === 'lock' && state === 'active' ? 'ridingOther' : 'runsOther', name)), h('p.alert', {}, t('notThis', called(view))),
      back ? h('a.open', { href: `${back}#${id}` }, to) : button(to, () => { s.there = id; draw() }, 'button.go')]
  },

  ended: () => [h('h2', {}, t('decide')), h('p.wait', {}, t('decideText'))],

  over: () => [receipt(s.order, view), button(t('again'), restart, 'button.go')],
}

const cost = ml => ml * price() / 10000 // fen

function waiting(title, text, more) {
  const { cancelling, state } = s.order
  const off = cancelling || title === 'closing'
  return [h('h2', {}, t(cancelling && state === 'starting' ? 'closing' : title)), h('p.wait', {}, t(off && state !== 'unresolved' ? last() : text)),
    more, !off && button(t('cancel'), tell('cancel'), 'button.quiet')]
}

// last names whose word decides.
const last = () => s.order.pay_with === 'wallet' ? 'closingWallet' : 'closingText'

const price = (grade = s.grade) => s.scan.tariff.fuel.grades.find(g => g.grade === grade).unit_price

// figures are shown while it runs, marked as not final.
const figures = (...pairs) => [h('p.figures', {}, pairs.filter(Boolean).map(([figure, name]) => h('span', {}, figure, h('small', {}, name)))),
  h('p.note', {}, t(`notFinal_${s.order.kind}`))]

function ride() {
  const { running, active_at, pause } = s.order
  const title = { asked: 'pauseAsked', paused: 'paused', resuming: 'resuming' }[pause?.state] ?? 'open'
  const since = running ? running.seconds * 1000 + now() - Date.parse(running.at) : now() - Date.parse(active_at)
  return [h('h2.good', {}, t(title)), h('p', {}, pause?.state === 'resuming' ? t('askText') : t(title + 'Text', left(pause?.until))),
    figures([clock(since), t('lasted')], running && [yuan(running.fen), t('soFar')]),
    !pause && button(t('pause'), tell('pause')),
    pause && pause.state !== 'resuming' && button(t('resume'), tell('resume'), 'button.go'),
    pause?.state === 'paused' && button(t('end'), tell('end')),
    !pause && h('p.note', {}, t('late'))]
}

function fuel() {
  const { live, preset: p, hold_fen, cancelling } = s.order, flowed = live?.millilitres > 0, stale = flowed && now() - Date.parse(live.at) > 7000
  return [h('h2.good', {}, t(cancelling ? 'hung' : flowed ? 'flows' : 'ready')),
    h('p', {}, cancelling ? t(last()) : flowed ? t('hangText', yuan(hold_fen)) : live?.state === 'started' ? t('squeeze') : t('lift', `${p.grade}#`)),
    figures([litres(live?.millilitres ?? 0, 2), t('volume')], [yuan(live?.amount_fen ?? 0), t('soFar')]),
    stale && h('p.alert', {}, t('stale', yuan(hold_fen))),
    !cancelling && button(t('stop'), tell('end'), 'button.quiet')]
}

const live = o => ['pending', 'starting', 'unresolved', 'active'].includes(o.state)
const screen = () => !rider.token ? 'who' : s.order ? { settled: 'over', voided: 'over' }[s.order.state] ??
  (here(s.order) || s.there === s.order.id || !live(s.order) ? s.order.state : 'elsewhere') :
  s.scan ? 'choose' : s.wrong ? 'refused' : 'loading'

// steps, each with the order's states in which the rider is there.
const steps = o => h('ol.steps', {}, [['ordered'], o.pay_with !== 'wallet' && ['paid', 'pending'], ['word', 'starting', 'unresolved'],
  [o.kind === 'lock' ? 'riding' : 'fuelling', 'active'], ['receipt', 'ended']].filter(Boolean).map(([name, ...states]) =>
  h('li', { 'aria-current': states.includes(o.state) && 'step' }, t(name))))

const head = (thing, state) => [
  h('header', {}, h('p', {}, h('b', {}, view.operator), h('small', {}, t('demo'))),
    h('button', { type: 'button', lang: other(), onclick() { speak(other()); draw() } }, t('other'))),
  h('div.device', {}, drawing(thing.kind), h('div', {}, h('h1', {}, called(thing)),
    h('p', {}, thing.venue)), state && h('span.state' + (state === 'available' ? '.good' : ''), {}, t(state))),
]

let shown
function draw() {
  const name = screen(), o = s.order
  const thing = !o || here(o) ? view : { ...view, kind: o.kind, device: o.device, outlet: o.outlet, outlets: null,
    venue: o.venue_card?.name ?? '', number: rider.last?.id === o.id ? rider.last.number : '' }
  document.title = `${t(thing.kind)} ${thing.number || thing.device}`
  const body = h('article.card', { id: name }, screens[name]())
  const fresh = h('main', {}, head(thing, !o && (s.scan?.device.availability ?? view.availability)), o && o.state !== 'voided' && name !== 'elsewhere' && steps(o),
    s.lost && h('p.alert', { role: 'alert' }, t('offline')),
    !o && thing.kind === 'lock' && h('ul.prices', {}, view.prices?.[spoken()].map(line => h('li', {}, line))),
    body, s.wrong && name !== 'refused' && h('p.alert', { role: 'alert' }, t(s.wrong)),
    rider.token && !['over', 'ended', 'elsewhere', 'refused', 'loading', 'pending'].includes(name) && hands(thing, s, draw),
    h('footer', {}, thing.number && h('p', {}, `${t('number')} `, h('span.code', {}, thing.number)),
      view.phone && h('p', {}, `${t('help')} `, h('a', { href: `tel:${view.phone.replace(/[^+\d]/g, '')}` }, view.phone)),
      rider.token && h('p', {}, h('span.who', {}, t('as', rider.name)), button(t('change'), () => { forget(); restart() }))))
  const lost = root.contains(document.activeElement) && name !== shown
  morph(root, fresh)
  const title = root.querySelector('#' + name + ' h2')
  if (lost && document.activeElement === document.body && title) { title.tabIndex = -1; title.focus({ preventScroll: true }) }
  const words = [title, root.querySelector('.wait')].map(e => e?.textContent ?? '').join('. ')
  if (said.textContent !== words) said.textContent = words
  if (name !== shown) scrollTo(0, 0)
  shown = name
}

setInterval(() => ['active', 'pending', 'unresolved'].includes(s.order?.state) && draw(), 1000)
act(begin)
