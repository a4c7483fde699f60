/** How well taught states are told apart, what the camera shows now, and which sets are in use. */

import {api} from './api.js';
import {fill, h} from './dom.js';
import {button, scoreBars} from './parts.js';
import {fixed, plural} from './words.js';

/**
 * @param {{store: any, lesson: import('./lesson.js').Lesson, signal: AbortSignal, camera: () => string, learn: () => void, use: () => void, forget: (taught: any) => void}} view
 */
export function lessonResult({store, lesson, signal, camera, learn, use, forget}) {
  const obstacle = lesson.obstacle(),
    {result} = lesson;
  const verb = result ? 'Learn again' : 'Learn';
  const buttons = h(
    'div.row.between',
    {},
    h('span.small.soft', {}, result ? `Learned in ${fixed(result.seconds, 1)} s` : ''),
    h(
      'span.row',
      {},
      button(verb, learn, {cls: result ? '' : 'go', attributes: {disabled: Boolean(obstacle)}}),
      result
        ? button(`Use on ${store.nameOf(camera())}`, use, {
            cls: 'go',
            attributes: {disabled: Boolean(obstacle) || lesson.changed || result.ready === false},
          })
        : null,
    ),
  );
  const kept = h('div');
  readKept(kept, forget, signal);
  if (!result)
    return [
      h(
        'div.pad.stack',
        {},
        h('p.soft', {}, obstacle || 'Enough examples. Each is then left out once and guessed from the rest.'),
        buttons,
      ),
      kept,
    ];
  const now = h('div.stack.s');
  readNow(now, lesson, store, camera(), signal);
  return [
    h(
      'div.pad.stack',
      {},
      h(
        'p',
        {},
        h('span.score', {}, `${result.correct} of ${result.all}`),
        h('br'),
        h(
          'span.soft',
          {},
          `right when each example was left out and guessed from the rest. ${result.wrong} wrong, ${result.unsure} unsure.`,
        ),
      ),
      lesson.changed ? h('p.bar.unsure', {}, 'Examples have changed since. Learn again to see the new numbers.') : null,
      result.sentence ? h('p.bar.none', {}, result.sentence) : null,
    ),
    confusion(result),
    h(
      'div.pad.stack',
      {},
      h('p.small.soft', {}, '“Unsure” is said instead of a guess when the two best states are close.'),
      now,
      obstacle ? h('p.soft', {}, obstacle) : null,
      buttons,
    ),
    kept,
  ];
}

/** Rows are the marked state, columns what was said when that example was left out. */
function confusion({confusion: told}) {
  const names = Object.keys(told ?? {}),
    columns = [...names, 'unsure'];
  if (!names.length) return null;
  const cell = (row, column) => {
    const value = told[row][column] ?? 0;
    return h('td', {class: !value ? 'z' : column === 'unsure' ? 'u' : column === row ? 'r' : 'w'}, value);
  };
  return h(
    'table.conf',
    {},
    h('caption.sr', {}, 'Confusion: rows are the marked state, columns what was said when that example was left out'),
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        h('td'),
        columns.map(name => h('th', {scope: 'col'}, name)),
      ),
    ),
    h(
      'tbody',
      {},
      names.map(row =>
        h(
          'tr',
          {},
          h('th', {scope: 'row'}, row),
          columns.map(column => cell(row, column)),
        ),
      ),
    ),
  );
}

/** What the camera shows now, among the taught states; left out where the server does not say. */
async function readNow(box, lesson, store, id, signal) {
  const current = lesson.result?.now?.[id];
  if (current && !signal.aborted) fill(box, h('h3', {}, `Now, on ${store.nameOf(id)}`), scoreBars(current));
}

/** Sets that were kept, each to be forgotten. */
async function readKept(box, forget, signal) {
  try {
    const taught = await api.taught(signal);
    if (!signal.aborted && taught.length) {
      fill(
        box,
        h(
          'div.pad.stack.s',
          {},
          h('h3', {}, `In use: ${plural(taught.length, 'set')}`),
          taught.map(one =>
            h(
              'div.row.between.nowrap',
              {},
              h('span', {}, one.name),
              button('Forget', () => forget(one), {cls: 'quiet', attributes: {'aria-label': `Forget ${one.name}`}}),
            ),
          ),
        ),
      );
    }
  } catch {
    /* nothing is said where nothing is known */
  }
}
