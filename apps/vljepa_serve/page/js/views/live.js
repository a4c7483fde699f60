/** The wall: every camera with its sentence, and what was said last. */

import {api} from '../api.js';
import {cameraState, sentenceBar, updateBar} from '../bar.js';
import {openCamera} from '../camera-form.js';
import {fill, h, keyed, setText} from '../dom.js';
import {openMoment} from '../moment.js';
import {momentOfEvent} from '../moments.js';
import {noteError} from '../notes.js';
import {button, panel} from '../parts.js';
import {livePicture, pictures} from '../picture.js';
import {miniTrace, updateMini} from '../trace.js';
import {clock, plural, savedShare} from '../words.js';
import {welcome} from './first.js';

const TRACE_S = 120;
const STORED_MS = 15000; // by then the log has what was seen when the page was opened
const FEED_LONG = 24,
  FEED_SHORT = 6,
  ROW_REM = 3.15,
  HEAD_REM = 9.5;

export function show(context) {
  const {store, signal, render} = context;
  const add = button('Add camera', () => openCamera(store, null), {ic: 'plus'});
  if (!store.cameras.size) {
    store.addEventListener(
      'cameras',
      () => {
        if (store.cameras.size) render();
      },
      {signal},
    );
    return {title: 'Live', subtitle: 'No camera yet.', actions: null, body: welcome(context)};
  }
  const subtitle = h('p');
  const cards = h('div.cards'),
    feed = h('ol.feed'),
    waiting = h('span.soft');
  const body = h(
    'div.wall',
    {},
    cards,
    h(
      'div.feedbox',
      {},
      panel('Just said', h('div', {role: 'log', 'aria-live': 'off', 'aria-label': 'Latest sentences'}, feed), {
        note: 'newest first',
        right: waiting,
      }),
    ),
  );

  const drawCards = () => {
    if (!store.cameras.size) return render();
    const all = [...store.cameras.values()];
    cards.style.setProperty('--cols', String(Math.ceil(Math.sqrt(all.length))));
    keyed(
      cards,
      all,
      camera => camera.id,
      camera => card(context, camera),
      element => element.refresh(),
    );
    setText(subtitle, summary(store));
    add.toggleAttribute('disabled', store.connection.state === 'away');
  };
  const drawFeed = () => updateFeed(store, feed, waiting);
  for (const topic of ['cameras', 'connection', 'second', 'event']) store.addEventListener(topic, drawCards, {signal});
  for (const topic of ['event', 'second']) store.addEventListener(topic, drawFeed, {signal});
  readPast(store, signal);
  store.addEventListener('back', () => readPast(store, signal), {signal});
  drawCards();
  drawFeed();
  return {title: 'Live', subtitle, actions: [pauseButton(), wallButton(), add], body};
}

function summary(store) {
  if (store.connection.state === 'away') return 'What was known when the server was last heard.';
  const running = store.running(),
    live = running.filter(camera => ['live', 'slowed'].includes(camera.state)).length;
  return `${live} of ${plural(running.length, 'camera')} ${live === 1 ? 'is' : 'are'} live. Each says what it sees when the meaning changes.`;
}

/** One camera. What changes is updated in place, so that the focus and the pictures stay. */
function card({store, signal}, {id}) {
  const name = h('a', {href: `#/camera/${encodeURIComponent(id)}`}),
    state = h('span');
  const picture = livePicture(store, id, {signal, retry: () => api.retryCamera(id).catch(noteError)});
  const bar = sentenceBar(),
    demo = h('span.small.soft', {hidden: true}, 'demo'),
    mini = miniTrace(),
    saved = h('span.small.soft.nums');
  const box = h(
    'article.card',
    {},
    h('div.row.nowrap.between', {}, h('span.row.nowrap', {}, h('h2', {}, name), demo), state),
    picture,
    bar,
    h('div.row.nowrap', {}, h('div.mini.grow', {}, mini), saved),
  );
  box.refresh = () => {
    const camera = store.cameras.get(id);
    if (!camera) return;
    setText(name, camera.name);
    demo.hidden = !store.isDemo(camera);
    const mark = cameraState(camera, store.connection.state === 'away');
    if (mark.textContent !== state.textContent) fill(state, mark);
    picture.refresh();
    updateBar(bar, store, camera);
    setText(
      saved,
      !store.stats.get(id)?.windows || camera.state === 'off'
        ? ''
        : camera.unknown
          ? 'not decoded'
          : `${savedShare(store.stats.get(id))} % saved`,
    );
  };
  const draw = () => {
    const {points, decided} = store.windowsOf(id);
    updateMini(mini, {
      name: store.nameOf(id),
      points,
      decided,
      now: store.known(),
      threshold: store.threshold,
      lostSince: store.lostSince(id),
    });
  };
  store.addEventListener('second', draw, {signal});
  draw();
  return box;
}

/** What the small traces show of the time before this page was opened, or did not hear: now, and once the log has it. */
async function readPast(store, signal) {
  for (const wait of [0, STORED_MS]) {
    await new Promise(resolve => setTimeout(resolve, wait));
    for (const id of store.cameras.keys()) {
      if (signal.aborted) return;
      try {
        store.windowsOf(id).fill(await api.windows(id, store.now() - TRACE_S, store.now(), TRACE_S, signal));
      } catch {
        /* the trace then begins where this page did */
      }
    }
  }
}

function feedLength() {
  if (innerWidth < 1180) return FEED_SHORT;
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return Math.max(FEED_SHORT, Math.min(FEED_LONG, Math.floor((innerHeight / rem - HEAD_REM) / ROW_REM)));
}

/** Newest first; while the pointer or the focus is on it, new ones wait and are counted. */
function updateFeed(store, feed, waiting) {
  const told = store.events.filter(
    event =>
      (event.kind === 'segment' && (event.text || event.unknown) && store.isSentence(event)) ||
      (event.kind === 'alert' && event.active),
  );
  const rows = told.slice(-feedLength()).reverse();
  if (feed.matches(':hover, :focus-within') && feed.children.length) {
    const first = Number(feed.firstElementChild.dataset.key),
      fresh = told.filter(event => event.id > first).length;
    return setText(waiting, fresh ? `${fresh} new` : '');
  }
  setText(waiting, '');
  if (!rows.length)
    return fill(feed, h('li.pad.soft', {}, 'Nothing yet. The first sentence comes when the meaning has settled.'));
  keyed(
    feed,
    rows,
    event => String(event.id),
    event =>
      h(
        'li',
        {},
        h(
          'button',
          {type: 'button', onclick: () => openMoment(store, momentOfEvent(event))},
          h('span.soft', {}, clock(event.at_end)),
          h('span.soft', {}, store.nameOf(event.camera)),
          h(
            'span.words',
            {class: event.kind === 'alert' ? 'alert' : event.unknown ? 'unknown' : ''},
            event.kind === 'alert' ? `alert: ${event.text}` : event.unknown ? 'nothing I know' : event.text,
          ),
        ),
      ),
  );
}

function pauseButton() {
  const text = () => (pictures.paused ? 'Resume pictures' : 'Pause pictures');
  const one = button(
    text(),
    () => {
      pictures.paused = !pictures.paused;
      one.replaceWith(pauseButton());
      document.querySelector('#actions .btn')?.focus();
    },
    {ic: pictures.paused ? 'play' : 'pause'},
  );
  return one;
}

function wallButton() {
  const one = button(
    'Wall only',
    () => {
      const only = document.body.classList.toggle('only');
      setText(one, only ? 'Show everything' : 'Wall only');
    },
    {cls: 'wideonly'},
  );
  return one;
}
