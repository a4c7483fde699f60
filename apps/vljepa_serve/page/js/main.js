/** Starts the page: what is known, the connection, and the view that the address names. */

import {remember} from './device-history.js';
import {closeDialog} from './dialog.js';
import {fill, h} from './dom.js';
import {Frame} from './frame.js';
import {listenForKeys} from './keys.js';
import {Live} from './live.js';
import {momentOfEvent, thumbnail} from './moments.js';
import {toast} from './notes.js';
import {failed, loading} from './parts.js';
import {Store} from './store.js';
import {clock} from './words.js';

/** A view is imported when it is first opened. Each exports `show(context)`. */
const VIEWS = ['live', 'camera', 'search', 'alerts', 'teach', 'digest', 'system', 'settings', 'token'];

const store = new Store();
const live = new Live(store);
const frame = new Frame(store, () => live.retry());
let shown = new AbortController();
let entered = false;

/** `#/camera/door?at=5` as view, argument and parameters. */
function place() {
  const [path, parameters = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [view, ...rest] = path.split('/');
  let argument = rest.join('/');
  try {
    argument = decodeURIComponent(argument);
  } catch {
    /* as it was typed */
  }
  return {view: VIEWS.includes(view) ? view : 'live', argument, parameters: new URLSearchParams(parameters)};
}

/** Show the view of the address; the focus goes to its title, except at the very first. */
async function render() {
  closeDialog();
  shown.abort();
  shown = new AbortController();
  const {signal} = shown,
    body = document.getElementById('body');
  const {view, argument, parameters} = store.connection.state === 'locked' ? {...place(), view: 'token'} : place();
  if (!store.loaded && view !== 'token') {
    frame.show(view, {title: 'vljepa', subtitle: '', actions: null});
    return fill(body, loading('Asking the server what it knows'));
  }
  document.body.dataset.view = view;
  try {
    const module = await import(`./views/${view}.js`);
    if (signal.aborted) return;
    const made = module.show({store, live, argument, parameters, signal, render});
    frame.show(view, made);
    fill(body, made.body);
    if (entered) {
      scrollTo(0, 0);
      document.getElementById('h1').focus({preventScroll: true});
    }
    entered = true;
    made.mounted?.(); // may focus something nearer
  } catch (error) {
    if (signal.aborted) return;
    fill(body, h('div.panel', {}, failed('This view', error, render)));
    throw error; // also for the console
  }
}

/** An alert that begins is told wherever one is. */
function tellAlert(event) {
  if (!event || event.kind !== 'alert' || !event.active) return;
  const score = event.score === null ? '' : `, score ${event.score.toFixed(2)}`;
  toast({
    title: store.alerts.find(alert => alert.id === event.about || alert.query === event.text)?.name ?? event.text,
    text: `${store.nameOf(event.camera)}, ${clock(event.at_end)}${score}`,
    picture: thumbnail(momentOfEvent(event).moment),
    open: '#/alerts',
  });
}

addEventListener('hashchange', render);
store.addEventListener('event', event => tellAlert(/** @type {CustomEvent} */ (event).detail));
store.addEventListener('loaded', render);
store.addEventListener('locked', render);
store.addEventListener('system', () => remember(store.system));
setInterval(() => store.tell('second', null), 1000);
listenForKeys(store);
render();
live.open();
