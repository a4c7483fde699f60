/** What floats for a while: confirmations, and alerts until they are dismissed. */

import {h} from './dom.js';
import {button, linkButton} from './parts.js';

const SHOWN_MS = 5000;
const MOST_ALERTS = 3;

/** @param {string} text */
export function note(text) {
  const one = h('p.bar', {}, text);
  document.getElementById('notes').append(one);
  setTimeout(() => one.remove(), SHOWN_MS);
}

/** A failure that has no place of its own. */
export function noteError(error) {
  if (error.name === 'AbortError') return;
  const one = h('p.bar.alert', {}, error.message);
  document.getElementById('notes').append(one);
  setTimeout(() => one.remove(), 2 * SHOWN_MS);
}

/** @param {{title: string, text: string, picture?: Element | null, open: string}} alert  `open` is the address of its view */
export function toast({title, text, picture = null, open}) {
  const box = document.getElementById('fired');
  const one = h(
    'div.toast',
    {},
    picture,
    h('b', {}, title),
    h('span', {}, text),
    h(
      'span.row',
      {},
      linkButton('Open', open, {attributes: {onclick: () => one.remove()}}),
      button('Dismiss', () => one.remove(), {cls: 'quiet'}),
    ),
  );
  box.append(one);
  while (box.children.length > MOST_ALERTS) box.firstElementChild.remove();
}
