/** What should I be told, and how often would that be? Standing alerts, one of them to edit, and what fired. */

import {address, api} from '../api.js';
import {alertForm, freshAlert} from '../alert-form.js';
import {clipPlayer} from '../clip.js';
import {fill, h} from '../dom.js';
import {thumbnail} from '../moments.js';
import {linkButton, panel, readInto, stateMark} from '../parts.js';
import {clock, fixed, relativeDay} from '../words.js';

const SHOWN_S = 7 * 86400;
const LISTED = 12;

export function show({store, argument, parameters, signal}) {
  const listed = h('ul'),
    editor = h('div'),
    fired = h('div');
  let alerts = store.alerts,
    current = null,
    form = null;

  const choose = alert => {
    current = alert;
    form = alertForm({store, alert, signal, saved, removed: () => reread(null)});
    fill(editor, panel(alert.id ? alert.name : 'New alert', form));
    drawList();
    readFired();
  };
  const drawList = () =>
    fill(
      listed,
      alerts.map(alert =>
        h(
          'li',
          {},
          h(
            'button.pick',
            {
              type: 'button',
              'aria-current': current?.id === alert.id ? 'true' : null,
              data: {id: alert.id},
              onclick: () => {
                choose(alert);
                listed.querySelector(`[data-id="${CSS.escape(alert.id)}"]`)?.focus();
              },
            },
            h(
              'span.row.nowrap.between',
              {},
              h('b', {}, alert.name),
              isActive(alert) ? stateMark('alert', 'now') : alert.on ? stateMark('ok', 'on') : stateMark('wait', 'off'),
            ),
            h('span.small.soft', {}, `${camerasOf(store, alert)} · ${alert.fired_24h ?? 0} in the last 24 h`),
          ),
        ),
      ),
      alerts.length
        ? null
        : h(
            'li.pad.soft',
            {},
            'None yet. An alert is a sentence, a threshold, and the video from just before it came true.',
          ),
    );
  const reread = async id => {
    try {
      alerts = store.alerts = await api.alerts(signal);
    } catch {
      /* what is shown stays */
    }
    if (signal.aborted) return;
    const next = alerts.find(alert => alert.id === id) ?? alerts[0];
    if (next) choose(next);
    else choose(freshAlert('', null));
  };
  const saved = alert => reread(alert.id);
  const readFired = () =>
    readInto(
      fired,
      'What fired',
      'Reading what fired',
      async own => {
        const all = await api.fired(store.now() - SHOWN_S, store.now() + 60, own);
        return firedList(store, current?.id ? all.filter(event => belongs(event, current)) : all, own);
      },
      signal,
    );

  store.addEventListener(
    'event',
    async ({detail}) => {
      // only the lists: what is edited stays as it is
      if (detail?.kind !== 'alert') return;
      alerts = store.alerts = await api.alerts(signal).catch(() => alerts);
      if (signal.aborted) return;
      if (!listed.matches(':focus-within')) drawList();
      if (!fired.matches(':hover, :focus-within')) readFired();
    },
    {signal},
  );
  const wanted = parameters.get('new');
  const open = alerts.find(alert => alert.id === argument) ?? alerts[0];
  choose(wanted !== null || !open ? freshAlert(wanted ?? '', parameters.get('camera')) : open);
  if (wanted === null)
    api
      .alerts(signal)
      .then(found => {
        alerts = store.alerts = found;
        if (!signal.aborted) drawList();
      })
      .catch(() => {});
  return {
    title: 'Alerts',
    subtitle: 'A sentence, a threshold, and the video from just before it came true.',
    actions: linkButton('New alert', '#/alerts?new=', {
      ic: 'plus',
      cls: 'go',
      attributes: {
        onclick: event => {
          event.preventDefault();
          choose(freshAlert('', null));
          editor.querySelector('input')?.focus();
        },
      },
    }),
    body: h(
      'div.two',
      {},
      h('div.stack', {}, panel('Standing alerts', listed)),
      h('div.stack.l', {}, editor, panel('Fired', fired, {note: 'with the video from before'})),
    ),
  };
}

const isActive = alert => Object.values(alert.active ?? {}).some(Boolean);
const belongs = (event, alert) => (event.about ? event.about === alert.id : event.text === alert.query);

function camerasOf(store, alert) {
  return alert.cameras.length ? alert.cameras.map(id => store.nameOf(id)).join(', ') : 'All cameras';
}

/** The newest with its clip, and the others to choose from. */
function firedList(store, found, signal) {
  const rows = found
    .filter(event => event.active !== false)
    .sort((a, b) => b.at_end - a.at_end)
    .slice(0, LISTED);
  if (!rows.length)
    return h(
      'p.pad.soft',
      {},
      'Has not fired in the last 7 days. Lower the threshold or test it with a moment from the past.',
    );
  const player = h('div'),
    items = h('ol.list.flush');
  const choose = event => {
    const mark = event.at_end,
      clip =
        event.clip_address ??
        (event.clip ? `/api/clips/${encodeURIComponent(event.clip)}` : address.clip(event.moment));
    fill(
      player,
      clipPlayer({
        src: clip,
        from: event.clip_start ?? event.at_start,
        mark,
        cue: 'fired',
        label: `${event.text}, ${store.nameOf(event.camera)} at ${clock(mark)}`,
        poster: event.moment ? address.thumbnail(event.moment, 640) : undefined,
        missing: 'no clip is kept',
        signal,
      }),
    );
    for (const item of items.querySelectorAll('.item'))
      item.toggleAttribute('aria-current', item.dataset.id === String(event.id));
    for (const item of items.querySelectorAll('[aria-current]')) item.setAttribute('aria-current', 'true');
  };
  items.append(
    ...rows.map(event =>
      h(
        'li',
        {},
        h(
          'button.item',
          {type: 'button', data: {id: event.id}, onclick: () => choose(event)},
          event.moment ? thumbnail(event.moment, {cls: 's'}) : h('span.thumb.s'),
          h(
            'span',
            {},
            h('b', {}, clock(event.at_end)),
            ' ',
            h('span.soft', {}, relativeDay(event.at_end, store.now())),
            h('br'),
            h('span.small.soft', {}, `score ${fixed(event.score, 2)}, ${store.nameOf(event.camera)}`),
          ),
        ),
      ),
    ),
  );
  choose(rows[0]);
  return h('div.halves.pad', {}, player, items);
}
