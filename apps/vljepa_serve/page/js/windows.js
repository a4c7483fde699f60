/**
 * What the windows of each camera meant: similarity to the last decoded meaning, and when words were made. The newest come
 * from the WebSocket; what was before this page was opened is read from the log once.
 */

const KEPT = 4000; // more than an hour of one window a second

/** @typedef {import('./trace.js').Point} Point */

/** Two points nearer than this are one window. */
const SAME_S = 0.5;

export class Windows {
  /** @type {Point[]} in order */ points = [];
  /** @type {number[]} in order */ decided = [];
  #missed = true; // whether windows may have come that nobody told this page

  /** The next windows come after a time in which this page heard nothing. */
  interrupt() {
    this.#missed = true;
  }

  /** Windows that were just seen. @param {{at: number, similarity: number, decided: boolean, unknown: boolean}[]} seen */
  add(seen) {
    for (const window of seen) {
      const last = this.points[this.points.length - 1];
      if ((last && window.at <= last.at) || !Number.isFinite(window.similarity)) continue;
      const value = window.similarity;
      const point = {at: window.at, low: value, high: value, unknown: Boolean(window.unknown), after: this.#missed};
      this.#missed = false;
      this.points.push(point);
      if (window.decided) this.decided.push(window.at);
    }
    if (this.points.length > KEPT) this.points.splice(0, this.points.length - KEPT);
    if (this.decided.length > KEPT) this.decided.splice(0, this.decided.length - KEPT);
  }

  /** Put in what the log says and this page did not hear. @param {{bins: any[], decoded: number[]}} past */
  fill(past) {
    const missing = (all, at) => !all.some(one => Math.abs(one - at) < SAME_S);
    const times = this.points.map(point => point.at);
    this.points = [...this.points, ...pointsOf(past).filter(point => missing(times, point.at))];
    this.points.sort((a, b) => a.at - b.at);
    this.decided = [...this.decided, ...(past.decoded ?? []).filter(at => missing(this.decided, at))];
    this.decided.sort((a, b) => a - b);
  }
}

/** Bins of the log as points. @param {{bins: any[]}} past @returns {Point[]} */
export function pointsOf(past) {
  return (past.bins ?? [])
    .filter(bin => Number.isFinite(bin.low))
    .map(({at, low, high, unknown}) => ({at, low, high: high ?? low, unknown: Boolean(unknown)}));
}
