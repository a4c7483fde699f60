/** The WebSocket: one for the page, opened again after 1, 2, 4 ... 30 s, going on after the last event it has. */

import {ApiError} from './api.js';

const LONGEST_PAUSE_S = 30;
const SILENT_S = 20; // the server says something every second; a dead line says nothing

export class Live {
  /** @type {WebSocket | null} */ #socket = null;
  #pause = 1;
  #timer = 0;
  #heard = 0;

  /** @param {import('./store.js').Store} store */
  constructor(store) {
    this.store = store;
    addEventListener('online', () => this.retry());
    setInterval(() => this.#watch(), 5000);
  }

  /** Read the state, then listen. */
  async open() {
    clearTimeout(this.#timer);
    const first = !this.store.loaded || this.store.connection.state === 'locked';
    try {
      await this.store.load();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        this.store.connected('locked');
        return this.store.tell('locked', null);
      }
      return this.#later();
    }
    if (first) {
      this.store.connected('connecting');
      this.store.tell('loaded', null);
    }
    this.#listen();
  }

  /** Try now rather than later. */
  retry() {
    if (this.#socket || this.store.connection.state === 'locked') return;
    this.#pause = 1;
    this.open();
  }

  #listen() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/api/live?after=${this.store.lastId}`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#heard = Date.now();
    };
    socket.onmessage = message => {
      this.#heard = Date.now();
      this.#pause = 1; // a server that is full accepts, says so and hangs up
      if (this.store.connection.state !== 'open') this.store.connected('open');
      this.store.hear(JSON.parse(message.data));
    };
    socket.onclose = ({reason}) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#later(reason);
    };
  }

  /** @param {string} [why]  what the server said when it hung up */
  #later(why = '') {
    this.store.connected('away', Date.now() / 1000 + this.#pause, why);
    this.#timer = setTimeout(() => this.open(), this.#pause * 1000);
    this.#pause = Math.min(LONGEST_PAUSE_S, this.#pause * 2);
  }

  #watch() {
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.OPEN && Date.now() - this.#heard > SILENT_S * 1000 && !document.hidden)
      socket.close();
  }
}
