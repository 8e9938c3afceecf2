// Signing in with a passkey, for browsers that have one. Everything else on the page
// works without this script.
const place = document.getElementById('passkey');
const json = async (path, body) => {
  const answer = await fetch('/v1/operator' + path, {
    method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body ?? {}),
  });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || String(answer.status));
  return answer.status === 204 || answer.headers.get('Content-Length') === '0' ? null : answer.json().catch(() => null);
};

const signIn = async () => {
  const { ceremony, publicKey } = await json('/logins/passkey/options');
  const credential = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
  await json('/logins/passkey', { ceremony, credential: credential.toJSON() });
  location.assign(place.dataset.to);
};

// Browsers know passkeys at a domain by https and at localhost alone.
if (place && window.isSecureContext && window.PublicKeyCredential?.parseRequestOptionsFromJSON && !/^[\d.]+$|:/.test(location.hostname)) {
  place.hidden = false;
  const button = place.querySelector('button');
  button.addEventListener('click', async () => {
    button.disabled = true;
    document.getElementById('refused')?.remove();
    try {
      await signIn();
    } catch (problem) {
      if (problem.name !== 'AbortError') {
        const said = document.createElement('p');
        said.id = 'refused';
        said.className = 'alert';
        said.setAttribute('role', 'alert');
        said.textContent = problem.name === 'NotAllowedError' ? place.dataset.refused : `${place.dataset.refused} ${problem.message}`;
        place.before(said);
      }
    } finally {
      button.disabled = false;
    }
  });
}
