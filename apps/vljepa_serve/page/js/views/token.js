/** Sign in with the token that the server printed. */

import {api} from '../api.js';
import {fill, h} from '../dom.js';
import {field} from '../parts.js';

export function show({live}) {
  const token = h('input', {
    type: 'password',
    name: 'token',
    required: true,
    autocomplete: 'current-password',
    maxlength: 1000,
  });
  const place = h('div', {role: 'alert'}),
    open = h('button.btn.go', {type: 'submit'}, 'Open');
  const form = h(
    'form.panel.pad.stack.signin',
    {},
    h('h2', {}, 'This page needs the token'),
    field('Token', token, 'It was printed when vljepa serve was started.'),
    open,
    place,
  );
  form.addEventListener('submit', async event => {
    event.preventDefault();
    open.disabled = true;
    try {
      await api.login(token.value);
      live.open();
    } catch (error) {
      token.setAttribute('aria-invalid', 'true');
      fill(
        place,
        h(
          'p.wrong-t',
          {},
          error.status === 401 || error.status === 403
            ? 'That is not the token. After 5 tries this page waits a minute.'
            : error.message,
        ),
      );
      token.select();
    }
    open.disabled = false;
  });
  return {title: 'Sign in', subtitle: '', actions: null, body: form, mounted: () => token.focus()};
}
