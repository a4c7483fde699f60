/**
 * The live picture of a camera: newest wins. A browser opens six connections to a server for all its tabs, so a picture is
 * asked for again and again, one request at a time, and only while it can be seen; a stream each would use them up.
 */

import {address} from './api.js';
import {hasPicture, overlay, overlaySentence} from './bar.js';
import {h, setText} from './dom.js';

const STILL_MS = 2000;
const reduced = matchMedia('(prefers-reduced-motion: reduce)');

/** Shared by all pictures of the page. */
export const pictures = {paused: false};

const sleep = (ms, signal) =>
  new Promise(resolve => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve(undefined);
      },
      {once: true},
    );
  });

/**
 * @param {import('./store.js').Store} store
 * @param {string} id
 * @param {{width?: number, everyMs?: number, retry: () => void, signal: AbortSignal}} options
 * @returns {HTMLElement & {refresh: () => void}}
 */
export function livePicture(store, id, {width = 640, everyMs = 200, retry, signal}) {
  const image = h('img', {alt: ''});
  const box = h('div.pic', {}, image);
  let seen = false,
    drawn = '';
  const watcher = new IntersectionObserver(entries => {
    seen = entries[entries.length - 1].isIntersecting;
  });
  watcher.observe(box);
  signal.addEventListener('abort', () => {
    watcher.disconnect();
    URL.revokeObjectURL(image.src);
  });

  /** Overlay and greyness follow the state; the overlay is kept while only its countdown changes. */
  box.refresh = () => {
    const camera = store.cameras.get(id);
    if (!camera) return;
    const away = store.connection.state === 'away';
    const now = `${away}|${camera.state}|${camera.sentence}`;
    box.classList.toggle('stale', away || ['reconnecting', 'stopped', 'frozen'].includes(camera.state));
    image.alt = `${hasPicture(camera) && !away ? 'Live' : 'Last'} picture of ${camera.name}`;
    if (now !== drawn) {
      drawn = now;
      box.querySelector('.over, .tag')?.remove();
      const over = overlay(store, camera, retry);
      if (over) box.append(over);
    } else if (camera.state === 'reconnecting' && !away) {
      const why = box.querySelector('[data-part=why]');
      if (why) setText(why, overlaySentence(store, camera));
    }
  };

  const wanted = () =>
    seen &&
    !document.hidden &&
    store.connection.state === 'open' &&
    hasPicture(store.cameras.get(id) ?? {state: 'off'}) &&
    !(pictures.paused && image.src);
  const draw = async () => {
    const answer = await fetch(address.live(id, width), {signal, cache: 'no-cache'});
    if (answer.status !== 200) return;
    const next = URL.createObjectURL(await answer.blob());
    const before = image.src;
    image.src = next;
    await image.decode().catch(() => {}); // half a picture is shown as the browser can
    if (before) URL.revokeObjectURL(before);
  };
  (async () => {
    while (!signal.aborted) {
      const pause = reduced.matches ? STILL_MS : everyMs,
        begun = performance.now();
      if (wanted()) await draw().catch(() => sleep(1000, signal)); // the WebSocket says why
      await sleep(Math.max(20, pause - (performance.now() - begun)), signal);
    }
  })();
  box.refresh();
  return box;
}
