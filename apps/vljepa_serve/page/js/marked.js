/** Moments that were marked and wait for a state: kept in this tab, so that a reload does not lose them. */

const KEY = 'vljepa.marked';
const MOST = 50;

function read() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

export const marked = {
  /** @type {import('./moments.js').Moment[]} */ moments: read(),

  add(moment) {
    if (this.moments.some(one => one.moment === moment.moment)) return;
    this.moments.push(moment);
    if (this.moments.length > MOST) this.moments.shift();
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.moments));
    } catch {
      /* then until the tab is reloaded */
    }
  },
};
