/** What an alert is: its words, and a threshold that is chosen by what it would have done. */

import {api} from './api.js';
import {confirmDialog} from './dialog.js';
import {fill, h, s, setText} from './dom.js';
import {note, noteError} from './notes.js';
import {button, field, options, showRefusal, submit} from './parts.js';
import {fires, scale, scoresChart} from './scores-chart.js';
import {fixed, joined, list, plural} from './words.js';

const FRESH = {
  name: '',
  query: '',
  rivals: [],
  cameras: [],
  threshold: 0.5,
  hold_s: 1,
  cool_down_s: 60,
  look_back_s: 5,
  on: true,
};
const WAIT_MS = 500; // after the last key, before scores are read
const HOURS = 24;

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
    on: h('input', {type: 'checkbox', name: 'on', checked: alert.on}),
  };
  const slider = h('input', {type: 'range', name: 'threshold', min: 0, max: 1, step: 0.01, value: alert.threshold}),
    expect = h('span.expect', {role: 'status'}),
    place = h('div', {role: 'alert'});
  const unsaved = h('span.soft.small', {hidden: !isNew}, 'Not saved yet.'),
    aim = h('input.short', {type: 'number', min: 0, max: 500, value: 3, 'aria-label': 'Alerts a day to aim at'});
  let threshold = alert.threshold,
    scores = {bins: [], step_s: 300, counts: []},
    chosen = !isNew,
    reading = 0;

  const chart = scoresChart(value => choose(value));
  const draw = () => {
    chart.draw(scores, threshold, controls.cool.valueAsNumber || 0);
    const often = fires(scores, threshold);
    if (often === null)
      return setText(expect, scores.bins.length ? '' : 'No scores yet: nothing was seen in the last 24 hours.');
    fill(
      expect,
      'At ',
      h('b', {}, fixed(threshold, 2)),
      ' it would have fired ',
      h('b', {}, plural(often, 'time')),
      ` in the last ${HOURS} hours.`,
    );
  };
  const choose = value => {
    threshold = Math.round(value * 100) / 100;
    slider.value = String(threshold);
    chosen = true;
    unsaved.hidden = false;
    draw();
  };
  const values = () => ({
    query: controls.query.value.trim(),
    rivals: list(controls.rivals.value),
    cameras: controls.camera.value ? [controls.camera.value] : alert.cameras.length > 1 ? alert.cameras : [],
    hold_s: controls.hold.valueAsNumber || 0,
    cool_down_s: controls.cool.valueAsNumber || 0,
  });
  const read = async () => {
    const wanted = values(),
      turn = ++reading;
    if (!wanted.query)
      return setText(expect, 'Describe what should be seen; its score of the last 24 hours then stands here.');
    try {
      const found = await api.alertScores({...wanted, hours: HOURS}, signal);
      if (turn !== reading || signal.aborted) return;
      scores = found;
      const [low, high] = scale(scores, threshold);
      slider.min = String(low);
      slider.max = String(high);
      slider.value = String(threshold);
      if (!chosen && scores.bins.length) await propose(); // a first threshold that fires now and then
      draw();
    } catch (error) {
      if (error.name !== 'AbortError') setText(expect, error.message);
    }
  };
  const propose = async () => {
    try {
      const {threshold: found, sentence} = await api.proposeAlert(
        {...values(), per_day: aim.valueAsNumber || 0},
        signal,
      );
      if (!Number.isFinite(found)) return note(sentence);
      slider.min = String(Math.min(Number(slider.min), found));
      slider.max = String(Math.max(Number(slider.max), found));
      choose(found);
    } catch (error) {
      noteError(error);
    }
  };
  let timer = 0;
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
    h(
      'div.stack',
      {},
      h(
        'div.row.between',
        {},
        h('h3', {}, 'Score over the last 24 hours ', h('span.soft', {}, 'best of each 5 minutes')),
        h(
          'span.state.small',
          {},
          s('svg', {viewBox: '0 0 10 10', 'aria-hidden': 'true'}, s('path.alert-mark', {d: 'M1 2h8L5 9z'})),
          'would have fired',
        ),
      ),
      chart,
      h('label.field', {}, h('span.label', {}, 'Threshold ', h('span.soft.light', {}, 'or drag the line')), slider),
      h(
        'p.row.between',
        {},
        expect,
        h('span.row.nowrap', {}, h('label.row.nowrap', {}, 'Aim at ', aim, ' a day'), button('Propose', propose)),
      ),
    ),
    h(
      'div.form',
      {},
      field('Hold, s', controls.hold, 'above it this long before firing'),
      field('Cool-down, s', controls.cool, 'silent this long after it ended'),
      field('Look back, s', controls.back, 'video kept from before'),
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
  slider.addEventListener('input', () => choose(Number(slider.value)));
  form.addEventListener('input', event => {
    if (event.target === slider || event.target === aim) return;
    unsaved.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(read, WAIT_MS);
  });
  form.addEventListener('submit', async event => {
    event.preventDefault();
    fill(place);
    const wanted = {
      ...values(),
      name: controls.name.value.trim() || controls.query.value.trim(),
      threshold,
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
  addEventListener('resize', draw, {signal});
  requestAnimationFrame(() => {
    draw();
    read();
  });
  form.isChanged = () => !unsaved.hidden && !isNew;
  return form;
}
