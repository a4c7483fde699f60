/** What is kept, sent, allowed? The configuration as a form; it is in use as soon as it is saved. */

import {api} from '../api.js';
import {cameraState} from '../bar.js';
import {openCamera, removeCamera} from '../camera-form.js';
import {fill, h, keyed, setText} from '../dom.js';
import {themeChoice} from '../frame.js';
import {note, noteError} from '../notes.js';
import {button, fieldError, panel, readInto} from '../parts.js';
import {preferences} from '../preferences.js';
import {settingsFields} from '../settings-fields.js';
import {toml} from '../toml.js';

export function show({store, signal}) {
  const body = h('div');
  let form = null;
  const read = () =>
    readInto(
      body,
      'The settings',
      'Reading the configuration',
      async own => {
        form = settingsForm(store, await api.config(own), signal, () => read());
        return form;
      },
      signal,
    );
  // Something else changed the file: a form that is being edited is never overwritten.
  store.addEventListener(
    'config',
    () => {
      if (!form?.isChanged()) read();
    },
    {signal},
  );
  return {
    title: 'Settings',
    subtitle: 'Kept in one file and taken over at once, without a restart.',
    actions: null,
    body,
    mounted: read,
  };
}

function settingsForm(store, config, signal, again) {
  const fields = settingsFields(config),
    shownFile = h('pre'),
    told = h('span.grow', {role: 'status'}, 'Changes are not saved yet.');
  const save = h('button.btn.go', {type: 'submit'}, 'Save');
  const unsaved = h('div.bar.unsure.row.unsaved', {hidden: true}, told, button('Discard', again), save);
  const form = h(
    'form.two.rev',
    {},
    h('div.stack.l', {}, unsaved, camerasPanel(store, signal), ...fields.panels, accessPanel(config), thisPage()),
    panel('Configuration', shownFile, {note: 'as it will be written'}),
  );

  const draw = () => {
    const change = fields.change(),
      changed = Object.keys(change).length > 0,
      wrong = fields.wrong();
    unsaved.hidden = !changed && !wrong;
    save.disabled = wrong;
    setText(told, wrong ? 'One value cannot be used, see below.' : 'Changes are not saved yet.');
    setText(
      shownFile,
      toml(
        Object.fromEntries(
          Object.entries(config).map(([name, value]) => [
            name,
            change[name] && !Array.isArray(value) ? {...value, ...change[name]} : (change[name] ?? value),
          ]),
        ),
      ),
    );
  };
  form.addEventListener('input', draw);
  form.addEventListener('submit', async event => {
    event.preventDefault();
    save.disabled = true;
    try {
      const {restart = []} = await api.changeConfig(fields.change());
      note(restart.length ? `Saved. In use after a restart: ${restart.join(', ')}.` : 'Saved and in use.');
      again();
    } catch (error) {
      save.disabled = false;
      const named = error.field && fields.control(error.field);
      if (!named) return setText(told, error.message);
      fieldError(named, error.message);
      named.focus();
    }
  });
  form.isChanged = () => !unsaved.hidden;
  draw();
  return form;
}

function camerasPanel(store, signal) {
  const list = h('ul.camlist');
  const draw = () => {
    const all = [...store.cameras.values()];
    keyed(
      list,
      all,
      camera => camera.id,
      camera =>
        h(
          'li',
          {},
          h('b'),
          h('span.mono'),
          h('span'),
          h(
            'span.row.nowrap',
            {},
            button('Edit', () => openCamera(store, store.cameras.get(camera.id)), {
              cls: 'quiet',
              attributes: {'aria-label': `Edit ${camera.name}`},
            }),
            button('Remove', () => removeCamera(store, store.cameras.get(camera.id)), {
              cls: 'quiet',
              attributes: {'aria-label': `Remove ${camera.name}`},
            }),
          ),
        ),
      (one, camera) => {
        setText(one.children[0], camera.name);
        setText(one.children[1], camera.source);
        const mark = cameraState(camera);
        if (mark.textContent !== one.children[2].textContent) fill(one.children[2], mark);
      },
    );
    if (!all.length) fill(list, h('li.soft', {data: {key: ''}}, 'No camera yet.'));
  };
  store.addEventListener('cameras', draw, {signal});
  draw();
  return panel('Cameras', list, {right: button('Add camera', () => openCamera(store, null), {ic: 'plus'})});
}

function accessPanel({server = {}}) {
  const open = server.host && !['127.0.0.1', '::1', 'localhost'].includes(server.host);
  return panel(
    'Access',
    h(
      'div.pad.stack',
      {},
      h(
        'p',
        {},
        open
          ? 'This page can be reached from the network by anyone who has the token.'
          : 'This page can be reached from this device only.',
      ),
      h(
        'p.soft.small',
        {},
        'Address, port, token and certificate are named in the configuration’s [server] and need a restart.',
      ),
      h(
        'div',
        {},
        button('Sign out', async () => {
          await api.logout().catch(noteError);
          location.reload();
        }),
      ),
    ),
  );
}

function thisPage() {
  const keys = h('input', {
    type: 'checkbox',
    checked: preferences.shortcuts,
    onchange: () => preferences.setShortcuts(keys.checked),
  });
  return panel(
    'This page',
    h(
      'div.pad.stack',
      {},
      h(
        'div.row',
        {},
        themeChoice([
          ['system', 'Like the system'],
          ['light', 'Light'],
          ['dark', 'Dark'],
        ]),
      ),
      h(
        'label.check',
        {},
        keys,
        h(
          'span',
          {},
          'Single-key shortcuts ',
          h('span.soft.small', {}, '(/ search, 1–9 cameras, m mark moment, ? help)'),
        ),
      ),
    ),
  );
}
