/** What is being taught: states and their example moments. Kept in this tab until it is learned. */

const KEY = 'vljepa.lesson';
export const FEWEST = 3; // examples of each state, below which nothing can be learned
export const MOST = 20;

/** @typedef {{name: string, moments: string[]}} State */

export class Lesson {
  /** @type {State[]} */ states = [];
  /** @type {any} what learning gave */ result = null;
  /** Whether examples changed since. */ changed = false;

  constructor() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
      if (Array.isArray(kept))
        this.states = kept.filter(state => typeof state?.name === 'string' && Array.isArray(state.moments));
    } catch {
      /* begins empty */
    }
  }

  #keep() {
    this.changed = this.result !== null;
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.states));
    } catch {
      /* then until the tab is reloaded */
    }
  }

  addState(name) {
    this.states.push({name, moments: []});
    this.#keep();
  }

  renameState(index, name) {
    this.states[index].name = name;
    this.#keep();
  }

  removeState(index) {
    this.states.splice(index, 1);
    this.#keep();
  }

  /** Add moments to one state; out of the others, since a moment shows one. @returns {number} how many came */
  add(index, moments) {
    const state = this.states[index],
      before = state.moments.length;
    for (const other of this.states)
      if (other !== state) other.moments = other.moments.filter(one => !moments.includes(one));
    state.moments = [...new Set([...state.moments, ...moments])].slice(-MOST);
    this.#keep();
    return state.moments.length - before;
  }

  remove(index, moment) {
    this.states[index].moments = this.states[index].moments.filter(one => one !== moment);
    this.#keep();
  }

  /** Why nothing can be learned yet; empty where it can. */
  obstacle() {
    if (this.states.length < 2) return 'Two states are needed at least.';
    const short = this.states.find(state => state.moments.length < FEWEST);
    return short ? `“${short.name}” needs ${FEWEST} examples, it has ${short.moments.length}.` : '';
  }

  /** As the server takes it. */
  wanted() {
    return Object.fromEntries(this.states.map(state => [state.name, state.moments]));
  }

  learned(result) {
    this.result = result;
    this.changed = false;
  }

  /** How an example was guessed when it was left out: `w`rong, `u`nsure or nothing to say. */
  guessed(moment) {
    const found = this.changed ? null : this.result?.examples?.find(one => one.moment === moment);
    if (!found) return '';
    return found.unsure ? 'u' : found.guess === found.state ? '' : 'w';
  }
}
