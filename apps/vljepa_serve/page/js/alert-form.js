/** What an alert is: its words, its threshold, and who is told. */

import {thresholdEditor} from './alert-threshold.js';
import {api} from './api.js';
import {confirmDialog} from './dialog.js';
import {fill, h} from './dom.js';
import {note, noteError} from './notes.js';
import {button, field, options, showRefusal, submit} from './parts.js';
import {joined, list} from './words.js';

const FRESH = {
  name: '',
  query: '',
  rivals: [],
  cameras: [],
  threshold: null,
  hold_s: 1,
  cool_down_s: 60,
  look_back_s: 5,
  send_to: null,
  on: true,
};
const EVERYWHERE = 'all';
/** Who may be told beside the page. @type {[string, string][]} */
const SEND_TO = [
  [EVERYWHERE, 'All receivers and the page'],
  ['mqtt', 'MQTT and the page'],
  ['webhook', 'Webhook and the page'],
  ['', 'The page only'],
];
/** A new alert about some words. */
export function freshAlert(query, camera) {
  return {...FRESH, query, name: query, cameras: camera ? [camera] : []};
}

/**
 * @param {{store: import('./store.js').Store, alert: any, saved: (alert: any) => void, removed: () => void, signal: AbortSignal}} options
 * @returns {HTMLFormElement & {isChanged: () => boolean}}
 */
export function alertForm({store, alert, saved, removed, signal}) {
  const isNew = !alert.id,
    number = (name, value, max) => h('input', {type: 'number', name, min: 0, max, step: 'any', value, required: true});
  const controls = {
    query: h('input', {
      name: 'query',
      value: alert.query,
      maxlength: 200,
      required: true,
      placeholder: 'a parcel lies on the mat',
    }),
    rivals: h('input', {
      name: 'rivals',
      value: joined(alert.rivals),
      maxlength: 1000,
      placeholder: 'the mat is empty',
    }),
    camera: h(
      'select',
      {name: 'cameras'},
      options(
        [
          ['', 'All cameras'],
          ...[...store.cameras.values()].map(one => /** @type {[string, string]} */ ([one.id, one.name])),
        ],
        alert.cameras.length === 1 ? alert.cameras[0] : '',
      ),
    ),
    name: h('input', {name: 'name', value: alert.name, maxlength: 100, placeholder: 'as it is told'}),
    hold: number('hold_s', alert.hold_s, 600),
    cool: number('cool_down_s', alert.cool_down_s, 86400),
    back: number('look_back_s', alert.look_back_s, 60),
    sendTo: h(
      'select',
      {name: 'send_to'},
      options(sendChoices(alert.send_to), alert.send_to ? alert.send_to.join() : EVERYWHERE),
    ),
    on: h('input', {type: 'checkbox', name: 'on', checked: alert.on}),
  };
  const place = h('div', {role: 'alert'}),
    unsaved = h('span.soft.small', {hidden: !isNew}, 'Not saved yet.');
  const values = () => ({
    query: controls.query.value.trim(),
    rivals: list(controls.rivals.value),
    cameras: controls.camera.value ? [controls.camera.value] : alert.cameras.length > 1 ? alert.cameras : [],
    hold_s: controls.hold.valueAsNumber || 0,
    cool_down_s: controls.cool.valueAsNumber || 0,
  });
  const threshold = thresholdEditor({
    rule: values,
    threshold: alert.threshold,
    changed: () => (unsaved.hidden = false),
    signal,
  });
  const form = h(
    'form.pad.stack.l',
    {},
    h(
      'div.form.pairs',
      {},
      field('When it looks like', controls.query, 'A short sentence about what is to be seen'),
      field(
        'Rather than',
        controls.rivals,
        'What else may be seen; the score is how much nearer it is than the nearest of these. Separated by commas',
      ),
      field('Camera', controls.camera),
      field('Name', controls.name, 'As it is told'),
    ),
    threshold,
    h(
      'div.form',
      {},
      field('Hold, s', controls.hold, 'above it this long before firing'),
      field('Cool-down, s', controls.cool, 'silent this long after it ended'),
      field('Look back, s', controls.back, 'video kept from before'),
      field('Send to', controls.sendTo, 'receivers are named in the settings'),
    ),
    place,
    h(
      'div.row',
      {},
      h('label.check', {}, controls.on, 'On'),
      unsaved,
      h('span.push.row', {}, isNew ? null : button('Delete', () => remove(), {cls: 'quiet'}), submit('Save')),
    ),
  );
  form.addEventListener('input', () => {
    unsaved.hidden = false;
    threshold.later();
  });
  form.addEventListener('submit', async event => {
    event.preventDefault();
    fill(place);
    const wanted = {
      ...values(),
      name: controls.name.value.trim() || controls.query.value.trim(),
      threshold: threshold.value(),
      send_to: controls.sendTo.value === EVERYWHERE ? null : list(controls.sendTo.value),
      look_back_s: controls.back.valueAsNumber || 0,
      on: controls.on.checked,
    };
    try {
      const kept = isNew ? await api.addAlert(wanted) : await api.changeAlert(alert.id, wanted);
      unsaved.hidden = true;
      note(kept.on ? 'Saved. It watches from now on.' : 'Saved. It is off.');
      saved(kept);
    } catch (error) {
      showRefusal(form, place, error);
    }
  });
  const remove = () =>
    confirmDialog(
      `Delete ${alert.name}?`,
      'It stops watching now. What it told stays in the log.',
      'Delete',
      async () => {
        try {
          await api.removeAlert(alert.id);
          note('Deleted.');
          removed();
        } catch (error) {
          noteError(error);
        }
      },
    );
  addEventListener('resize', threshold.draw, {signal});
  requestAnimationFrame(() => {
    threshold.draw();
    threshold.read();
  });
  form.isChanged = () => !unsaved.hidden && !isNew;
  return form;
}

/** The choices, with what the file says where it is none of them. */
function sendChoices(chosen) {
  const key = chosen?.join() ?? EVERYWHERE;
  return SEND_TO.some(([value]) => value === key) ? SEND_TO : [...SEND_TO, [key, `${chosen.join(', ')} and the page`]];
}
