/** The threshold of an alert, chosen by what it would have done: what its words say, a line to drag, or so many a day. */

import {api} from './api.js';
import {fill, h, s, setText} from './dom.js';
import {note, noteError} from './notes.js';
import {button} from './parts.js';
import {fires, scale, scoresChart} from './scores-chart.js';
import {fixed, plural} from './words.js';

const WAIT_MS = 500; // after the last key, before scores are read
const HOURS = 24;
const SINGLE = 'A single word gives no threshold: describe what is seen in a few words, or choose one.';

/**
 * @param {{rule: () => any, threshold: number | null, changed: () => void, signal: AbortSignal}} options
 *   `rule` gives what the form says now; `threshold` null takes what the words say
 * @returns {HTMLElement & {value: () => number | null, later: () => void, read: () => Promise<void>, draw: () => void}}
 */
export function thresholdEditor({rule, threshold: first, changed, signal}) {
  const slider = h('input', {type: 'range', name: 'threshold', min: 0, max: 1, step: 0.01, value: first ?? 0.5}),
    automatic = h('input', {type: 'checkbox', checked: first === null}),
    says = h('span.soft.small'),
    expect = h('span.expect', {role: 'status'}),
    aim = h('input.short', {type: 'number', min: 0, max: 500, value: 3, 'aria-label': 'Alerts a day to aim at'});
  let threshold = first,
    scores = {bins: [], step_s: 300, counts: [], automatic: null},
    reading = 0,
    timer = 0;

  const used = () => (automatic.checked ? scores.automatic : threshold);
  const chart = scoresChart(value => choose(value));
  const draw = () => {
    const now = used();
    chart.draw(scores, now, rule().cool_down_s);
    if (now !== null) slider.value = String(now);
    setText(says, scores.automatic === null ? 'what the words say' : `what the words say: ${fixed(scores.automatic, 2)}`);
    if (now === null) return setText(expect, rule().query ? SINGLE : '');
    const often = fires(scores, now);
    if (often === null) return setText(expect, `At ${fixed(now, 2)}. Nothing was seen in the last 24 hours to try it on.`);
    fill(
      expect,
      'At ',
      h('b', {}, fixed(now, 2)),
      ' it would have fired ',
      h('b', {}, plural(often, 'time')),
      ` in the last ${HOURS} hours.`,
    );
  };
  const choose = value => {
    threshold = Math.round(value * 100) / 100;
    automatic.checked = false;
    changed();
    draw();
  };
  const read = async () => {
    const wanted = rule(),
      turn = ++reading;
    if (!wanted.query)
      return setText(expect, 'Describe what should be seen; its score of the last 24 hours then stands here.');
    setText(expect, 'Trying it on what was seen.');
    try {
      const found = await api.alertScores(
        {...wanted, hours: HOURS, threshold: automatic.checked ? null : threshold},
        signal,
      );
      if (turn !== reading || signal.aborted) return;
      scores = found;
      const [low, high] = scale(scores, used());
      slider.min = String(low);
      slider.max = String(high);
      draw();
    } catch (error) {
      if (error.name !== 'AbortError') setText(expect, error.message);
    }
  };
  const propose = async () => {
    try {
      const {threshold: found, sentence} = await api.proposeAlert({...rule(), per_day: aim.valueAsNumber || 0}, signal);
      if (!Number.isFinite(found)) return note(sentence);
      slider.min = String(Math.min(Number(slider.min), found));
      slider.max = String(Math.max(Number(slider.max), found));
      choose(found);
    } catch (error) {
      noteError(error);
    }
  };
  slider.addEventListener('input', () => choose(Number(slider.value)));
  automatic.addEventListener('change', () => {
    threshold ??= scores.automatic ?? Number(slider.value);
    changed();
    read();
  });
  const box = h(
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
    h('label.check', {}, automatic, 'Automatic ', says),
    h('label.field', {}, h('span.label', {}, 'Threshold ', h('span.soft.light', {}, 'or drag the line')), slider),
    h(
      'p.row.between',
      {},
      expect,
      h(
        'span.row.nowrap',
        {},
        button('Test', read),
        h('label.row.nowrap', {}, 'Aim at ', aim, ' a day'),
        button('Propose', propose),
      ),
    ),
  );
  box.value = () => (automatic.checked ? null : threshold);
  box.read = read;
  box.draw = draw;
  box.later = () => {
    clearTimeout(timer);
    timer = setTimeout(read, WAIT_MS);
  };
  box.addEventListener('input', event => event.stopPropagation()); // the form reads anew for its own fields alone
  return box;
}
