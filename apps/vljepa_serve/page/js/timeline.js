/** Lanes on one time axis: seen, said, asked, similarity, decodings. Follows live until somebody drags it. */

import {CameraPast} from './camera-past.js';
import {fill, h, keyed, s, setText} from './dom.js';
import {drawAsked, drawAxis, drawTrace, drawWords} from './lanes.js';
import {openMoment} from './moment.js';
import {thumbnail, wordsOf} from './moments.js';
import {button, failed, segmented, press} from './parts.js';
import {preferences} from './preferences.js';
import {clock, fixed, length} from './words.js';

const SPANS = /** @type {[number, string][]} */ ([
  [120, '2 min'],
  [600, '10 min'],
  [3600, '1 h'],
]);
const LISTED = 12;
const RIGHT_PX = 40; // of room for the marks of the axis

export class Timeline {
  /** @type {number | null} right edge; null follows live */ end = null;
  /** @type {string | null} */ #listed = null;

  /** @param {import('./store.js').Store} store @param {string} id @param {AbortSignal} signal */
  constructor(store, id, signal) {
    Object.assign(this, {store, id, signal});
    this.past = new CameraPast(store, id, signal, () => this.draw());
    this.#build();
    for (const topic of ['second', 'event'])
      store.addEventListener(
        topic,
        () => {
          if (this.end === null) this.draw();
        },
        {signal},
      );
    store.addEventListener('cameras', () => this.draw(), {signal});
    addEventListener('resize', () => this.draw(), {signal});
  }

  #build() {
    const lane = (cls, attributes = {}) => h(`div.lane.${cls}`, attributes);
    this.lanes = {
      axis: lane('axis', {'aria-hidden': 'true'}),
      seen: lane('seen', {'aria-hidden': 'true'}),
      words: lane('words', {role: 'group', 'aria-label': 'Segments. Left and right arrow keys move between them'}),
      trace: s('svg', {role: 'img'}),
      marks: s('svg', {role: 'img', 'aria-label': 'Decodings'}),
    };
    const label = (text, cls = '') => h('span.g', {class: cls}, text),
      {axis, seen, words} = this.lanes;
    this.asked = h('div', {style: {display: 'contents'}});
    const limit = h('small', {}, `decode below ${fixed(1 - this.store.threshold, 2)}`);
    this.element = h(
      'div.tl',
      {},
      label('', 'hide'),
      axis,
      label('seen', 'hide'),
      seen,
      label('said'),
      words,
      this.asked,
      label(['similarity', h('br'), limit]),
      h('div.lane.trace', {}, this.lanes.trace),
      label('decodings'),
      h('div.lane.marks', {}, this.lanes.marks),
    );
    this.list = h('ol.list.phone');
    this.problem = h('div');
    this.follow = button(
      'Back to live',
      () => {
        this.end = null;
        this.draw();
      },
      {attributes: {hidden: true}},
    );
    this.spans = segmented('Span', SPANS, preferences.span, span => {
      preferences.setSpan(span);
      this.draw();
    });
    words.addEventListener('keydown', event => this.#move(event));
    for (const one of [axis, this.lanes.trace, this.lanes.marks])
      one.addEventListener('pointerdown', event => this.#drag(event));
  }

  /** Buttons for the head of its panel. */
  tools() {
    const list = button(
      'List',
      () => {
        const shown = this.element.toggleAttribute('hidden');
        list.setAttribute('aria-pressed', String(shown));
        this.list.classList.toggle('phone', !shown);
        this.draw();
      },
      {cls: 'wideonly', attributes: {'aria-pressed': 'false'}},
    );
    const step = (text, name, by) =>
      button(text, () => this.#go((this.end ?? this.store.known()) + (by * preferences.span) / 2), {
        attributes: {'aria-label': name},
      });
    return [this.follow, step('‹', 'Earlier', -1), step('›', 'Later', 1), this.spans, list];
  }

