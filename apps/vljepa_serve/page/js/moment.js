/** The dialog of a moment, wherever it comes from: clip, sentence, times, ask, and what else can be done with it. */

import {address, api} from './api.js';
import {askInto} from './ask.js';
import {openDialog} from './dialog.js';
import {clipPlayer} from './clip.js';
import {fill, h, setText} from './dom.js';
import {momentOfSegment, still, wordsOf} from './moments.js';
import {note, noteError} from './notes.js';
import {button, facts, linkButton} from './parts.js';
import {clock, fixed, length, relativeDay} from './words.js';

/**
 * @param {import('./store.js').Store} store
 * @param {any} found  a moment or a segment
 */
export function openMoment(store, found) {
  const moment = momentOfSegment(found, store.now()),
    when = relativeDay(moment.start, store.now());
  openDialog(`${store.nameOf(moment.camera)}, ${when === 'today' ? '' : `${when}, `}${clock(moment.start)}`, signal =>
    momentBody(store, moment, found, signal),
  );
}

function momentBody(store, moment, found, signal) {
  const place = h('div.stack', {role: 'status'}),
    bar = h('p.bar.said', {}, h('span')),
    decode = button('Put into words', () => putIntoWords());
  const show = () => {
    const [kind, text] = wordsOf(moment);
    bar.className = ['bar', 'said', kind].filter(Boolean).join(' ');
    setText(bar.firstElementChild, text);
    decode.hidden = Boolean(moment.text) || moment.unknown;
  };
  const putIntoWords = async () => {
    decode.disabled = true;
    try {
      Object.assign(moment, {text: '', ...pick(await api.decode(moment.moment))});
      show();
      note('Put into words.');
    } catch (error) {
      noteError(error);
    }
    decode.disabled = false;
  };
  const question = h('input', {
    name: 'query',
    required: true,
    maxlength: 200,
    placeholder: 'Ask about this moment',
    'aria-label': 'Question about this moment',
  });
  const answers = h('input', {
    name: 'candidates',
    maxlength: 400,
    placeholder: 'yes, no',
    'aria-label': 'Answers to choose from, separated by commas',
    value: 'yes, no',
  });
  const form = h('form.askpast', {}, question, answers, h('button.btn.go', {type: 'submit'}, 'Ask'));
  form.addEventListener('submit', event => {
    event.preventDefault();
    askInto(place, {id: moment.camera, query: question.value, candidates: answers.value, moment}, signal);
  });
  show();
  const id = encodeURIComponent(moment.moment);
  return h(
    'div.pad.stack.l',
    {},
    player(store, moment, signal),
    bar,
    times(moment, found),
    form,
    place,
    h(
      'div.row',
      {},
      linkButton('Show in timeline', `#/camera/${encodeURIComponent(moment.camera)}?at=${moment.start}`),
      linkButton('More like this', `#/search?like=${id}`),
      linkButton('Teach with it', `#/teach?camera=${encodeURIComponent(moment.camera)}&with=${id}`),
      linkButton(
        'Alert on this',
        `#/alerts?new=${encodeURIComponent(moment.text || 'what is seen')}&camera=${encodeURIComponent(moment.camera)}`,
      ),
      decode,
    ),
  );
}

const pick = ({text, decoded, score, unknown}) => ({text: text ?? '', decoded, score, unknown: Boolean(unknown)});

/** Its video; where none is kept any more its picture. */
function player(store, moment, signal) {
  const label = `${store.nameOf(moment.camera)} at ${clock(moment.start)}`;
  const place = h('div', {}, h('div.pic', {}, h('div.over.full', {}, h('span.small', {}, 'Cutting the clip'))));
  const poster = address.thumbnail(moment.moment, 640);
  const show = sentence => fill(place, h('div.pic', {}, still(moment.moment, label), h('span.tag', {}, sentence)));
  api
    .moment(moment.moment, signal)
    .then(known => {
      if (signal.aborted) return;
      if (!moment.text && known.text) Object.assign(moment, pick(known));
      if (!known.kept_video) return show(`${clock(moment.start)}. ${known.no_video}`);
      fill(
        place,
        clipPlayer({
          src: address.clip(moment.moment),
          from: known.clip_start ?? moment.start,
          mark: moment.start,
          cue: 'begins',
          label,
          poster,
          signal,
        }),
      );
    })
    .catch(error => {
      if (!signal.aborted) show(error.message);
    });
  return place;
}

function times(moment, found) {
  const open = found.end === null || found.end === undefined;
  return facts(
    [
      [
        'From, to',
        `${clock(moment.start)} – ${open ? 'now' : clock(found.end)}`,
        open ? 'still holds' : `holds for ${length(found.end - moment.start)}`,
      ],
      moment.score === null || moment.score === undefined
        ? ['Length', length(moment.end - moment.start), 'of what is shown here']
        : ['Score', fixed(moment.score, 2), 'cosine with what was searched for'],
      ['Decoded', moment.decoded ? 'yes' : 'not yet', moment.decoded ? 'put into words' : 'takes some milliseconds'],
    ],
    'boxed',
  );
}
