/** What a camera costs: windows, decodings, and the time of each stage. */

import {fill, h, setText} from './dom.js';
import {facts} from './parts.js';
import {clock, count, fixed, savedShare} from './words.js';

const STAGES = ['capture', 'fit', 'encode', 'predict', 'select', 'decode'];

export function countersOf(store, id, signal) {
  const windows = h('span'),
    decodings = h('span'),
    saved = h('span'),
    flow = h('div.flow', {'aria-hidden': 'true'}),
    stages = h('dl'),
    late = h('p.small.soft');
  const from = store.started ? `seen since ${clock(store.started, false)}` : 'seen';
  const draw = () => {
    const stats = store.stats.get(id);
    setText(windows, count(stats?.windows));
    setText(decodings, count(stats?.decodings));
    setText(saved, `${savedShare(stats)} %`);
    const known = STAGES.filter(name => stats?.latency?.[name]?.count > 0);
    fill(
      flow,
      known.map(name =>
        h('i', {class: `s${STAGES.indexOf(name)}`, style: {flex: String(Math.max(0.01, stats.latency[name].p50_ms))}}),
      ),
    );
    fill(
      stages,
      known.map(name =>
        h(
          'div',
          {},
          h('dt', {}, h('i', {class: `s${STAGES.indexOf(name)}`}), name),
          h('dd', {}, fixed(stats.latency[name].p50_ms)),
        ),
      ),
    );
    setText(
      late,
      known.length
        ? `Median milliseconds of a window; 95 % are done within ${fixed(stats.p95_ms)}.`
        : 'No window has been computed yet.',
    );
  };
  for (const topic of ['stats', 'cameras']) store.addEventListener(topic, draw, {signal});
  draw();
  return h(
    'div',
    {},
    facts([
      ['Windows', windows, from],
      ['Decodings', decodings, 'put into words'],
      ['Saved', saved, 'needed no words'],
    ]),
    h('div.stages', {}, flow, stages, late),
  );
}
