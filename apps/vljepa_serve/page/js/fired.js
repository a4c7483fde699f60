/** What an alert told lately: the newest with its clip, the others to choose from. */

import {address, api} from './api.js';
import {clipPlayer} from './clip.js';
import {fill, h} from './dom.js';
import {still, thumbnail} from './moments.js';
import {failed, loading} from './parts.js';
import {clock, fixed, relativeDay} from './words.js';

const SHOWN_S = 7 * 86400;
const LISTED = 12;
const CUT_WITHIN_S = 90; // from when it fired until its clip is there
const LOOK_AGAIN_MS = 2000;

const belongs = (event, alert) => (event.about ? event.about === alert.id : event.text === alert.query);
const beingCut = (event, now) => Boolean(event.clip) && !event.clip_address && now - event.at_end < CUT_WITHIN_S;

export class FiredPanel {
  element = h('div');
  #alert = null;
  #rows = [];
  #chosen = null;
  #picked = false; // by somebody, rather than the newest
  #shown = '';
  #timer = 0;

  /** @param {import('./store.js').Store} store @param {AbortSignal} signal */
  constructor(store, signal) {
    Object.assign(this, {store, signal});
    signal.addEventListener('abort', () => clearTimeout(this.#timer));
  }

  /** Show what an alert told; all alerts where it is null. */
  show(alert) {
    this.#alert = alert;
    this.#chosen = null;
    this.#picked = false;
    this.#shown = '';
    fill(this.element, loading('Reading what fired'));
    return this.refresh();
  }

  /** Read again; what is shown stays until something else is known. */
  async refresh() {
    const alert = this.#alert,
      now = this.store.now();
    clearTimeout(this.#timer);
    try {
      const all = await api.fired(now - SHOWN_S, now + 60, this.signal);
      if (this.signal.aborted || alert !== this.#alert) return;
      this.#rows = all.filter(event => event.active !== false && (!alert || belongs(event, alert))).slice(0, LISTED);
    } catch (error) {
      if (error.name !== 'AbortError')
        fill(
          this.element,
          failed('What fired', error, () => this.show(alert)),
        );
      return;
    }
    this.#draw();
    if (this.#rows.some(event => beingCut(event, now))) this.#timer = setTimeout(() => this.refresh(), LOOK_AGAIN_MS);
  }

  #draw() {
    const names = JSON.stringify(this.#rows.map(event => [event.id, event.clip_address]));
    if (names === this.#shown) return;
    this.#shown = names;
    if (!this.#rows.length) {
      const advice = 'Lower the threshold or test it with a moment from the past.';
      return fill(this.element, h('p.pad.soft', {}, `Has not fired in the last 7 days. ${advice}`));
    }
    const kept = this.#rows.find(event => event.id === this.#chosen?.id);
    const chosen = kept && (this.#picked || kept.clip_address) ? kept : this.#newest();
    const player = this.element.querySelector('.player') ?? h('div.player'),
      items = h(
        'ol.list.flush',
        {},
        this.#rows.map(event => this.#item(event, chosen)),
      );
    // A clip that is looked at plays on while the list beside it grows.
    if (chosen.id !== this.#chosen?.id || chosen.clip_address !== this.#chosen?.clip_address) {
      this.#chosen = chosen;
      fill(player, this.#clip(chosen));
    }
    fill(this.element, h('div.halves.pad', {}, player, items));
  }

  /** The newest that can be watched, else the newest. */
  #newest() {
    return this.#rows.find(event => event.clip_address) ?? this.#rows[0];
  }

  #item(event, chosen) {
    const told = `score ${fixed(event.score, 2)}, ${this.store.nameOf(event.camera)}`;
    const current = event.id === chosen.id ? 'true' : null;
    return h(
      'li',
      {},
      h(
        'button.item',
        {type: 'button', 'aria-current': current, data: {id: event.id}, onclick: () => this.#pick(event)},
        thumbnail(event.moment, {cls: 's'}),
        h(
          'span',
          {},
          h('b', {}, clock(event.at_end)),
          ' ',
          h('span.soft', {}, relativeDay(event.at_end, this.store.now())),
          h('br'),
          h('span.small.soft', {}, told),
        ),
      ),
    );
  }

  #pick(event) {
    this.#picked = true;
    this.#chosen = event;
    fill(this.element.querySelector('.player'), this.#clip(event));
    for (const item of this.element.querySelectorAll('.item')) {
      if (item.dataset.id === String(event.id)) item.setAttribute('aria-current', 'true');
      else item.removeAttribute('aria-current');
    }
  }

  #clip(event) {
    const label = `${event.text}, ${this.store.nameOf(event.camera)} at ${clock(event.at_end)}`;
    const poster = address.thumbnail(event.moment, 640);
    if (event.clip_address) {
      const from = event.at_start - (this.#alert?.look_back_s ?? 0);
      return clipPlayer({
        src: event.clip_address,
        from,
        mark: event.at_end,
        cue: 'fired',
        label,
        poster,
        signal: this.signal,
      });
    }
    const why = beingCut(event, this.store.now()) ? 'The clip is being cut.' : 'No clip is kept.';
    return h('div.pic', {}, still(event.moment, label), h('span.tag', {}, `${clock(event.at_end)}. ${why}`));
  }
}
