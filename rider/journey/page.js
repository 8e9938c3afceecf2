// Elements, and a way from one page to the next that keeps focus and what is typed.

// h makes an element: h('button.big', {onclick: f}, 'text', other, null).
export function h(name, props, ...children) {
  const [tag, ...classes] = name.split('.')
  const e = document.createElement(tag)
  if (classes.length) e.className = classes.join(' ')
  for (const [k, v] of Object.entries(props ?? {})) {
    if (k.startsWith('on') || k === 'checked' || k === 'value') e[k] = v
    else if (v !== false && v != null) e.setAttribute(k, v === true ? '' : v)
  }
  e.append(...children.flat(9).filter(c => c != null && c !== false))
  return e
}

// drawing shows one of the page's symbols.
export function drawing(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  const use = document.createElementNS(svg.namespaceURI, 'use')
  use.setAttribute('href', `#d-${name}`)
  svg.setAttribute('aria-hidden', 'true')
  svg.append(use)
  return svg
}

const carried = ['onclick', 'onchange', 'oninput', 'onsubmit']

// morph makes the children of old what those of fresh are.
export function morph(old, fresh) {
  const was = [...old.childNodes]
  const next = [...fresh.childNodes]
  next.forEach((n, i) => {
    const o = was[i]
    if (!o) return old.append(n)
    if (o.nodeName !== n.nodeName || o.id !== n.id) return o.replaceWith(n)
    if (n.data != null) return o.data === n.data || (o.data = n.data)
    for (const { name } of [...o.attributes]) if (!n.hasAttribute(name) && name !== 'open') o.removeAttribute(name)
    for (const { name, value } of n.attributes) if (o.getAttribute(name) !== value) o.setAttribute(name, value)
    for (const k of carried) o[k] = n[k]
    if (o.nodeName === 'INPUT') {
      o.checked = n.checked
      if (o !== document.activeElement) o.value = n.value
    }
    morph(o, n)
  })
  was.slice(next.length).forEach(n => n.remove())
}
