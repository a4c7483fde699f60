/** The dialog that adds or changes a camera, with a test of its address. */

import {api} from './api.js';
import {closeDialog, confirmDialog, openDialog} from './dialog.js';
import {fill, h} from './dom.js';
import {note, noteError} from './notes.js';
import {button, field, fieldError, showRefusal, submit} from './parts.js';

/**
 * @param {import('./store.js').Store} store
 * @param {any} camera  null for a new one
 */
export function openCamera(store, camera) {
  openDialog(camera ? `Camera ${camera.name}` : 'Camera', signal => cameraForm(store, camera, signal));
}

function cameraForm(store, camera, signal) {
  const name = h('input', {
    name: 'name',
    required: true,
    maxlength: 100,
    value: camera?.name ?? '',
    autocomplete: 'off',
  });
  const source = h('input', {
    name: 'source',
    required: !camera,
    maxlength: 1000,
    autocomplete: 'off',
    placeholder: camera ? camera.source : 'rtsp://10.0.4.51/stream1',
  });
  const plugged = h('div.row', {role: 'group', 'aria-label': 'Cameras of the device', hidden: true});
  if (!camera) offerDevices(plugged, source, name, signal);
  const on = h('input', {type: 'checkbox', name: 'on', checked: camera ? camera.on : true});
  const loop = h('input', {type: 'checkbox', name: 'loop', checked: camera ? camera.loop : false});
  const place = h('div.stack', {role: 'alert'});
  const test = button('Test', async () => {
    if (!source.value.trim()) return fieldError(source, 'Give an address first.');
    await testSource(source, place, test, signal);
  });
  source.addEventListener('input', () => fieldError(source, ''));
  const form = h(
    'form.pad.stack',
    {},
    field('Name', name),
    field(
      'Address',
      source,
      camera
        ? 'Left empty, the address stays as it is. Its password is never shown.'
        : 'RTSP, HTTP, a device or a file',
    ),
    plugged,
    h(
      'div.row',
      {},
      h('label.check', {}, on, 'On'),
      h('label.check', {}, loop, 'Begin again at its end ', h('span.soft.small', {}, '(files)')),
    ),
    place,
    h('div.row', {}, test, h('span.push.row', {}, submit(camera ? 'Save' : 'Add camera'))),
  );
  form.addEventListener('submit', async event => {
    event.preventDefault();
    fill(place);
    const wanted = {
      name: name.value.trim(),
      on: on.checked,
      loop: loop.checked,
      ...(source.value.trim() ? {source: source.value.trim()} : {}),
    };
    try {
      const made = camera ? await api.changeCamera(camera.id, wanted) : await api.addCamera(wanted);
      store.answered(made);
      closeDialog();
      note(camera ? 'Saved and in use.' : 'Added. Connecting.');
    } catch (error) {
      showRefusal(form, place, error);
    }
  });
  return form;
}

/** Cameras that are plugged in, to be chosen by a press. */
async function offerDevices(place, source, name, signal) {
  const found = await devicesOf(signal);
  const choose = device => {
    source.value = device.source;
    name.value ||= device.name;
    fieldError(source, '');
    source.focus();
  };
  fill(
    place,
    found.map(device => button(`${device.source} ${device.name}`, () => choose(device), {cls: 'quiet'})),
  );
  place.hidden = !found.length;
}

/** Cameras that are plugged into the device; none where nobody can say. @returns {Promise<{source: string, name: string}[]>} */
export async function devicesOf(signal) {
  try {
    return await api.devices(signal);
  } catch {
    return [];
  }
}

/** Connect once, and show what came of it. */
async function testSource(source, place, test, signal) {
  test.disabled = true;
  fill(place, h('p.soft', {}, 'Connecting. The first picture usually takes 2 to 5 s.'));
  try {
    const found = await api.testCamera(source.value.trim(), signal);
    if (!found.ok) {
      fill(place);
      return fieldError(source, found.sentence);
    }
    fill(
      place,
      found.picture && h('div.pic', {}, h('img', {src: found.picture, alt: 'The first picture'})),
      h('p.bar.right', {}, found.sentence || `${found.width}×${found.height}, ${found.fps} pictures a second.`),
    );
  } catch (error) {
    if (error.name !== 'AbortError') {
      fill(place);
      fieldError(source, error.message);
    }
  } finally {
    test.disabled = false;
  }
}

/** Remove a camera after asking. */
export function removeCamera(store, camera) {
  confirmDialog(
    `Remove ${camera.name}?`,
    'It stops now. Its past stays searchable until it is too old.',
    'Remove',
    async () => {
      try {
        await api.removeCamera(camera.id);
        store.cameras.delete(camera.id);
        store.tell('cameras', camera.id);
        note('Removed. Its past stays searchable until it is too old.');
      } catch (error) {
        noteError(error);
      }
    },
  );
}
