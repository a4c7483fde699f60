/** The one dialog. The browser keeps the focus in it and gives it back when it closes. */

import {fill, h, icon} from './dom.js';

let ended = new AbortController();

/**
 * Open it, or replace what it shows.
 * @param {string} title
 * @param {(signal: AbortSignal) => any} make  gives the body; the signal fires when the dialog closes
 */
export function openDialog(title, make) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('dialog'));
  ended.abort();
  ended = new AbortController();
  const close = h('button.btn.quiet', {type: 'button', 'aria-label': 'Close', onclick: closeDialog}, icon('close'));
  fill(dialog, h('header', {}, h('h2', {id: 'dialog-title'}, title), close), make(ended.signal));
  if (!dialog.open) dialog.showModal();
  dialog.addEventListener('close', () => ended.abort(), {signal: ended.signal});
  dialog.scrollTop = 0;
}

export function closeDialog() {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('dialog'));
  if (dialog.open) dialog.close();
  fill(dialog);
}

/** Ask before something is removed. @param {() => void} act */
export function confirmDialog(title, sentence, verb, act) {
  openDialog(title, () =>
    h(
      'div.pad.stack',
      {},
      h('p', {}, sentence),
      h(
        'div.row',
        {},
        h('button.btn.push', {type: 'button', onclick: closeDialog}, 'Keep it'),
        h(
          'button.btn.go',
          {
            type: 'button',
            onclick: () => {
              closeDialog();
              act();
            },
          },
          verb,
        ),
      ),
    ),
  );
}
