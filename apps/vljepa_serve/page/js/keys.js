/** Single-key shortcuts; they can be turned off, since speech input and some keyboards press them by accident. */

import {h} from './dom.js';
import {openDialog} from './dialog.js';
import {preferences} from './preferences.js';

/** A view adds its own, for as long as it is shown. @type {Map<string, () => void>} */
const local = new Map();

/** @param {string} key @param {() => void} act @param {AbortSignal} signal */
export function onKey(key, act, signal) {
  local.set(key, act);
  signal.addEventListener('abort', () => {
    if (local.get(key) === act) local.delete(key);
  });
}

/** @param {import('./store.js').Store} store */
export function listenForKeys(store) {
  document.addEventListener('keydown', event => {
    const target = /** @type {Element} */ (event.target);
    if (
      !preferences.shortcuts ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      target.closest?.('input, select, textarea, dialog')
    )
      return;
    const act = local.get(event.key) ?? everywhere(store, event.key);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function everywhere(store, key) {
  if (key === '/')
    return () => {
      location.hash = '#/search?focus=1';
    };
  if (key === '?') return help;
  const camera = /^[1-9]$/.test(key) ? [...store.cameras.values()][Number(key) - 1] : null;
  return (
    camera &&
    (() => {
      location.hash = `#/camera/${encodeURIComponent(camera.id)}`;
    })
  );
}

function help() {
  const row = (keys, text) =>
    h(
      'p',
      {},
      keys.map(key => [h('span.key', {}, key), ' ']),
      text,
    );
  openDialog('Keys', () =>
    h(
      'div.pad.stack',
      {},
      row(['/'], 'search'),
      row(['1', '9'], 'camera, or state under Teach'),
      row(['m'], 'mark the moment'),
      row(['←', '→'], 'segments of the timeline'),
      h('p.soft', {}, 'They can be turned off in the settings.'),
    ),
  );
}