  /** Show a time of the past in its middle, and focus what was said then. */
  goTo(at) {
    this.#go(at + preferences.span / 2);
    const focus = () => {
      const found = [...this.lanes.words.children].find(
        one => Number(one.dataset.start) <= at + 0.5 && at < Number(one.dataset.end),
      );
      if (found) found.focus({preventScroll: true});
      return Boolean(found);
    };
    this.element.scrollIntoView({block: 'nearest'});
    if (!focus()) this.focusLater = focus;
  }

  #go(end) {
    this.end = end >= this.store.known() ? null : end;
    this.draw();
  }

  /** Everything, for the time that is shown. */
  draw() {
    if (this.signal.aborted) return;
    const span = preferences.span,
      width = this.lanes.words.clientWidth,
      now = this.store.known();
    const to = (this.end ?? now) + (span * RIGHT_PX) / (width || 900),
      from = to - span;
    this.past.want(from, Math.min(to, now));
    this.follow.hidden = this.end === null;
    const {failure} = this.past;
    if (Boolean(failure) !== Boolean(this.problem.firstChild))
      fill(this.problem, failure && failed('The timeline', failure, () => this.past.again()));
    const said = this.past.said().filter(segment => segment.end > from && segment.start < to);
    this.#drawList(said.slice(-LISTED).reverse());
    if (!width) return;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize),
      X = at => ((at - from) / span) * width;
    const shown = {from, to, span, width, now, rem, X};
    drawAxis(this.lanes.axis, shown);
    drawWords(this.lanes, said, shown, {zoom: at => this.#zoom(at), open: piece => openMoment(this.store, piece)});
    drawAsked(this.asked, this.past.asked(), shown);
    drawTrace(
      this.lanes,
      {...this.past.between(from, to), said, lostSince: this.store.lostSince(this.id), threshold: this.store.threshold},
      shown,
    );
    if (this.focusLater?.()) this.focusLater = null;
  }

  /** The same as text; redrawn only when another segment came. */
  #drawList(rows) {
    const names =
      rows.map(segment => `${segment.start}${segment.text}`).join('|') +
      (rows[0]?.open ? Math.floor(this.store.known() / 5) : '');
    if (names === this.#listed) return;
    this.#listed = names;
    keyed(
      this.list,
      rows,
      segment => segment.start.toFixed(2),
      segment =>
        h(
          'li',
          {},
          h(
            'button.item',
            {type: 'button'},
            thumbnail(segment.moment, {cls: 's'}),
            h('span', {}, h('b'), h('br'), h('span.small.soft')),
          ),
        ),
      (item, segment) => {
        const [words, , told] = item.querySelector('span').children;
        setText(words, wordsOf(segment)[1]);
        setText(told, `${clock(segment.start)} · ${length(segment.end - segment.start)}`);
        item.firstElementChild.onclick = () =>
          openMoment(this.store, {...segment, end: segment.open ? null : segment.end});
      },
    );
    if (!rows.length) fill(this.list, h('li.pad.soft', {data: {key: ''}}, 'Nothing was said in this time.'));
  }

  #zoom(at) {
    const next = preferences.span > 600 ? 600 : 120;
    preferences.setSpan(next);
    press(this.spans, next);
    this.#go(at + next / 2);
    /** @type {HTMLElement | null} */ (this.lanes.words.querySelector('button'))?.focus();
  }

  #move(event) {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key],
      one = event.target.closest('button');
    if (!by || !one) return;
    event.preventDefault();
    const to = by < 0 ? one.previousElementSibling : one.nextElementSibling;
    if (!to) return;
    one.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }

  #drag(event) {
    const begun = event.clientX,
      end = this.end ?? this.store.known(),
      width = this.lanes.words.clientWidth,
      done = new AbortController();
    addEventListener(
      'pointermove',
      move => {
        if (Math.abs(move.clientX - begun) > 3) this.#go(end - ((move.clientX - begun) / width) * preferences.span);
      },
      {signal: done.signal},
    );
    for (const name of ['pointerup', 'pointercancel'])
      addEventListener(name, () => done.abort(), {signal: done.signal});
  }
}
