/** Draws the lanes of a timeline. Reads nothing; what a press does is given. */

import {pieces} from './camera-past.js';
import {h, keyed, s, setText} from './dom.js';
import {thumbnail, wordsOf} from './moments.js';
import {trace} from './trace.js';
import {clock} from './words.js';

const TICKS = [10, 15, 30, 60, 120, 300, 600, 900];
const MERGE_REM = 5.5,
  WORDS_REM = 3.5,
  THUMB_REM = 5.2;

/** @typedef {{from: number, to: number, span: number, width: number, now: number, rem: number, X: (at: number) => number}} Shown */

/** Times on the axis. */
export function drawAxis(lane, {from, to, span, width, rem, X}) {
  const step = TICKS.find(one => (one / span) * width > rem * THUMB_REM) ?? 900,
    ticks = [];
  for (let at = Math.ceil(from / step) * step; at < to; at += step)
    if (X(at) > rem * 1.6 && X(at) < width - rem * 4) ticks.push(at);
  keyed(
    lane,
    ticks,
    String,
    at => h('span', {}, clock(at, span < 600)),
    (one, at) => {
      one.style.left = `${X(at)}px`;
    },
  );
}

/** What was said, and a picture of each piece that has room for one. */
export function drawWords({words, seen: pictures}, said, {to, span, width, rem, X}, {zoom, open}) {
  const shown = pieces(said, span > 120 ? ((rem * MERGE_REM) / width) * span : 0);
  keyed(
    words,
    shown,
    piece => piece.start.toFixed(2),
    () => h('button', {type: 'button', tabindex: -1}, h('span')),
    (one, piece) => {
      const left = Math.max(0, X(piece.start)),
        right = X(Math.min(to, piece.end)),
        wide = right - left > rem * WORDS_REM;
      const [kind, text] = wordsOf(piece),
        more = piece.count > 1;
      one.className = ['bar', kind, wide ? '' : 'thin'].filter(Boolean).join(' ');
      one.style.left = `${left}px`;
      one.style.width = `${Math.max(3, right - left - 1)}px`;
      Object.assign(one.dataset, {start: piece.start, end: piece.end});
      setText(one.firstChild, wide ? text + (more ? ` +${piece.count - 1}` : '') : '');
      one.title = text;
      one.setAttribute(
        'aria-label',
        `${clock(piece.start)}, ${more ? `${piece.count} sentences, longest: ` : ''}${text}, ${Math.round(piece.end - piece.start)} seconds`,
      );
      one.onclick = () =>
        more ? zoom((piece.start + piece.end) / 2) : open({...piece, end: piece.open ? null : piece.end});
    },
  );
  if (!words.querySelector('[tabindex="0"]') && words.lastElementChild) words.lastElementChild.tabIndex = 0;
  let last = -Infinity;
  const seen = shown.filter(piece => {
    const left = X(piece.start),
      fits = left >= 0 && left - last > rem * THUMB_REM && left + rem * 4.9 < width && X(piece.end) - left > 24;
    if (fits) last = left;
    return fits;
  });
  keyed(
    pictures,
    seen,
    piece => piece.moment,
    piece => thumbnail(piece.moment),
    (one, piece) => {
      one.style.left = `${X(piece.start)}px`;
    },
  );
}

/** A lane for each question that is asked of every window. */
export function drawAsked(place, asked, {from, to, span}) {
  const share = at => ((Math.max(from, Math.min(to, at)) - from) / span) * 100,
    rows = [...asked].flatMap(([query, segments]) => [
      ['g', query, segments],
      ['lane', query, segments],
    ]);
  keyed(
    place,
    rows,
    ([kind, query]) => `${kind}:${query}`,
    ([kind, query]) => (kind === 'g' ? h('span.g', {title: query}, 'asked') : h('div.lane.asked', {role: 'img'})),
    (box, [kind, query, segments]) => {
      if (kind === 'g') return;
      const shown = segments.filter(segment => segment.end > from && segment.start < to),
        first = segments[0]?.text;
      box.setAttribute(
        'aria-label',
        `${query} Answers so far, latest: ${segments[segments.length - 1]?.text || 'none'}`,
      );
      keyed(
        box,
        shown,
        segment => segment.start.toFixed(2),
        () => h('span.bar'),
        (bar, segment) => {
          const left = share(segment.start),
            wide = share(segment.end) - left;
          bar.classList.toggle('none', segment.text !== first);
          bar.style.left = `${left}%`;
          bar.style.width = `calc(${wide}% - 1px)`;
          setText(bar, wide > 4 ? segment.text : '');
        },
      );
    },
  );
}

/** Similarity, and below it a tick for each decoding, a dot for each window without one, a triangle for each alert. */
export function drawTrace(
  {trace: chart, marks},
  {points, decoded, alerts, said, lostSince, threshold},
  {from, to, span, width, now, X},
) {
  const height = chart.clientHeight,
    low = marks.clientHeight,
    end = lostSince ?? now;
  chart.replaceChildren(...trace(points, {from, to, now, threshold, width, height}, {lostSince}));
  chart.setAttribute(
    'aria-label',
    `Similarity to the last decoded meaning. ${said.length} segments, ${decoded.length} decodings in the time shown; the list names them.`,
  );
  const thick = span > 1000 ? 1 : 3,
    middle = low / 2;
  const quiet =
    span <= 130
      ? points.map(point => s('circle.dot', {cx: X(point.at).toFixed(1), cy: middle, r: 1.5}))
      : [s('path.gridline', {d: `M0 ${middle}H${X(Math.min(end, to))}`})];
  marks.replaceChildren(
    ...quiet,
    ...decoded.map(at => s('rect.tick', {x: (X(at) - thick / 2).toFixed(1), y: 0, width: thick, height: low})),
    ...alerts.map(at => s('path.alert-mark', {d: `M${X(at) - 5} 0h10l-5 8z`})),
  );
  marks.setAttribute('aria-label', `${decoded.length} decodings`);
}
