/** The states of a lesson: what each is called, and its examples, which a press removes. */

import {closeDialog, confirmDialog, openDialog} from './dialog.js';
import {h} from './dom.js';
import {readMoment, thumbnail} from './moments.js';
import {note} from './notes.js';
import {button, field, submit} from './parts.js';
import {clock, plural} from './words.js';

/**
 * One state.
 * @param {import('./lesson.js').Lesson} lesson
 * @param {number} index  which of its states
 * @param {{put: () => void, changed: () => void}} acts  `put` adds an example, `changed` is called after a removal
 */
export function trayOf(lesson, index, {put, changed}) {
  const state = lesson.states[index];
  return h(
    'div.tray',
    {},
    h(
      'div.stack.s',
      {},
      h('h3', {}, state.name),
      h('span.small.soft', {}, plural(state.moments.length, 'example')),
      button(['Mark now ', h('span.key', {}, String(index + 1))], put, {
        attributes: {data: {mark: index}, 'aria-label': `Mark now ${index + 1}, add to ${state.name}`},
      }),
      button(
        'Remove state',
        () =>
          confirmDialog(
            `Remove ${state.name}?`,
            `Its ${plural(state.moments.length, 'example')} go with it.`,
            'Remove',
            () => {
              lesson.removeState(index);
              changed();
            },
          ),
        {cls: 'quiet'},
      ),
    ),
    h(
      'div.thumbs',
      {role: 'group', 'aria-label': `Examples of ${state.name}`},
      state.moments.map((moment, k) => {
        const guessed = lesson.guessed(moment);
        return h(
          'button',
          {
            type: 'button',
            class: guessed,
            onclick: () => {
              lesson.remove(index, moment);
              changed();
              note('Removed. Learn again to see what it changes.');
            },
            'aria-label': `Remove example ${k + 1}, ${clock(readMoment(moment)?.start)}${guessed === 'w' ? ', was guessed wrong' : guessed ? ', was unsure' : ''}`,
          },
          thumbnail(moment, {cls: 's'}),
        );
      }),
    ),
  );
}

/** Name a state first; `drawn` is called when it is there. */
export function addState(lesson, drawn) {
  const name = h('input', {name: 'name', required: true, maxlength: 60, autocomplete: 'off'});
  const form = h(
    'form.pad.stack',
    {},
    field('What is it called?', name, 'As it will be told, for example “door open”'),
    h('div.row', {}, h('span.push', {}, submit('Add state'))),
  );
  form.addEventListener('submit', event => {
    event.preventDefault();
    const text = name.value.trim();
    if (!text) return;
    if (lesson.states.some(state => state.name === text)) return note(`“${text}” is there already.`);
    lesson.addState(text);
    closeDialog();
    drawn();
  });
  openDialog('A new state', () => form);
}
