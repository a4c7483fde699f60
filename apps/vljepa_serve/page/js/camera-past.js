/** One camera's past on a time axis: what the log says of a range, and what came since. Draws nothing. */

import {api} from './api.js';
import {momentId} from './store.js';
import {pointsOf} from './windows.js';

const POINTS = 300;
const MARGIN = 0.25; // of the span, read on both sides, so that a little dragging needs no reading
const SAME_S = 0.3; // two starts nearer than this are one segment

/** @typedef {{start: number, end: number, open: boolean, text: string, decoded: boolean, score: number | null, unknown: boolean, query: string | null, moment: string | null, camera: string}} Segment */

export class CameraPast {
  #segments = [];
  #points = [];
  #decoded = [];
  #fired = [];
  #from = Infinity;
  #to = -Infinity;
  #span = 0;
  #reading = false;
  /** @type {Error | null} why the last reading failed */ failure = null;

  /** @param {import('./store.js').Store} store @param {string} id @param {AbortSignal} signal @param {() => void} changed */
  constructor(store, id, signal, changed) {
    Object.assign(this, {store, id, signal, changed});
  }

  /** Read a range where it is not known well enough; one reading at a time. */
  async want(from, to) {
    const span = to - from,
      now = this.store.now(),
      behind = Math.max(15, span / 12);
    const enough = this.#span === span && from >= this.#from && Math.min(to, now) <= this.#to + behind;
    if (enough || this.#reading || this.store.connection.state !== 'open') return;
    this.#reading = true;
    try {
      await this.#read(from - span * MARGIN, Math.min(now, to + span * MARGIN), span);
      this.failure = null;
    } catch (error) {
      this.failure = error;
      this.#remember(from, to, span); // not again at once
    }
    this.#reading = false;
    if (!this.signal.aborted) this.changed();
  }

  /** Read again what failed. */
  again() {
    this.failure = null;
    this.#span = 0;
    this.changed();
  }

  async #read(from, to, span) {
    const {signal} = this;
    const [told, seen, fired, ...answers] = await Promise.all([
      api.segments(this.id, from, to, signal),
      api.windows(this.id, from, to, POINTS, signal),
      api.fired(from, to, signal).catch(() => []),
      ...this.#standing().map(query => api.segments(this.id, from, to, signal, query).catch(() => ({segments: []}))),
    ]);
    this.#segments = [told, ...answers].flatMap(({segments}) => segments);
    this.#points = pointsOf(seen);
    this.#decoded = seen.decoded ?? [];
    this.#fired = fired.filter(event => event.camera === this.id);
    this.#remember(from, to, span);
  }

  #remember(from, to, span) {
    this.#from = from;
    this.#to = to;
    this.#span = span;
  }

  /** Similarity in a range, in order. @returns {import('./trace.js').Point[]} */
  points(from, to) {
    const last = this.#points[this.#points.length - 1]?.at ?? -Infinity,
      live = this.store.windowsOf(this.id).points;
    const first = this.#points[0]?.at ?? Infinity;
    return [
      ...live.filter(point => point.at < first),
      ...this.#points,
      ...live.filter(point => point.at > last && point.at >= first),
    ].filter(point => point.at >= from && point.at <= to);
  }

  /** When words were made, in a range. */
  decoded(from, to) {
    const all = [...this.#decoded, ...this.store.windowsOf(this.id).decided]
      .filter(at => at >= from && at <= to)
      .sort((a, b) => a - b);
    return all.filter((at, i) => !i || at - all[i - 1] > SAME_S);
  }

  /** Begins of alerts in a range. */
  alerts(from, to) {
    const live = this.store.events.filter(event => event.kind === 'alert' && event.active && event.camera === this.id);
    const all = [...this.#fired, ...live]
      .map(event => event.at_end)
      .filter(at => at >= from && at <= to)
      .sort((a, b) => a - b);
    return all.filter((at, i) => !i || at - all[i - 1] > SAME_S);
  }

  /** What is drawn below the words of a range. */
  between(from, to) {
    return {points: this.points(from, to), decoded: this.decoded(from, to), alerts: this.alerts(from, to)};
  }

  /** What the camera said by itself, in order. @returns {Segment[]} */
  said() {
    return this.#joined(segment => !this.#standing().includes(segment.query));
  }

  /** Answers to standing questions and taught states, by question. @returns {Map<string, Segment[]>} */
  asked() {
    return new Map(this.#standing().map(query => [query, this.#joined(segment => segment.query === query)]));
  }

  #standing() {
    return this.store.cameras.get(this.id)?.queries ?? [];
  }

  /** The log's segments and those told since, each ending where the next begins. */
  #joined(wanted) {
    const live = this.store.events
      .filter(event => event.camera === this.id && (event.kind === 'segment' || event.kind === 'answer'))
      .map(event => ({
        camera: this.id,
        start: event.at_start,
        end: null,
        text: event.text,
        decoded: event.decoded,
        score: null,
        unknown: Boolean(event.unknown),
        query: event.query,
        moment: null,
      }));
    const all = [...this.#segments, ...live].filter(wanted).sort((a, b) => a.start - b.start),
      found = [];
    for (const segment of all) {
      const last = found[found.length - 1];
      if (last && segment.start - last.start < SAME_S && segment.text === last.text) continue;
      found.push({...segment});
    }
    const lost = this.store.lostSince(this.id);
    found.forEach((segment, i) => {
      const next = found[i + 1]?.start;
      segment.open = next === undefined && lost === null;
      segment.end = next === undefined ? (lost ?? this.store.known()) : Math.min(segment.end ?? Infinity, next);
      segment.end = Math.max(segment.end, segment.start + 0.05);
      segment.moment ??= momentId(this.id, segment.start, Math.min(segment.end, segment.start + 60));
    });
    return found;
  }
}

/**
 * Where segments would be too narrow to read, neighbours become one piece, named by the longest of them. What is unknown
 * never merges with a sentence.
 * @param {Segment[]} segments @param {number} least  shortest piece that can be read, in seconds
 * @returns {(Segment & {count: number, longest: number})[]}
 */
export function pieces(segments, least) {
  const found = [];
  for (const segment of segments) {
    const last = found[found.length - 1],
      length = segment.end - segment.start;
    const apart = last && segment.start - last.end > least;
    if (!last || last.end - last.start >= least || last.unknown !== segment.unknown || apart) {
      found.push({...segment, count: 1, longest: length});
      continue;
    }
    last.count++;
    last.end = segment.end;
    last.open = segment.open;
    if (length > last.longest) Object.assign(last, {longest: length, text: segment.text, moment: segment.moment});
  }
  return found;
}
