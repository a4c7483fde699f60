/** What did I miss? A day in order, the most telling of it in words. */

import {address, api} from '../api.js';
import {fill, h, s} from '../dom.js';
import {openMoment} from '../moment.js';
import {momentOfSegment, thumbnail, wordsOf} from '../moments.js';
import {button, facts, field, linkButton, options, panel, readInto} from '../parts.js';
import {clock, count, day, isoDay, length, plural} from '../words.js';

const DAY_S = 86400,
  SLICE_S = 600,
  WAIT_MS = 400;

export function show({store, parameters, signal}) {
  const asked = parameters.get('day'),
    today = isoDay(store.now());
  let shown = /^\d{4}-\d{2}-\d{2}$/.test(asked ?? '') ? asked : today;
  const camera = h(
    'select',
    {},
    options(
      [
        ['', 'All cameras'],
        ...[...store.cameras.values()].map(one => /** @type {[string, string]} */ ([one.id, one.name])),
      ],
      '',
    ),
  );
  const budget = h('input', {type: 'range', min: 4, max: 60, step: 4, value: 12}),
    title = h('p'),
    body = h('div'),
    actions = h('span.row');
  const wanted = () => ({day: shown, camera: camera.value || undefined, budget: budget.value});

  const move = days => {
    shown = isoDay(Date.parse(`${shown}T12:00`) / 1000 + days * DAY_S);
    history.replaceState(null, '', `#/digest?day=${shown}`);
    read();
  };
  const read = () => {
    const noon = Date.parse(`${shown}T12:00`) / 1000;
    fill(
      title,
      `${day(noon, 'long')}${shown === today ? `, until ${clock(store.now(), false)}` : ''}. What changed, in order; most of the day is too alike to tell.`,
    );
    fill(
      actions,
      button('Day before', () => move(-1)),
      shown < today ? button('Day after', () => move(1)) : null,
      linkButton('Markdown', address.digest('md', wanted()), {attributes: {download: `digest-${shown}.md`}}),
      linkButton('Save page', address.digest('html', wanted()), {attributes: {download: `digest-${shown}.html`}}),
    );
    return readInto(
      body,
      'The digest',
      'Reading the day, and putting the most telling of it into words',
      async own => dayOf(store, await api.digest(wanted(), own), {camera, budget, shown}),
      signal,
    );
  };
  let timer = 0;
  camera.addEventListener('change', () => read());
  budget.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(read, WAIT_MS);
  });
  return {title: 'Digest', subtitle: title, actions, body, mounted: read};
}

function dayOf(store, told, {camera, budget, shown}) {
  const segments = [...told.segments].sort((a, b) => a.start - b.start),
    unknown = segments.filter(segment => segment.unknown);
  const hours = new Map();
  for (const segment of segments) {
    const hour = clock(segment.start, false).slice(0, 2);
    hours.set(hour, [...(hours.get(hour) ?? []), segment]);
  }
  const side = [
    facts(
      [
        ['Changes', count(segments.length), `worth telling, of ${count(told.all)}`],
        ['Decodings', count(told.decodings), 'put into words for this'],
        ['Cameras', count(new Set(segments.map(segment => segment.camera)).size), 'had something to tell'],
        [
          'Nothing I know',
          unknown.length ? length(unknown.reduce((sum, segment) => sum + segment.end - segment.start, 0)) : '0:00',
          plural(unknown.length, 'time'),
        ],
      ],
      'pairs',
    ),
    h(
      'div.pad.stack',
      {},
      field(
        'How much to tell',
        budget,
        `At most ${budget.value} decodings; sentences that were already written cost none.`,
      ),
      field('Camera', camera),
    ),
  ];
  const list = segments.length
    ? [...hours].map(([hour, rows]) => [
        h('h2', {}, `${hour}:00`),
        h(
          'ol',
          {},
          rows.map(segment => row(store, segment)),
        ),
      ])
    : h('p.soft', {}, 'Nothing of this day was kept.');
  return h(
    'div.stack.l',
    {},
    panel('The day', lanes(store, told.changes ?? [], shown), {note: 'stronger means more changes'}),
    h('div.two.rev', {}, h('div.day', {}, list), panel('In short', side)),
  );
}

function row(store, segment) {
  const [, text] = wordsOf(segment),
    moment = momentOfSegment(segment, store.now());
  return h(
    'li',
    {class: segment.unknown ? 'unknownrow' : ''},
    h('span', {}, clock(segment.start)),
    thumbnail(moment.moment, {cls: 's'}),
    h(
      'button',
      {type: 'button', onclick: () => openMoment(store, segment)},
      h('b', {}, text),
      h('br'),
      h('span.small.soft', {}, store.nameOf(segment.camera)),
    ),
    h('span.soft.num', {}, length(segment.end - segment.start)),
  );
}

/** One lane for each camera, or one where the server counts all together; each ten minutes as strong as it had changes. */
function lanes(store, changes, shown) {
  const begin = new Date(`${shown}T00:00`).getTime() / 1000,
    most = Math.max(1, ...changes.map(one => one.count)),
    by = new Map();
  for (const one of changes) by.set(one.camera ?? '', [...(by.get(one.camera ?? '') ?? []), one]);
  if (!by.size) by.set('', []);
  const lane = ([id, rows]) => {
    const name = id ? store.nameOf(id) : 'All',
      sum = rows.reduce((total, one) => total + one.count, 0);
    return [
      h('span.g', {}, name),
      s(
        'svg',
        {
          viewBox: '0 0 864 14',
          preserveAspectRatio: 'none',
          role: 'img',
          'aria-label': `${name}: ${plural(sum, 'change')} over the day`,
        },
        s('rect', {x: 0, y: 0, width: 864, height: 14, fill: 'var(--sunken)'}),
        rows
          .filter(one => one.count > 0)
          .map(one =>
            s('rect', {
              class: 'fits',
              x: ((one.at - begin) / SLICE_S) * 6,
              y: 0,
              width: 5.2,
              height: 14,
              opacity: Math.max(0.15, one.count / most).toFixed(2),
            }),
          ),
      ),
    ];
  };
  return h(
    'div.daylanes',
    {},
    [...by].map(lane),
    h('span'),
    h(
      'span.row.between.small.soft',
      {},
      ['00:00', '06:00', '12:00', '18:00', '24:00'].map(text => h('span', {}, text)),
    ),
  );
}
