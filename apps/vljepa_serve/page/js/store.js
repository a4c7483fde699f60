/**
 * What the page knows: the server's state, and what came over the WebSocket since. Views listen for
 * `cameras`, `event`, `windows`, `stats`, `system`, `alerts`, `config`, `connection` and `second` and redraw what they show.
 */

import {api} from './api.js';
import {Windows} from './windows.js';

const KEPT_EVENTS = 500;

/** A moment's id, which says all of it: camera and whole milliseconds. */
export function momentId(camera, start, end) {
  return `${camera}@${Math.round(start * 1000)}-${Math.round(end * 1000)}`;
}

export class Store extends EventTarget {
  /** @type {Map<string, any>} */ cameras = new Map();
  /** @type {any[]} oldest first */ events = [];
  /** @type {any[]} */ alerts = [];
  /** @type {string[]} */ problems = [];
  /** @type {Map<string, Windows>} */ windows = new Map();
  /** @type {Map<string, any>} */ stats = new Map();
  /** @type {any} */ system = null;
  bundle = null;
  version = '';
  /** @type {string | null} source of a drawn stream, where the server has one */ demo = null;
  started = null;
  threshold = 0.02; // distance at which words are made anew
  lastId = 0;
  loaded = false;
  unseenAlerts = 0;
  /** @type {{state: 'connecting' | 'open' | 'away' | 'locked', since: number, retryAt: number | null, why: string}} */
  connection = {state: 'connecting', since: Date.now() / 1000, retryAt: null, why: ''};
  #told = new Map(); // when the WebSocket last told of each camera
  #ahead = 0; // seconds by which the server's clock is ahead of this device's

  /** A camera as a request answered it: the WebSocket may have told of it later already. */
  answered(camera) {
    if (!this.cameras.has(camera.id)) {
      this.cameras.set(camera.id, camera);
      this.tell('cameras', camera.id);
    } else this.load().catch(() => {}); // a failure shows as lost connection
  }

  /** The server's time, seconds since 1970. */
  now() {
    return Date.now() / 1000 + this.#ahead;
  }

  /** The time at which what is shown was last known: stands still while the server is away. */
  known() {
    return this.connection.state === 'away' ? this.connection.since + this.#ahead : this.now();
  }

  tell(topic, detail) {
    this.dispatchEvent(new CustomEvent(topic, {detail}));
  }

  /** Read everything once; events that are known already are not told again. */
  async load(signal) {
    const asked = performance.now();
    const state = await api.state(signal);
    this.#ahead = state.now - Date.now() / 1000;
    const kept = id => this.#told.get(id) > asked && this.cameras.get(id); // told while the answer was on its way
    this.cameras = new Map(state.cameras.map(camera => [camera.id, kept(camera.id) || camera]));
    for (const camera of state.cameras) if (camera.stats) this.stats.set(camera.id, camera.stats);
    Object.assign(this, {
      alerts: state.alerts ?? [],
      problems: state.problems ?? [],
      bundle: state.bundle,
      version: state.version,
      started: state.started,
    });
    this.demo = state.demo ?? null;
    this.threshold = state.select?.threshold ?? this.threshold;
    const newest = Math.max(state.last_id ?? 0, ...state.events.map(event => event.id));
    const since = this.events.filter(event => event.id > newest);
    this.events = [...state.events, ...since].slice(-KEPT_EVENTS);
    this.lastId = Math.max(this.lastId, newest);
    this.loaded = true;
    for (const topic of ['cameras', 'alerts', 'stats', 'event']) this.tell(topic, null);
  }

  connected(state, retryAt = null, why = '') {
    const changed = state !== this.connection.state;
    this.connection = {state, since: changed ? Date.now() / 1000 : this.connection.since, retryAt, why};
    if (changed && state === 'away') for (const windows of this.windows.values()) windows.interrupt();
    this.tell('connection', this.connection);
    if (changed && state === 'open') this.tell('back', null);
  }

  /** One message of the WebSocket. */
  hear(message) {
    const hear = {
      event: () => this.#event(message.event),
      windows: () => this.#windows(message.camera, message.windows),
      stats: () => this.#stats(message.cameras),
      camera: () => this.#camera(message.camera),
      system: () => {
        this.system = message.system;
        this.tell('system', null);
      },
      config: () => {
        this.tell('config', null);
        this.load().catch(() => {});
      }, // a failure shows as lost connection
      gap: () => {
        this.load().catch(() => {});
      },
    }[message.kind];
    hear?.(); // a newer server may say more
  }

  #event(event) {
    if (event.id <= this.lastId) return; // sent again after a reconnect
    this.lastId = event.id;
    this.events.push(event);
    if (this.events.length > KEPT_EVENTS) this.events.shift();
    const camera = this.cameras.get(event.camera);
    if (camera && this.isSentence(event)) {
      camera.now = event;
      camera.unknown = Boolean(event.unknown);
    }
    if (event.kind === 'alert' && event.active) this.unseenAlerts++;
    this.tell('event', event);
  }

  #windows(id, windows) {
    this.windowsOf(id).add(windows);
    this.tell('windows', id);
  }

  #stats(cameras) {
    for (const [id, stats] of Object.entries(cameras)) this.stats.set(id, stats);
    this.tell('stats', null);
  }

  #camera(camera) {
    this.#told.set(camera.id, performance.now());
    this.cameras.set(camera.id, camera);
    if (camera.stats) this.stats.set(camera.id, camera.stats);
    this.tell('cameras', camera.id);
  }

  /** Whether an event is what the camera says by itself, not the answer to a standing question. */
  isSentence(event) {
    return event.kind === 'segment' && !(this.cameras.get(event.camera)?.queries ?? []).includes(event.query);
  }

  windowsOf(id) {
    if (!this.windows.has(id)) this.windows.set(id, new Windows());
    return this.windows.get(id);
  }

  /** Since when a camera has no picture; null while it has. */
  lostSince(id) {
    const camera = this.cameras.get(id);
    return camera && ['reconnecting', 'stopped'].includes(camera.state)
      ? (camera.last_frame ?? camera.since ?? null)
      : null;
  }

  /** Cameras that are meant to run, in the configuration's order. */
  running() {
    return [...this.cameras.values()].filter(camera => camera.on);
  }

  nameOf(id) {
    return this.cameras.get(id)?.name ?? id;
  }

  /** Whether a camera shows the drawn stream. */
  isDemo(camera) {
    return this.demo !== null && camera.source === this.demo;
  }

  /** The newest sentence of a camera that was said, not what is unknown. */
  lastSaid(id) {
    for (let i = this.events.length - 1; i >= 0; i--) {
      const event = this.events[i];
      if (event.camera === id && event.text && this.isSentence(event)) return event;
    }
    return this.cameras.get(id)?.now ?? null;
  }
}
