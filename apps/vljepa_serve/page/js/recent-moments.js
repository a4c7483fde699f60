/** Moments of a camera that may be taught with: marked ones, then those of the last minutes, to be picked. */

import {api} from './api.js';
import {fill, h, keyed, setText} from './dom.js';
import {marked} from './marked.js';
import {momentOfSegment, readMoment, thumbnail} from './moments.js';
import {noteError} from './notes.js';
import {clock, length} from './words.js';

const LOOK_BACK_S = 1200;
const OFFERED = 24;

export class RecentMoments {
  element = h('div.thumbs.big', {role: 'group'});
  /** How far back they reach, in words. */ noted = h('span');
  /** @type {Set<string>} */ picked = new Set();
  #id = '';
  #wished;
  #offered = [];

  /** @param {import('./store.js').Store} store @param {string | null} wished a moment to begin with @param {AbortSignal} signal */
  constructor(store, wished, signal) {
    Object.assign(this, {store, signal});
    this.#wished = wished;
    if (wished) this.picked.add(wished);
  }

  /** Show those of another camera. */
  show(id) {
    this.#id = id;
    this.#offered = [];
    this.draw();
    this.read();
  }

  /** Take those that are picked; none is then. @returns {string[]} */
  take() {
    const taken = [...this.picked];
    this.picked.clear();
    this.draw();
    return taken;
  }

  /** Whether somebody is about to press one: then none moves. */
  get isHeld() {
    return this.element.matches(':hover, :focus-within');
  }

  draw() {
    const {store} = this,
      id = this.#id,
      name = store.nameOf(id);
    this.element.setAttribute('aria-label', `Recent moments of ${name}`);
    const own = [...marked.moments.filter(moment => moment.camera === id).reverse(), ...this.#offered];
    const wished = this.#wished && readMoment(this.#wished);
    if (wished?.camera === id && !own.some(moment => moment.moment === this.#wished)) own.unshift({...wished, text: ''});
    const rows = own.filter((moment, i) => own.findIndex(one => one.moment === moment.moment) === i).slice(0, OFFERED);
    const first = Math.min(...rows.map(row => row.start));
    setText(this.noted, rows.length ? `${name}, last ${length(store.now() - first)}` : name);
    if (!rows.length) return fill(this.element, h('p.soft.small', {data: {key: ''}}, 'Nothing was seen lately.'));
    keyed(
      this.element,
      rows,
      row => row.moment,
      row => this.#button(row),
      (one, row) => one.setAttribute('aria-pressed', String(this.picked.has(row.moment))),
    );
  }

  #button(row) {
    return h(
      'button',
      {
        type: 'button',
        onclick: event => {
          if (!this.picked.delete(row.moment)) this.picked.add(row.moment);
          event.currentTarget.setAttribute('aria-pressed', String(this.picked.has(row.moment)));
        },
        title: row.text || '',
        'aria-label': `${clock(row.start)}, ${row.text || 'not put into words'}`,
      },
      thumbnail(row.moment),
      h('span.small.soft', {}, clock(row.start)),
      h('span.small', {}, row.text || '–'),
    );
  }

  /** Look what was seen lately. */
  async read() {
    const {store} = this,
      id = this.#id,
      now = store.now();
    try {
      const {segments} = await api.segments(id, now - LOOK_BACK_S, now, this.signal);
      if (id !== this.#id) return;
      const standing = store.cameras.get(id)?.queries ?? [];
      this.#offered = segments
        .filter(segment => !standing.includes(segment.query))
        .reverse()
        .slice(0, OFFERED)
        .map(segment => momentOfSegment(segment, now));
    } catch (error) {
      if (error.name !== 'AbortError') noteError(error);
    }
    const held = this.#offered.length && this.element.childElementCount && this.isHeld;
    if (!this.signal.aborted && !held) this.draw();
  }
}
