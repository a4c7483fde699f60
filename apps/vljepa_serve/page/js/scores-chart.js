/** The score of an alert over a day, with its threshold as a line that can be dragged. */

import {h, s} from './dom.js';
import {clock, fixed} from './words.js';

const HEIGHT = 150,
  FOOT = 20,
  HEAD = 6,
  ROOM = 0.08;

/** @typedef {{bins: {at: number, high: number}[], step_s: number, counts: {threshold: number, fires: number}[]}} Scores */

/** Lowest and highest value of the axis: scores are cosines or differences of them, so their range is the data's. */
export function scale(scores, threshold) {
  const values = [
    ...scores.bins.map(bin => bin.high).filter(Number.isFinite),
    ...(Number.isFinite(threshold) ? [threshold] : []),
  ];
  if (!values.length) return [0, 1];
  const low = Math.min(...values),
    high = Math.max(...values),
    room = Math.max(0.05, (high - low) * ROOM);
  return [Math.max(-2, Math.floor((low - room) * 100) / 100), Math.min(2, Math.ceil((high + room) * 100) / 100)];
}

/** How often it would have fired; null where nobody counted. @param {Scores} scores */
export function fires(scores, threshold) {
  if (!scores.counts.length) return null;
  if (threshold > Math.max(...scores.counts.map(one => one.threshold))) return 0; // nothing scored so high
  return scores.counts.reduce((best, one) =>
    Math.abs(one.threshold - threshold) < Math.abs(best.threshold - threshold) ? one : best,
  ).fires;
}

/** Where it would have begun, as near as the bins tell. */
function begins(bins, threshold, coolDown) {
  const found = [];
  let until = -Infinity,
    above = false;
  for (const {at, high} of bins) {
    const is = high >= threshold;
    if (is && !above && at >= until) found.push(at);
    if (is) until = at + coolDown;
    above = is;
  }
  return found;
}

/**
 * @param {(threshold: number) => void} drag
 * @returns {HTMLElement & {draw: (scores: Scores, threshold: number | null, coolDown: number) => void}}
 */
export function scoresChart(drag) {
  const box = h('div.scores');
  let range = [0, 1];
  const at = event => {
    const share =
      (HEIGHT - FOOT - ((event.clientY - box.getBoundingClientRect().top) * HEIGHT) / box.clientHeight) /
      (HEIGHT - FOOT - HEAD);
    drag(Math.max(range[0], Math.min(range[1], range[0] + share * (range[1] - range[0]))));
  };
  box.addEventListener('pointerdown', event => {
    box.setPointerCapture(event.pointerId);
    at(event);
    event.preventDefault();
  });
  box.addEventListener('pointermove', event => {
    if (box.hasPointerCapture(event.pointerId)) at(event);
  });
  box.draw = (scores, threshold, coolDown) => {
    range = scale(scores, null);
    if (threshold !== null) range = [Math.min(range[0], threshold), Math.max(range[1], threshold)];
    box.replaceChildren(drawing(scores, threshold, coolDown, range, box.clientWidth || 760));
  };
  return box;
}

function drawing({bins, step_s: step}, threshold, coolDown, [low, high], width) {
  const from = bins[0]?.at ?? 0,
    to = (bins[bins.length - 1]?.at ?? 0) + step,
    X = time => ((time - from) / Math.max(1, to - from)) * width;
  const Y = value =>
      HEIGHT -
      FOOT -
      ((Math.max(low, Math.min(high, value)) - low) / Math.max(0.01, high - low)) * (HEIGHT - FOOT - HEAD),
    isSet = threshold !== null,
    line = isSet ? Y(threshold) : 0;
  const wide = Math.max(0.8, X(from + step) - 0.7),
    marks = isSet ? begins(bins, threshold, coolDown) : [],
    hour = 10800,
    times = [];
  const first = new Date(from * 1000).setMinutes(0, 0, 0) / 1000;
  for (let time = first; time < to; time += 3600)
    if (new Date(time * 1000).getHours() % 3 === 0 && X(time) > 18 && X(time) < width - 24) times.push(time);
  return s(
    'svg',
    {
      viewBox: `0 0 ${width} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': `Best score of each ${Math.round(step / 60)} minutes in the last ${Math.round(((to - from) / hour) * 3)} hours${isSet ? `; threshold ${fixed(threshold, 2)}` : ''}`,
    },
    bins
      .filter(bin => Number.isFinite(bin.high))
      .map(bin =>
        s('rect', {
          class: isSet && bin.high >= threshold ? 'hot' : 'cold',
          x: X(bin.at).toFixed(1),
          y: Y(bin.high).toFixed(1),
          width: wide.toFixed(1),
          height: Math.max(0.5, HEIGHT - FOOT - Y(bin.high)).toFixed(1),
        }),
      ),
    times.map(time => s('text', {x: X(time), y: HEIGHT - 4, 'text-anchor': 'middle'}, clock(time, false))),
    marks.map(time => s('path.alert-mark', {d: `M${X(time) - 4} 0h8l-4 7z`})),
    isSet && [
      s('path.limit.thick', {d: `M0 ${line}H${width - 10}`}),
      s('circle.handle', {cx: width - 9, cy: line, r: 7}),
      s('text.strong', {x: 4, y: Math.max(12, line - 5)}, fixed(threshold, 2)),
    ],
  );
}
