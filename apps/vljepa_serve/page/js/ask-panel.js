/** Asks a camera of the present, once or of every window. */

import {api} from './api.js';
import {askInto} from './ask.js';
import {hasPicture} from './bar.js';
import {fill, h} from './dom.js';
import {note, noteError} from './notes.js';
import {panel} from './parts.js';

export function askPanel(store, id, signal) {
  const question = h('input', {
    id: 'question',
    name: 'query',
    required: true,
    maxlength: 200,
    placeholder: 'Is someone at the door?',
    autocomplete: 'off',
  });
  const answers = h('input', {
    id: 'answers',
    name: 'candidates',
    maxlength: 400,
    placeholder: 'none given: answer in words',
    'aria-describedby': 'answers-hint',
    value: 'yes, no',
    autocomplete: 'off',
  });
  const place = h('div.stack.answer', {role: 'status'}),
    ask = h('button.btn.go', {type: 'submit'}, 'Ask');
  const always = h('input', {type: 'checkbox'}),
    standing = () => store.cameras.get(id)?.queries ?? [];
  let told = '';
  const draw = () => {
    const camera = store.cameras.get(id),
      seen = camera && hasPicture(camera);
    ask.disabled = !seen;
    if (question.value) always.checked = standing().includes(question.value.trim());
    else always.checked = standing().length > 0;
    const hint = seen
      ? 'Answers come from the latest window. With answers to choose from, nothing is decoded.'
      : 'There is no picture to ask about. Open a moment of the timeline to ask about the past.';
    if (hint !== told && (!place.childElementCount || place.firstElementChild.matches('.hint')))
      fill(place, h('p.small.soft.hint', {}, hint));
    told = hint;
  };
  const form = h(
    'form.pad.stack',
    {},
    h(
      'div.askrow',
      {},
      h('label', {for: 'question'}, 'Question'),
      question,
      h('label', {for: 'answers'}, 'Answers'),
      answers,
      ask,
    ),
    h('span.sr', {id: 'answers-hint'}, 'Separated by commas'),
    place,
  );
  form.addEventListener('submit', event => {
    event.preventDefault();
    askInto(place, {id, query: question.value.trim(), candidates: answers.value}, signal);
  });
  question.addEventListener('input', draw);
  always.addEventListener('change', () => keepAsking(store, id, question, answers, always));
  store.addEventListener('cameras', draw, {signal});
  const [first] = standing();
  if (first) question.value = first;
  draw();
  return panel('Ask', form, {
    note: h('span.wideonly', {}, 'about what is seen now'),
    right: h('label.check', {}, always, 'Ask every window'),
  });
}

/** Ask the question of every window, or no more. */
async function keepAsking(store, id, question, answers, always) {
  const query = question.value.trim(),
    standing = store.cameras.get(id)?.queries ?? [];
  if (!query && always.checked) {
    always.checked = false;
    question.focus();
    return note('Write the question first.');
  }
  const queries = always.checked
    ? [...standing.filter(one => one !== query), query]
    : standing.filter(one => query && one !== query);
  try {
    const camera = await api.askAlways(id, queries);
    if (camera?.id) store.answered(camera);
    note(always.checked ? `Asked of every window from now on: ${query}` : 'Not asked any more.');
  } catch (error) {
    always.checked = !always.checked;
    noteError(error);
  }
}
