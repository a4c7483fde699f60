/**
 * Similarity of each window to the last decoded meaning, as an SVG. The axis is the square root of the cosine distance: a
 * linear one would press the threshold against the top.
 */

import {s} from './dom.js';

const FARTHEST = 0.62; // square root of the distance at the lower edge
const MARKED = [1, 0.9, 0.7];
const GAP_STEPS = 4; // a pause longer than this many windows is one without pictures
const BAND_FROM_S = 600; // above it, a band from lowest to highest

/**
 * @typedef {{at: number, low: number, high: number, unknown: boolean, after?: boolean}} Point  similarity of a window, or
 *   of several; `after`: what was before it is not known, which is no gap in the picture
 * @typedef {{from: number, to: number, now: number, threshold: number, width: number, height: number}} Frame
 */

/** Height of a similarity. */
export function depth(similarity, height) {
  return 3 + (height - 6) * Math.min(1, Math.sqrt(Math.max(0, 1 - similarity)) / FARTHEST);
}

/** Usual time between points, which says what a gap is. @param {Point[]} points */
function stepOf(points) {
  const steps = points
    .slice(1)
    .map((point, i) => point.at - points[i].at)
    .sort((a, b) => a - b);
  return Math.max(0.05, steps[Math.floor(steps.length / 2)] ?? 1);
}

/** Runs of points without a gap, and the gaps. @param {Point[]} points @param {number} step */
function runs(points, step) {
  const found = /** @type {Point[][]} */ ([]),
    gaps = /** @type {[number, number][]} */ ([]);
  for (const point of points) {
    const run = found[found.length - 1],
      last = run?.[run.length - 1];
    if (last && point.at - last.at <= Math.max(GAP_STEPS * step, 3)) run.push(point);
    else {
      if (last && !point.after) gaps.push([last.at, point.at]);
      found.push([point]);
    }
  }
  return {found, gaps};
}

/**
 * What is drawn, back to front.
 * @param {Point[]} points  in order @param {Frame} frame
 * @param {{small?: boolean, lostSince?: number | null}} [options]
 * @returns {Element[]}
 */
export function trace(points, frame, {small = false, lostSince = null} = {}) {
  const {from, to, now, threshold, width, height} = frame;
  const X = at => ((at - from) / (to - from)) * width,
    Y = value => depth(value, height),
    limit = Y(1 - threshold);
  const end = Math.min(width, X(now)),
    step = stepOf(points),
    {found, gaps} = runs(points, step);
  if (lostSince !== null && lostSince < to)
    gaps.push([Math.max(lostSince, points[points.length - 1]?.at ?? lostSince), now]);
  const parts = small ? [] : MARKED.map(value => s('path.gridline', {d: `M0 ${Y(value)}H${end}`}));
  parts.push(...areas(points, X, step, height), ...lost(gaps, X, frame, small));
  const band = to - from > BAND_FROM_S;
  parts.push(s('path.below', {d: found.map(run => below(run, X, Y, limit, step, threshold)).join('')}));
  if (band) parts.push(s('path.band', {d: found.map(run => bandOf(run, X, Y)).join('')}));
  parts.push(
    s('path.line', {
      d: found
        .map(run => 'M' + run.map(point => `${X(point.at).toFixed(1)} ${Y(point.low).toFixed(1)}`).join('L'))
        .join(''),
    }),
  );
  parts.push(s('path.limit', {d: `M0 ${limit}H${end}`}));
  if (!small) parts.push(...axis(width, height, threshold, Y), s('path.gridline', {d: `M${X(now)} 0V${height}`}));
  return parts;
}

/** Hatched while nothing is known. */
function areas(points, X, step, height) {
  const spans = [];
  for (const point of points.filter(one => one.unknown)) {
    const last = spans[spans.length - 1];
    if (last && point.at - last[1] < 2 * step) last[1] = point.at;
    else spans.push([point.at - step, point.at]);
  }
  return spans.map(([a, b]) => s('rect.unknown-area', {x: X(a), y: 0, width: Math.max(1, X(b) - X(a)), height}));
}

/** Red where there was no picture. */
function lost(gaps, X, {from, to, height, width}, small) {
  return gaps
    .filter(([a, b]) => b > from && a < to)
    .flatMap(([a, b]) => {
      const left = Math.max(0, X(a)),
        right = Math.min(width, X(b));
      const area = s('rect.lost-area', {x: left, y: 0, width: Math.max(0, right - left), height});
      return small || right - left < 80 ? [area] : [area, s('text', {x: left + 8, y: height / 2 + 4}, 'no picture')];
    });
}

/** Time below the threshold, filled. */
function below(run, X, Y, limit, step, threshold) {
  const half = step / 2;
  return run
    .filter(point => point.low < 1 - threshold)
    .map(point => {
      const left = X(point.at - half).toFixed(1),
        right = X(point.at + half).toFixed(1);
      return `M${left} ${limit.toFixed(1)}H${right}V${Y(point.low).toFixed(1)}H${left}Z`;
    })
    .join('');
}

function bandOf(run, X, Y) {
  const edge = (points, key) => points.map(point => `${X(point.at).toFixed(1)} ${Y(point[key]).toFixed(1)}`).join('L');
  return `M${edge(run, 'high')}L${edge([...run].reverse(), 'low')}Z`;
}

function axis(width, height, threshold, Y) {
  const limit = 1 - threshold,
    clear = value => value === 1 || Math.abs(Y(value) - Y(limit)) > 11;
  return [...MARKED.filter(clear), limit].map(value =>
    s(
      'text',
      {
        class: value === limit ? 'strong' : '',
        x: width,
        y: Math.min(height - 1, Y(value) + (value === 1 ? 8 : value === limit && Y(limit) < 16 ? 9 : 4)),
        'text-anchor': 'end',
      },
      value.toFixed(2),
    ),
  );
}

/** The trace of a card: the last two minutes, with its decodings. @returns {Element} an `<svg>` that `updateMini` fills */
export function miniTrace() {
  return s('svg', {viewBox: '0 0 240 30', preserveAspectRatio: 'none', role: 'img'});
}

/** @param {Element} svg @param {{name: string, points: Point[], decided: number[], now: number, threshold: number, lostSince: number | null}} seen */
export function updateMini(svg, {name, points, decided, now, threshold, lostSince}) {
  const from = now - 120,
    recent = points.filter(point => point.at > from),
    marks = decided.filter(at => at > from && at <= now);
  svg.replaceChildren(
    ...trace(recent, {from, to: now, now, threshold, width: 240, height: 21}, {small: true, lostSince}),
    s(
      'g',
      {transform: 'translate(0 23)'},
      marks.map(at => s('path.tick-line', {d: `M${((at - from) * 2).toFixed(1)} 0V7`})),
    ),
  );
  svg.setAttribute('aria-label', `${name}, last two minutes: ${marks.length} decodings`);
}
