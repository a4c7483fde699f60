/** Is the device well? What it costs, each camera's health, engines, sinks, and what was told of them. */

import {api} from '../api.js';
import {fill, h, keyed} from '../dom.js';
import {linkButton, panel, readInto, segmented, stateMark} from '../parts.js';
import {clock, fixed, longLength} from '../words.js';
import {tilesOf, camerasTable, enginesTable, sinksTable} from '../system-tables.js';

const KINDS = {error: 'bad', alert: 'alert', status: 'ok'};
const LOGGED = 40;
const TROUBLE = /^(warning|reconnecting|frozen|black)\b/; // among what is told of a stream
export function show({store, signal}) {
  const subtitle = h('p'),
    tiles = h('dl.tiles'),
    cameras = h('div'),
    engines = h('div'),
    sinks = h('div'),
    told = h('ol.log');
  const note = h('span');
  let kind = 'all';
  const draw = () => {
    const {system} = store;
    if (!system) return;
    fill(
      subtitle,
      [
        location.hostname,
        `vljepa ${store.version}`,
        `up ${longLength(system.uptime_s)}`,
        store.bundle && `bundle ${store.bundle.name} (${store.bundle.precision})`,
      ]
        .filter(Boolean)
        .join(' · '),
    );
    fill(tiles, tilesOf(store, system));
    fill(engines, enginesTable(system.engines ?? []));
    fill(
      note,
      (system.engines ?? []).some(one => one.fallback) ? 'something has fallen back' : 'nothing has fallen back',
    );
    fill(sinks, sinksTable(system.sinks ?? []));
  };
  const drawCameras = () => {
    if (!cameras.matches(':focus-within')) fill(cameras, camerasTable(store));
  };
  const drawLog = () => drawEvents(store, told, kind);
  store.addEventListener('system', draw, {signal});
  for (const topic of ['stats', 'cameras']) store.addEventListener(topic, drawCameras, {signal});
  store.addEventListener('event', drawLog, {signal});
  drawCameras();
  drawLog();
  const body = h(
    'div.stack.l',
    {},
    tiles,
    panel('Cameras', cameras),
    h('div.halves.wide', {}, panel('Engines', engines, {note}), panel('Sinks', sinks)),
    panel('Status log', told, {
      note: 'newest first',
      right: segmented(
        'Show events',
        [
          ['all', 'All'],
          ['error', 'Errors'],
          ['alert', 'Alerts'],
        ],
        'all',
        value => {
          kind = value;
          drawLog();
        },
      ),
    }),
  );
  readInto(
    engines,
    'The device',
    'Reading how the device is',
    async own => {
      store.hear({kind: 'system', system: await api.system(own)});
      draw();
      return [...engines.childNodes];
    },
    signal,
  );
  return {title: 'System', subtitle, actions: [linkButton('Metrics', '/metrics'), linkButton('API', '/docs')], body};
}

function drawEvents(store, box, kind) {
  const rows = store.events
    .filter(event => event.kind in KINDS && (kind === 'all' || event.kind === kind))
    .slice(-LOGGED)
    .reverse();
  if (!rows.length) return fill(box, h('li.none.pad.soft', {data: {key: ''}}, 'Nothing yet.'));
  keyed(
    box,
    rows,
    event => String(event.id),
    event =>
      h(
        'li',
        {},
        h('span.soft', {}, clock(event.at_end)),
        stateMark(TROUBLE.test(event.text) ? 'warn' : KINDS[event.kind], event.kind),
        h('span', {}, event.camera ? store.nameOf(event.camera) : 'vljepa'),
        h(
          'span',
          {},
          event.kind === 'alert'
            ? `${event.text}: ${event.active ? 'began' : 'ended'}, score ${fixed(event.score, 2)}`
            : event.text,
        ),
      ),
  );
}
