/** Tables and tiles of the device; each is made anew from what the server told last. */

import {history} from './device-history.js';
import {cameraState} from './bar.js';
import {h, s} from './dom.js';
import {meter, stateMark, table} from './parts.js';
import {count, fixed, length, savedShare} from './words.js';

const known = value => value !== null && value !== undefined;

export function tilesOf(store, system) {
  const rate = history.rate[history.rate.length - 1] ?? 0,
    live = store.running().length,
    disk = system.disk ?? {};
  const curve = name => spark(history[name]),
    tile = (name, value, unit, chart, text) =>
      h('div.tile', {}, h('dt', {}, name), h('dd', {}, value, ' ', h('small', {}, unit)), h('dd.n', {}, chart, text));
  const left = disk.per_day_gb > 0 ? `${count(disk.free_gb / disk.per_day_gb)} days left at this rate` : 'of the log';
  return [
    tile('Windows', fixed(rate), 'a second', curve('rate'), `from ${count(live)} cameras`),
    tile(
      'Processor',
      Number.isFinite(system.cpu_share) ? count(system.cpu_share * 100) : '–',
      '%',
      curve('cpu_share'),
      'of all cores',
    ),
    tile('Memory', count(system.memory_mb), 'MB', curve('memory_mb'), 'of the server and what it runs'),
    known(system.temperature_c) &&
      tile(
        'Temperature',
        count(system.temperature_c),
        '°C',
        curve('temperature_c'),
        'the hottest part that can be read',
      ),
    known(system.power_w) &&
      tile(
        'Power',
        fixed(system.power_w),
        'W',
        curve('power_w'),
        rate > 0 ? `${fixed(system.power_w / rate)} J a window` : 'of the device',
      ),
    tile(
      'Disk',
      disk.log_gb < 1 ? count(1000 * disk.log_gb) : fixed(disk.log_gb),
      disk.log_gb < 1 ? 'MB' : 'GB',
      meter(disk.used_gb / (disk.used_gb + disk.free_gb || 1)),
      left,
    ),
  ];
}

/** The last minutes, from the lowest to the highest of them. */
function spark(values) {
  const low = Math.min(...values),
    high = Math.max(...values),
    range = high - low || Math.max(1, Math.abs(high));
  const points = values.map(
    (value, i) =>
      `${((i / Math.max(1, values.length - 1)) * 100).toFixed(1)} ${(25 - ((value - low) / range) * 22).toFixed(1)}`,
  );
  return s(
    'svg',
    {viewBox: '0 0 100 28', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
    points.length > 1 ? s('path.line', {d: `M${points.join('L')}`}) : null,
  );
}

export function camerasTable(store) {
  const now = store.known(),
    rows = [...store.cameras.values()].map(camera => {
      const stats = store.stats.get(camera.id),
        seen = camera.last_frame ? Math.max(0, now - camera.last_frame) : null;
      const live = camera.state === 'live' || camera.state === 'slowed';
      return h(
        'tr',
        {},
        h('th', {scope: 'row'}, h('a', {href: `#/camera/${encodeURIComponent(camera.id)}`}, camera.name)),
        h('td', {}, cameraState(camera, store.connection.state === 'away')),
        h('td.num', {}, camera.fps ? fixed(camera.fps) : '–'),
        h('td.num', {}, fixed(stats?.rate, 2)),
        h('td.num', {}, live ? 'now' : seen === null ? '–' : `${length(seen)} ago`),
        h('td.num', {}, count(stats?.dropped)),
        h('td.num', {}, stats?.p95_ms ? `${fixed(stats.p95_ms)} ms` : '–'),
        h('td.num', {}, stats?.windows ? `${savedShare(stats)} %` : '–'),
      );
    });
  if (!rows.length) return h('p.pad.soft', {}, 'No camera yet.');
  return table(
    'Cameras',
    [
      ['Camera'],
      ['State'],
      ['Pictures/s', true],
      ['Windows/s', true],
      ['Last picture', true],
      ['Dropped', true],
      ['95 % within', true],
      ['Saved', true],
    ],
    rows,
  );
}

export function enginesTable(engines) {
  const ms = value => (known(value) ? `${fixed(value)} ms` : '–');
  return table(
    'Engines',
    [['Graph'], ['Engine'], ['Precision'], ['Median', true], ['95 % within', true]],
    engines.map(one =>
      h(
        'tr',
        {},
        h('th.mono', {scope: 'row'}, one.graph),
        h('td', {}, one.fallback ? stateMark('warn', `${one.engine}, fallen back`) : one.engine),
        h('td', {}, one.precision),
        h('td.num', {}, ms(one.p50_ms)),
        h('td.num', {}, ms(one.p95_ms)),
      ),
    ),
  );
}

export function sinksTable(sinks) {
  if (!sinks.length)
    return h('p.pad.soft', {}, 'Events stay here. A broker or a webhook can be named in the settings.');
  const mark = one => (one.waiting > 0 ? 'warn' : /fail|reject|stopp/.test(one.state) ? 'bad' : 'ok');
  return table(
    'Sinks',
    [['Sink'], ['State'], ['Detail']],
    sinks.map(one =>
      h(
        'tr',
        {},
        h('th', {scope: 'row'}, one.name),
        h('td', {}, stateMark(mark(one), one.waiting > 0 ? `${count(one.waiting)} waiting` : one.state)),
        h('td.wrap.soft', {}, one.sentence),
      ),
    ),
  );
}
