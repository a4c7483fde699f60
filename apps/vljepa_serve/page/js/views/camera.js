/** One camera: what it sees, why it says so, what it costs. */

import {api} from '../api.js';
import {hasPicture, isChanging, sentenceBar, stateKind, stateLine, updateBar} from '../bar.js';
import {openCamera} from '../camera-form.js';
import {fill, h, setText} from '../dom.js';
import {onKey} from '../keys.js';
import {marked} from '../marked.js';
import {momentNow} from '../moments.js';
import {note, noteError} from '../notes.js';
import {button, linkButton, panel, stateMark} from '../parts.js';
import {livePicture} from '../picture.js';
import {Timeline} from '../timeline.js';
import {clock, length} from '../words.js';
import {askPanel} from '../ask-panel.js';
import {countersOf} from '../counters.js';

export function show({store, argument: id, parameters, signal, render}) {
  const camera = store.cameras.get(id);
  if (!camera) return gone(store, id, signal, render);
  const state = h('span'),
    bar = sentenceBar({big: true}),
    since = h('span');
  const picture = livePicture(store, id, {
    width: 960,
    everyMs: 100,
    signal,
    retry: () => api.retryCamera(id).catch(noteError),
  });
  const aloud = h('input', {type: 'checkbox'}),
    unknown = unknownNote(id),
    timeline = new Timeline(store, id, signal),
    counters = countersOf(store, id, signal);

  const draw = () => {
    const now = store.cameras.get(id);
    if (!now) return;
    const line = stateLine(store, now);
    if (state.textContent !== line) fill(state, stateMark(stateKind(now), line));
    picture.refresh();
    updateBar(bar, store, now);
    setText(since, sinceLine(store, now));
    unknown.hidden = !(now.unknown && hasPicture(now));
  };
  for (const topic of ['cameras', 'connection', 'second', 'event']) store.addEventListener(topic, draw, {signal});
  store.addEventListener(
    'event',
    ({detail}) => {
      if (aloud.checked && detail?.camera === id && store.isSentence(detail))
        setText(document.getElementById('say'), detail.text || 'nothing I know');
    },
    {signal},
  );
  const mark = () => {
    marked.add(momentNow(store, id));
    note('Marked. Give it a state under Teach.');
  };
  onKey('m', mark, signal);
  draw();
  const body = h(
    'div.cam',
    {},
    h(
      'div.stack',
      {},
      picture,
      bar,
      h('div.row.between.small.soft', {}, since, h('label.check', {}, aloud, 'Announce new sentences')),
      unknown,
    ),
    h('div.stack.l.side', {}, askPanel(store, id, signal), panel('Counters', counters)),
    h(
      'div.wide',
      {},
      panel('Timeline', [timeline.problem, timeline.element, timeline.list], {
        note: h('span.wideonly', {}, 'A sentence holds until the meaning moves away from it'),
        right: timeline.tools(),
      }),
    ),
  );
  return {
    title: camera.name,
    subtitle: state,
    body,
    actions: [
      ...neighbours(store, id),
      button('Mark moment', mark, {ic: 'mark'}),
      linkButton('New alert', `#/alerts?new=&camera=${encodeURIComponent(id)}`, {ic: 'alerts'}),
      button('Edit', () => openCamera(store, store.cameras.get(id)), {cls: 'wideonly', ic: 'settings'}),
    ],
    mounted: () => {
      const at = Number(parameters.get('at'));
      if (at) timeline.goTo(at);
      else timeline.draw();
    },
  };
}

function gone(store, id, signal, render) {
  store.addEventListener(
    'cameras',
    () => {
      if (store.cameras.has(id)) render();
    },
    {signal},
  );
  return {
    title: 'Camera',
    subtitle: '',
    actions: null,
    body: h(
      'div.panel.pad.stack',
      {},
      h('p', {}, `No camera is called “${id}”. It may have been removed; its past is still searched.`),
      h('div', {}, linkButton('All cameras', '#/live')),
    ),
  };
}

function sinceLine(store, camera) {
  if (!hasPicture(camera)) return camera.last_frame ? `seen ${clock(camera.last_frame)}` : '–';
  if (!camera.now) return '–';
  const since = `since ${clock(camera.now.at_start)} · ${length(store.known() - camera.now.at_start)}`;
  return isChanging(store, camera) ? `changing · ${since}` : since;
}

function unknownNote(id) {
  return h(
    'div.row.nowrap.between.bar.none',
    {},
    h('span', {}, 'Unlike what the model has learned, so not put into words. Search and teach still work.'),
    linkButton('Teach it', `#/teach?camera=${encodeURIComponent(id)}`),
  );
}

/** The cameras before and after this one. */
function neighbours(store, id) {
  const all = [...store.cameras.values()],
    here = all.findIndex(camera => camera.id === id);
  if (all.length < 2) return [];
  const link = (text, word, by) => {
    const other = all[(here + by + all.length) % all.length];
    return linkButton(text, `#/camera/${encodeURIComponent(other.id)}`, {
      attributes: {'aria-label': `${word} camera, ${other.name}`},
    });
  };
  return [link('‹', 'Previous', -1), link('›', 'Next', 1)];
}
