/** What should I be told, and how often would that be? Standing alerts, one of them to edit, and what fired. */

import {alertForm, freshAlert} from '../alert-form.js';
import {api} from '../api.js';
import {fill, h} from '../dom.js';
import {FiredPanel} from '../fired.js';
import {linkButton, panel, stateMark} from '../parts.js';

export function show({store, argument, parameters, signal}) {
  const listed = h('ul'),
    editor = h('div'),
    firedPanel = new FiredPanel(store, signal);
  let alerts = store.alerts,
    current = null,
    editing = new AbortController();

  signal.addEventListener('abort', () => editing.abort());

  const choose = alert => {
    current = alert;
    editing.abort();
    editing = new AbortController();
    const form = alertForm({
      store,
      alert,
      signal: editing.signal,
      saved,
      removed: () => reread(null),
    });
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
  const readFired = () => firedPanel.show(current?.id ? current : null);

  store.addEventListener(
    'event',
    async ({detail}) => {
      // only the lists: what is edited stays as it is
      if (detail?.kind !== 'alert') return;
      alerts = store.alerts = await api.alerts(signal).catch(() => alerts);
      if (signal.aborted) return;
      if (!listed.matches(':focus-within')) drawList();
      firedPanel.refresh();
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
        if (signal.aborted) return;
        if (!current.id && found.length && !editor.matches(':focus-within')) choose(found[0]);
        else drawList();
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
      h('div.stack.l', {}, editor, panel('Fired', firedPanel.element, {note: 'with the video from before'})),
    ),
  };
}

const isActive = alert => Object.values(alert.active ?? {}).some(Boolean);

function camerasOf(store, alert) {
  return alert.cameras.length ? alert.cameras.map(id => store.nameOf(id)).join(', ') : 'All cameras';
}
