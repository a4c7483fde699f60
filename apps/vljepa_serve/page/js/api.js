/** The server's routes. A failure is an `ApiError` whose message is the server's sentence. */

export class ApiError extends Error {
  /** @param {number} status 0 where the server did not answer @param {string} sentence @param {string | null} field */
  constructor(status, sentence, field = null) {
    super(sentence);
    this.status = status;
    this.field = field;
  }
}

/**
 * @param {string} method
 * @param {string} path  below `/api/`
 * @param {any} [body]  sent as JSON
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} what the server answered; null for an empty answer
 */
async function call(method, path, body, signal) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, {
      method,
      signal,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: body === undefined ? {} : {'Content-Type': 'application/json'},
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'The server does not answer. Look whether it still runs, then try again.');
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  throw await refusal(answer);
}

async function refusal(answer) {
  let told = {};
  try {
    told = await answer.json();
  } catch {
    /* a proxy's page, or nothing */
  }
  const sentence =
    typeof told.sentence === 'string' && told.sentence ? told.sentence : `The server refused this (${answer.status}).`;
  return new ApiError(answer.status, sentence, typeof told.field === 'string' ? told.field : null);
}

/** `a=1&b=x` without what is undefined or empty. */
function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
}

const part = encodeURIComponent;

export const api = {
  state: signal => call('GET', 'state', undefined, signal),
  login: token => call('POST', 'login', {token}),
  logout: () => call('POST', 'logout', {}),

  devices: signal => call('GET', 'cameras/devices', undefined, signal),
  addCamera: camera => call('POST', 'cameras', camera),
  changeCamera: (id, change) => call('PATCH', `cameras/${part(id)}`, change),
  removeCamera: id => call('DELETE', `cameras/${part(id)}`),
  retryCamera: id => call('POST', `cameras/${part(id)}/retry`, {}),
  testCamera: (source, signal) => call('POST', 'cameras/test', {source}, signal),

  ask: (id, question, signal) => call('POST', `cameras/${part(id)}/ask`, question, signal),
  askAlways: (id, queries) => call('PUT', `cameras/${part(id)}/queries`, {queries}),
  segments: (id, from, to, signal, asked) =>
    call('GET', `cameras/${part(id)}/segments?${query({from, to, query: asked})}`, undefined, signal),
  windows: (id, from, to, points, signal) =>
    call('GET', `cameras/${part(id)}/windows?${query({from, to, points})}`, undefined, signal),

  search: (wanted, signal) => call('POST', 'search', wanted, signal),
  moment: (id, signal) => call('GET', `moments/${part(id)}`, undefined, signal),
  decode: id => call('POST', `moments/${part(id)}/decode`, {}),

  alerts: signal => call('GET', 'alerts', undefined, signal),
  addAlert: alert => call('POST', 'alerts', alert),
  changeAlert: (id, alert) => call('PUT', `alerts/${part(id)}`, alert),
  removeAlert: id => call('DELETE', `alerts/${part(id)}`),
  alertScores: (alert, signal) => call('POST', 'alerts/scores', alert, signal),
  proposeAlert: (alert, signal) => call('POST', 'alerts/propose', alert, signal),
  fired: (from, to, signal) => call('GET', `alerts/fired?${query({from, to})}`, undefined, signal),

  teach: lesson => call('POST', 'teach', lesson),
  taught: signal => call('GET', 'teach', undefined, signal),
  forget: id => call('DELETE', `teach/${part(id)}`),

  digest: (wanted, signal) => call('GET', `digest?${query(wanted)}`, undefined, signal),
  system: signal => call('GET', 'system', undefined, signal),
  config: signal => call('GET', 'config', undefined, signal),
  changeConfig: change => call('PATCH', 'config', change),
};

/** Addresses that an element loads by itself. */
export const address = {
  live: (id, width) => `/api/cameras/${part(id)}/live.jpg?width=${width}`,
  thumbnail: (moment, width = 256) => `/api/moments/${part(moment)}.jpg?width=${width}`,
  clip: moment => `/api/moments/${part(moment)}.mp4`,
  digest: (kind, wanted) => `/api/digest.${kind}?${query(wanted)}`,
};
