/** When did that happen? Every past window can be found by words, by a picture, or by another moment. */

import {api} from '../api.js';
import {fill, h} from '../dom.js';
import {readMoment} from '../moments.js';
import {note, noteError} from '../notes.js';
import {button, failed, loading, options} from '../parts.js';
import {clock} from '../words.js';
import {shown} from '../hits.js';

const DAY_S = 86400;
const TIMES = /** @type {[string, string][]} */ ([
  ['7', 'Last 7 days'],
  ['today', 'Today'],
  ['hour', 'Last hour'],
  ['30', 'Last 30 days'],
  ['all', 'All that is kept'],
]);
const FOUND = 24;
const LARGEST_PICTURE = 8e6; // bytes; the server refuses more

export function show({store, parameters, signal}) {
  const words = h('input', {
    id: 'words',
    type: 'search',
    name: 'words',
    placeholder: 'a white van in the yard',
    maxlength: 200,
    autocomplete: 'off',
    value: parameters.get('q') ?? '',
  });
  const camera = h(
    'select',
    {name: 'camera'},
    options([['', 'All cameras'], ...[...store.cameras.values()].map(one => [one.id, one.name])], ''),
  );
  const time = h('select', {name: 'time'}, options(TIMES, '7')),
    results = h('div'),
    file = h('input.sr', {type: 'file', accept: 'image/*', tabindex: -1, 'aria-hidden': 'true'});
  const form = h(
    'form.searchbox',
    {role: 'search'},
    h('label', {}, h('span.sr', {}, 'What happened'), words),
    h('label', {}, h('span.sr', {}, 'Camera'), camera),
    h('label', {}, h('span.sr', {}, 'Time'), time),
    h('button.btn.go', {type: 'submit'}, 'Search'),
  );
  let asked = new AbortController();

  const search = async (wanted, name) => {
    asked.abort();
    asked = new AbortController();
    signal.addEventListener('abort', () => asked.abort());
    const {signal: own} = asked,
      [from, to] = range(time.value, store.now());
    fill(results, h('div.panel', {}, loading('Searching what was seen')));
    try {
      const found = await api.search({...wanted, cameras: camera.value ? [camera.value] : [], from, to, k: FOUND}, own);
      if (!own.aborted) fill(results, shown(store, found, name, [from, to], like));
    } catch (error) {
      if (error.name !== 'AbortError')
        fill(
          results,
          h(
            'div.panel',
            {},
            failed('The past', error, () => search(wanted, name)),
          ),
        );
    }
  };
  let last = null;
  const like = moment => {
    const at = readMoment(moment);
    words.value = '';
    last = () =>
      search({like: moment}, at ? `what ${store.nameOf(at.camera)} saw at ${clock(at.start)}` : 'that moment');
    history.replaceState(null, '', `#/search?like=${encodeURIComponent(moment)}`);
    last();
  };
  const again = () => {
    const text = words.value.trim();
    if (text) {
      history.replaceState(null, '', `#/search?q=${encodeURIComponent(text)}`);
      last = () => search({words: text}, `“${text}”`);
    }
    last?.();
  };
  form.addEventListener('submit', event => {
    event.preventDefault();
    again();
  });
  for (const choice of [camera, time]) choice.addEventListener('change', () => last && again());
  const picture = async blob => {
    if (blob.size > LARGEST_PICTURE) return note('Expected a picture of at most 8 MB.');
    const url = await dataUrl(blob);
    words.value = '';
    last = () => search({picture: url}, 'this picture');
    last();
  };
  file.addEventListener('change', () => {
    if (file.files[0]) picture(file.files[0]).catch(noteError);
  });
  document.addEventListener(
    'paste',
    event => {
      const found = [...(event.clipboardData?.items ?? [])].find(item => item.type.startsWith('image/'))?.getAsFile();
      if (found) picture(found).catch(noteError);
    },
    {signal},
  );
  const body = h(
    'div',
    {},
    form,
    h(
      'div.row.under-search',
      {},
      button('Search with a picture', () => file.click(), {cls: 'quiet'}),
      file,
      h('span.soft.small.push.wideonly', {}, 'Press ', h('span.key', {}, '/'), ' from anywhere'),
    ),
    results,
  );
  return {
    title: 'Search',
    subtitle:
      'Describe what you are looking for. Every past window can be found, also those that were never put into words.',
    actions: null,
    body,
    mounted: () => {
      if (parameters.get('like')) like(parameters.get('like'));
      else if (words.value) again();
      else
        fill(
          results,
          h(
            'p.soft.results',
            {},
            'Nothing has been searched yet. Words, a picture (paste one) or “More like this” of any moment find it.',
          ),
        );
      if (parameters.get('focus')) words.focus();
    },
  };
}

/** From and to of a choice; nothing where all is meant. */
function range(choice, now) {
  if (choice === 'all') return [undefined, undefined];
  if (choice === 'hour') return [now - 3600, now];
  if (choice === 'today') return [new Date(now * 1000).setHours(0, 0, 0, 0) / 1000, now];
  return [now - Number(choice) * DAY_S, now];
}

/** @returns {Promise<string>} */
function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
