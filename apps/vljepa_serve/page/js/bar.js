/** What a camera says now, and its state in words: one meaning for the wall, the camera's view and the settings. */

import {h, setText} from './dom.js';
import {button, linkButton, stateMark} from './parts.js';
import {clock, length} from './words.js';

/** Mark and word of each state. */
const STATES = {
  starting: ['wait', 'Starting'],
  live: ['ok', 'Live'],
  slowed: ['warn', 'Slowed, device is hot'],
  frozen: ['warn', 'Picture frozen'],
  black: ['warn', 'Picture is black'],
  reconnecting: ['bad', 'Reconnecting'],
  stopped: ['bad', 'Stopped'],
  off: ['none', 'Off'],
};
const WITHOUT_PICTURE = new Set(['starting', 'reconnecting', 'stopped', 'off']);
const CHANGING_S = 10; // after the newest window nobody knows
const HOLDS_LAST = new Set(['reconnecting', 'stopped', 'frozen', 'off']);

/** Whether pictures come from this camera. */
export function hasPicture(camera) {
  return !WITHOUT_PICTURE.has(camera.state);
}

/** Mark and word of a camera's state. @param {boolean} away whether the server is */
export function cameraState(camera, away = false) {
  if (away) return stateMark('wait', 'Last known');
  if (camera.unknown && (camera.state === 'live' || camera.state === 'slowed'))
    return stateMark('none', 'Nothing I know');
  const [mark, word] = STATES[camera.state] ?? ['none', camera.state];
  return stateMark(mark, word);
}

/**
 * Kind and words of the sentence bar.
 * @returns {[string, string]} class of the bar, text
 */
export function sentence(store, camera, away = false) {
  const last = store.lastSaid(camera.id);
  if (camera.state === 'black') return ['none', 'nothing to see'];
  if (HOLDS_LAST.has(camera.state)) return ['none', last?.text ? `last: ${last.text}` : 'no sentence yet'];
  if (camera.unknown) return ['unknown', 'nothing I know'];
  if (camera.state === 'starting' && !last?.text) return ['none', 'no sentence yet'];
  if (!camera.now) return ['none', store.stats.get(camera.id)?.windows ? 'changing' : 'no sentence yet'];
  if (!camera.now.text) return ['none', 'not put into words'];
  return [away || camera.state === 'starting' ? 'none' : '', camera.now.text];
}

/** Whether the meaning has moved away from the sentence that is shown, and is not put into words yet. */
export function isChanging(store, camera) {
  const newest = store.windows.get(camera.id)?.points.at(-1);
  if (!newest || !camera.now || camera.unknown || !hasPicture(camera) || store.connection.state === 'away') return false;
  return store.known() - newest.at < CHANGING_S && newest.low < 1 - store.threshold && newest.at > camera.now.at_end;
}

/** How long the sentence holds, or when a picture was last seen. */
export function age(store, camera) {
  if (!hasPicture(camera)) return camera.last_frame ? clock(camera.last_frame) : '';
  return camera.now ? length(store.known() - camera.now.at_start) : '';
}

/** The bar itself, which `updateBar` keeps up to date. */
export function sentenceBar({big = false} = {}) {
  return h('p.bar.said', {class: big ? 'big' : ''}, h('span'), big ? null : h('time'));
}

export function updateBar(bar, store, camera) {
  const away = store.connection.state === 'away';
  const [kind, text] = sentence(store, camera, away);
  const changing = isChanging(store, camera);
  for (const name of ['none', 'unknown']) bar.classList.toggle(name, kind === name);
  bar.classList.toggle('changing', changing);
  setText(bar.firstElementChild, text);
  if (bar.children[1]) setText(bar.children[1], changing ? 'changing' : age(store, camera));
}

const HEADLINES = {
  starting: 'Connecting',
  frozen: 'Same picture',
  black: 'Black picture',
  reconnecting: 'Connection lost',
  stopped: 'Stopped',
  off: 'Off',
};

/**
 * What lies over a picture that is not live; null where nothing does.
 * @param {() => void} retry
 */
export function overlay(store, camera, retry) {
  if (store.connection.state === 'away')
    return h('span.tag', {}, `${clock(camera.last_frame ?? store.known())}, last known`);
  if (camera.state === 'slowed') return h('span.tag', {}, camera.sentence || 'slowed');
  const headline = HEADLINES[camera.state];
  if (!headline) return null;
  const full = camera.state === 'starting' || camera.state === 'black' || camera.state === 'off';
  return h(
    'div.over',
    {class: full ? 'full' : ''},
    h('strong', {}, headline),
    h('span.small', {data: {part: 'why'}}, overlaySentence(store, camera)),
    camera.state === 'reconnecting' ? button('Try now', retry) : null,
    camera.state === 'stopped' ? linkButton('Open settings', '#/settings') : null,
  );
}

/** The sentence on it; of a lost camera it counts down. */
export function overlaySentence(store, camera) {
  if (camera.state !== 'reconnecting' || !camera.retry_at) return camera.sentence || '';
  const left = Math.max(0, Math.ceil(camera.retry_at - store.now()));
  return `at ${clock(camera.since)}. Attempt ${camera.attempt ?? 1}, next in ${left} s`;
}

/** One line for the head of a camera's view. */
export function stateLine(store, camera) {
  if (camera.state === 'reconnecting') return `Reconnecting since ${clock(camera.since)}`;
  const word =
    camera.unknown && camera.state === 'live' ? 'Nothing I know' : (STATES[camera.state]?.[1] ?? camera.state);
  const rate = hasPicture(camera) && camera.fps ? ` · ${Number(camera.fps.toFixed(1))} pictures a second` : '';
  return `${word}${rate} · ${store.isDemo(camera) ? 'demo, a drawn stream' : camera.source}`;
}

/** The mark of that line. */
export function stateKind(camera) {
  return camera.unknown && camera.state === 'live' ? 'none' : (STATES[camera.state]?.[0] ?? 'none');
}
