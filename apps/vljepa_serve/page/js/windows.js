/**
 * What the windows of each camera meant: similarity to the last decoded meaning, and when words were made. The newest come
 * from the WebSocket; what was before this page was opened is read from the log once.
 */

const KEPT = 4000; // more than an hour of one window a second

/** @typedef {import('./trace.js').Point} Point */

export class Windows {
  /** @type {Point[]} in order */ points = [];
  /** @type {number[]} in order */ decided = [];

  /** Windows that were just seen. @param {{at: number, similarity: number, decided: boolean, unknown: boolean}[]} seen */
  add(seen) {
    for (const window of seen) {
      const last = this.points[this.points.length - 1];
      if ((last && window.at <= last.at) || !Number.isFinite(window.similarity)) continue;
      this.points.push({
        at: window.at,
        low: window.similarity,
        high: window.similarity,
        unknown: Boolean(window.unknown),
      });
      if (window.decided) this.decided.push(window.at);
    }
    if (this.points.length > KEPT) this.points.splice(0, this.points.length - KEPT);
    if (this.decided.length > KEPT) this.decided.splice(0, this.decided.length - KEPT);
  }

  /** Put what the log says of earlier times before what is here. @param {{bins: any[], decoded: number[]}} past */
  before(past) {
    const first = this.points[0]?.at ?? Infinity;
    this.points = [...pointsOf(past).filter(point => point.at < first - 0.5), ...this.points];
    this.decided = [...(past.decoded ?? []).filter(at => at < first - 0.5), ...this.decided];
  }
}

/** Bins of the log as points. @param {{bins: any[]}} past @returns {Point[]} */
export function pointsOf(past) {
  return (past.bins ?? [])
    .filter(bin => Number.isFinite(bin.low))
    .map(({at, low, high, unknown}) => ({at, low, high: high ?? low, unknown: Boolean(unknown)}));
}
