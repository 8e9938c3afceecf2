// The codes that lead to a device: seen, printed, revoked, replaced.
import { html, useState } from '../lib/html.js'
import { can, post } from '../lib/api.js'
import { Badge, Button, Card, confirmAct, Dialog, Spinner, toast, useLoad } from '../lib/ui.js'
import { t } from '../lib/words.js'

/** @param {{device: any, again: () => void, mint: () => void}} props */
export function Codes({ device: d, again, mint }) {
  const [printing, setPrinting] = useState(/** @type {any} */ (null)), [all, setAll] = useState(false)
  const codes = [...(d.codes ?? [])].sort((a, b) => Number(a.revoked) - Number(b.revoked)), valid = codes.filter(c => !c.revoked)
  const shown = all ? codes : codes.slice(0, Math.max(valid.length, 1))
  return html`<${Card} title=${t('device.codes')} actions=${can('field') && html`<${Button} small icon="plus" onClick=${() => mint()}>${t('device.code.mint')}<//>`}>
    ${valid.length === 0 && html`<p class="quiet">${t('device.codes.none')}</p>`}
    <ul class="code-list">${shown.map(c => html`<${Code} key=${c.number} code=${c} device=${d} again=${again} print=${() => setPrinting(c)} />`)}</ul>
    ${codes.length > shown.length && html`<div class="more"><${Button} kind="quiet" small onClick=${() => setAll(true)}>${t('device.codes.revoked', { n: codes.length - shown.length })}<//></div>`}
    ${printing && html`<${Dialog} wide title=${t('device.code.print')} onClose=${() => setPrinting(null)}><${Print} code=${printing} /><//>`}<//>`
}

function Code({ code: c, device: d, again, print }) {
  const path = '/codes/' + c.number
  const act = async (name, said) => {
    const answer = await confirmAct({ title: t('device.code.' + name), text: t(`device.code.${name}.text`, { code: c.printed }), reason: 'optional', danger: name === 'revoke', curl: { method: 'POST', path: `${path}/${name}`, body: {} },
      run: reason => post(`${path}/${name}`, reason ? { reason } : {}) })
    if (answer === undefined) return
    toast(said(answer ?? {}))
    again()
  }
  const symbol = `/v1/operator/codes/${c.number}/symbol.svg`
  return html`<li class=${'code-row' + (c.revoked ? ' revoked' : '')}>
    ${can('field') && !c.revoked && html`<a href=${symbol} target="_blank" rel="noopener"><img src=${symbol} width="84" height="84" loading="lazy" alt=${t('device.code.alt', { code: c.printed })} /></a>`}
    <div class="grow stack"><div class="row"><span class="number">${c.printed}</span><${Badge} state=${c.revoked ? 'revoked' : 'ok'} word=${t(c.revoked ? 'device.code.revoked' : 'device.code.valid')} />
        ${d.outlets.length > 1 && c.outlet && html`<span class="quiet">${t('part.side.n', { n: c.outlet })}</span>`}${c.kiosk && html`<span class="quiet">${t('device.code.kiosk')}</span>`}</div>
      ${!c.revoked && can('field') && html`<div class="actions start"><${Button} small icon="print" onClick=${print}>${t('device.code.print')}<//>
        <${Button} small icon="reload" onClick=${() => act('remint', made => t('device.code.new', { code: made.printed ?? '' }))}>${t('device.code.remint')}<//>
        <${Button} small icon="x" onClick=${() => act('revoke', () => t('device.code.revoked'))}>${t('device.code.revoke')}<//></div>`}</div></li>`
}

// Print comes from the page of codes, which is loaded only now.
function Print({ code }) {
  const load = useLoad(async () => { await import('../words/codes.js'); return await import('./print.js') }, [])
  if (!load.data) return html`<${Spinner} />`
  return html`<${load.data.PrintCard} code=${code} />`
}
