/** What stays when the view changes: rail, tabs, banner, document title, theme. */

import {fill, h, icon, s, setText} from './dom.js';
import {closeDialog, openDialog} from './dialog.js';
import {button, linkButton, press, segmented, stateMark} from './parts.js';
import {preferences} from './preferences.js';
import {clock, day} from './words.js';

const AWAY_SHOWN_S = 2; // a hiccup is no news
const NAV = [
  ['live', 'Live'],
  ['search', 'Search'],
  ['alerts', 'Alerts'],
  ['teach', 'Teach'],
  ['digest', 'Digest'],
  ['system', 'System'],
  ['settings', 'Settings'],
];
const TABS = ['live', 'search', 'alerts', 'digest'];
const THEMES = /** @type {[string, string][]} */ ([
  ['system', 'Auto'],
  ['light', 'Light'],
  ['dark', 'Dark'],
]);

const logo = () =>
  s(
    'svg',
    {viewBox: '0 0 24 24', 'aria-hidden': 'true'},
    s('path.dots', {d: 'M2 12h.01M7 12h.01M17 12h.01M22 12h.01'}),
    s('path.stroke', {d: 'M12 4v16'}),
  );

/** Choose a theme; every control that shows it follows. */
export function themeChoice(choices = THEMES) {
  return segmented('Theme', choices, preferences.theme, value => {
    preferences.setTheme(value);
    for (const group of document.querySelectorAll('[role=group][aria-label=Theme]')) press(group, value);
  });
}

export class Frame {
  #view = '';
  #foot = {};

  /** @param {import('./store.js').Store} store @param {() => void} retry */
  constructor(store, retry) {
    this.store = store;
    this.retry = retry;
    this.#build();
    store.addEventListener('connection', () => this.#connection());
    store.addEventListener('cameras', () => this.#banner());
    store.addEventListener('second', () => {
      this.#time();
      this.#banner();
    });
    store.addEventListener('system', () => this.#time());
    store.addEventListener('event', () => this.#badges());
  }

  #build() {
    const link = ([name, text]) =>
      h(
        'a',
        {href: `#/${name}`, data: {view: name}},
        icon(name),
        h('span', {}, text),
        name === 'alerts' ? h('span.badge', {hidden: true}) : null,
      );
    this.#foot = {connection: h('div'), device: h('p.small.soft'), time: h('p.small.soft')};
    fill(
      document.getElementById('rail'),
      h('a.brand', {href: '#/live', 'aria-label': 'vljepa, live'}, logo(), h('b', {}, 'vljepa')),
      h(
        'ul',
        {},
        NAV.map(item => h('li', {}, link(item))),
      ),
      h('div.foot', {}, h('div', {}, this.#foot.connection, this.#foot.device, this.#foot.time), themeChoice()),
    );
    fill(
      document.getElementById('tabs'),
      NAV.filter(([name]) => TABS.includes(name)).map(link),
      h(
        'button',
        {type: 'button', 'aria-haspopup': 'dialog', data: {view: 'more'}, onclick: more},
        icon('more'),
        h('span', {}, 'More'),
      ),
    );
  }

  /** Show which view is open, and its title. @param {string} view @param {{title: string, subtitle: any, actions: any}} shown */
  show(view, {title, subtitle, actions}) {
    this.#view = view;
    document.title = `${title} · vljepa`;
    document.getElementById('h1').textContent = title;
    fill(document.getElementById('sub'), subtitle);
    fill(document.getElementById('actions'), actions);
    document.body.classList.toggle('bare', view === 'token');
    document.body.classList.remove('only');
    const own = view === 'camera' ? 'live' : view;
    for (const item of document.querySelectorAll('[data-view]')) {
      const name = item.dataset.view,
        current = name === own || (name === 'more' && !TABS.includes(own));
      if (current) item.setAttribute('aria-current', name === 'more' ? 'true' : 'page');
      else item.removeAttribute('aria-current');
    }
    if (view === 'alerts') this.store.unseenAlerts = 0;
    this.#badges();
    this.#connection();
  }

  #badges() {
    const unseen = this.store.unseenAlerts;
    for (const badge of document.querySelectorAll('.badge')) {
      badge.hidden = !unseen;
      setText(badge, unseen > 99 ? '99+' : unseen);
      badge.setAttribute('aria-label', `${unseen} new`);
    }
  }

  #connection() {
    const {state} = this.store.connection;
    const [mark, text] = {
      open: ['ok', 'Connected'],
      away: ['bad', 'Server away'],
      connecting: ['wait', 'Connecting'],
      locked: ['wait', 'Token needed'],
    }[state];
    if (this.#foot.connection.textContent !== text) fill(this.#foot.connection, stateMark(mark, text));
    this.#time();
    this.#banner();
  }

  #time() {
    const {system} = this.store,
      now = this.store.known();
    const heat =
      system?.temperature_c === null || system?.temperature_c === undefined
        ? ''
        : `, ${Math.round(system.temperature_c)} °C`;
    setText(this.#foot.device, `${location.hostname}${heat}`);
    setText(this.#foot.time, `${clock(now)} ${day(now)}`);
  }

  /** Away, else the first problem of the device. */
  #banner() {
    const box = document.getElementById('banner'),
      {state, since, retryAt, why} = this.store.connection;
    const away = state === 'away' && Date.now() / 1000 - since >= AWAY_SHOWN_S;
    const kind = away ? `away ${why}` : this.#view === 'token' ? '' : (this.store.problems[0] ?? '');
    if (box.dataset.kind !== kind) {
      box.dataset.kind = kind;
      fill(
        box,
        away
          ? h(
              'div.banner.bad',
              {},
              h('b', {}, why || 'The server does not answer.'),
              h('span', {data: {part: 'retry'}}),
              button('Try now', this.retry),
            )
          : kind && h('div.banner', {}, h('span', {}, kind), linkButton('Open settings', '#/settings')),
      );
    }
    const line = box.querySelector('[data-part=retry]');
    if (!line) return;
    const left = Math.max(0, Math.ceil((retryAt ?? 0) - Date.now() / 1000));
    setText(
      line,
      `${this.store.loaded ? `This is what was known at ${clock(this.store.known())}. ` : ''}${left ? `Trying again in ${left} s.` : 'Trying again.'}`,
    );
  }
}

/** The rest of the views, on a phone. */
function more() {
  openDialog('More', () =>
    h(
      'div.pad.stack',
      {},
      h(
        'ul.stack',
        {},
        NAV.filter(([name]) => !TABS.includes(name)).map(([name, text]) =>
          h('li', {}, linkButton(text, `#/${name}`, {ic: name, cls: 'full', attributes: {onclick: closeDialog}})),
        ),
      ),
      h('div.row.between', {}, h('span', {}, 'Theme'), themeChoice()),
    ),
  );
}
