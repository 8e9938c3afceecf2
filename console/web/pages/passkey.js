// Passkeys (WebAuthn) with the JSON that servers speak. Browsers of 2024 and later have
// the conversions built in; for older ones they are here.

/** Whether this browser makes passkeys at this address. */
export const passkeysHere = () => globalThis.isSecureContext && 'PublicKeyCredential' in globalThis

const bytes = text => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0))
const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

/**
 * Has a passkey made. Throws what the browser throws when the person or the device
 * refuses.
 * @param {any} options as PublicKeyCredential.parseCreationOptionsFromJSON takes them
 * @returns {Promise<any>} as the credential's toJSON gives it
 */
export async function createPasskey(options) {
  const Kind = /** @type {any} */ (PublicKeyCredential)
  const publicKey = Kind.parseCreationOptionsFromJSON ? Kind.parseCreationOptionsFromJSON(options) : {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: (options.excludeCredentials ?? []).map(c => ({ ...c, id: bytes(c.id) })),
  }
  const made = /** @type {any} */ (await navigator.credentials.create({ publicKey }))
  if (made.toJSON) return made.toJSON()
  return { id: made.id, rawId: text(made.rawId), type: made.type, authenticatorAttachment: made.authenticatorAttachment, clientExtensionResults: made.getClientExtensionResults(),
    response: { clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject), transports: made.response.getTransports?.() ?? [] } }
}
