/** What a search found: when it fits, and the moments themselves. */

import {api} from './api.js';
import {fill, h, s} from './dom.js';
import {openMoment} from './moment.js';
import {thumbnail} from './moments.js';
import {note, noteError} from './notes.js';
import {button, meter, panel} from './parts.js';
import {clock, day, fixed, isoDay, plural, relativeDay} from './words.js';

const WEAK_SHOWN = 4;

export function shown(store, found, name, span, like) {
  const limit = found.weak_below ?? -Infinity,
    good = found.moments.filter(moment => moment.score >= limit);
  const weak = found.moments.filter(moment => moment.score < limit).slice(0, WEAK_SHOWN),
    most = Math.max(0.01, ...found.moments.map(moment => moment.score));
  const told = !found.moments.length
    ? 'Nothing was kept in this time.'
    : good.length
      ? `${plural(good.length, 'moment')} for ${name}`
      : `Nothing fits ${name} well. The nearest moments are below; other words may do better.`;
  const cards = list =>
    h(
      'ol.hits',
      {},
      list.map(moment => hit(store, moment, most, like)),
    );
  return [
    hours(found.hours ?? [], span, store.now(), limit),
    h(
      'p.soft.results',
      {role: 'status'},
      `${told} `,
      h(
        'span.small',
        {},
        `Searched ${plural(found.searched, 'window')} in ${fixed(found.took_ms, 1)} ms. Nothing was decoded.`,
      ),
    ),
    cards(good),
    weak.length
      ? [
          h(
            'h2.weaker',
            {},
            'Weaker matches ',
            h('span.soft.small', {}, `below ${fixed(limit, 2)}, where a match is more often wrong than right`),
          ),
          cards(weak),
        ]
      : null,
  ];
}

function hit(store, moment, most, like) {
  const name = `${clock(moment.start)}, ${store.nameOf(moment.camera)}`,
    bar = h('p.bar'),
    second = h('span');
  const draw = () => {
    bar.className = ['bar', moment.unknown ? 'unknown' : moment.text ? '' : 'none'].filter(Boolean).join(' ');
    fill(bar, moment.unknown ? 'nothing I know' : moment.text || h('span.soft', {}, 'not put into words'));
    fill(
      second,
      moment.text || moment.unknown
        ? button('More like this', () => like(moment.moment), {cls: 'quiet'})
        : button('Put into words', decode, {cls: 'quiet'}),
    );
  };
  const decode = async event => {
    event.target.disabled = true;
    try {
      const told = await api.decode(moment.moment);
      Object.assign(moment, {text: told.text, decoded: told.decoded, unknown: Boolean(told.unknown)});
      draw();
      note('Put into words.');
    } catch (error) {
      event.target.disabled = false;
      noteError(error);
    }
  };
  draw();
  return h(
    'li.hit',
    {},
    thumbnail(moment.moment, {cls: 'full', width: 320}),
    h(
      'div.row.small',
      {},
      h('span', {}, h('b', {}, clock(moment.start)), ' ', h('span.soft', {}, relativeDay(moment.start, store.now()))),
      h('span.soft', {}, store.nameOf(moment.camera)),
    ),
    bar,
    h(
      'div.row.small.nowrap',
      {},
      h('span.grow', {}, meter(moment.score / Math.max(1, most))),
      h('span.num', {}, fixed(moment.score, 2)),
    ),
    h(
      'div.row',
      {},
      button('Open', () => openMoment(store, moment), {attributes: {'aria-label': `Open ${name}`}}),
      second,
    ),
  );
}

/** How well each hour fits, over the time that was searched. */
function hours(found, [from, to], now, limit) {
  if (!found.length) return null;
  const end = Math.ceil((to ?? now) / 3600) * 3600,
    first = Math.min(...found.map(hour => hour.at)),
    begin = Math.floor(Math.min(from ?? first, first) / 3600) * 3600;
  const number = Math.max(1, Math.round((end - begin) / 3600)),
    wide = 1000 / number,
    best = found.reduce((a, b) => (b.score > a.score ? b : a));
  const bars = found.map(({at, score}) => {
    const tall = Math.max(1.5, Math.max(0, score) * 30);
    return s('rect', {
      class: score >= limit ? 'fits' : 'cold',
      x: ((at - begin) / 3600) * wide,
      y: 30 - tall,
      width: Math.max(1, wide * 0.8),
      height: tall,
    });
  });
  const label = `How well each hour fits: best ${relativeDay(best.at, now)} between ${clock(best.at, false)} and ${clock(best.at + 3600, false)}`;
  const days = [...new Set(Array.from({length: number}, (_, i) => isoDay(begin + i * 3600)))];
  return panel(
    'When',
    h(
      'div.pad',
      {},
      s('svg.hours', {viewBox: '0 0 1000 30', preserveAspectRatio: 'none', role: 'img', 'aria-label': label}, bars),
      days.length > 1 && days.length < 11
        ? h(
            'div.week.small.soft',
            {},
            days.map(one => h('span', {}, day(Date.parse(`${one}T12:00`) / 1000))),
          )
        : h(
            'div.row.between.small.soft',
            {},
            h('span', {}, `${day(begin)} ${clock(begin, false)}`),
            h('span', {}, `${day(end)} ${clock(end, false)}`),
          ),
    ),
    {note: 'best match of each hour'},
  );
}
