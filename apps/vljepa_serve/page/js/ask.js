/** The form that asks, of the present or of a moment, and how an answer is shown. */

import {api} from './api.js';
import {fill, h} from './dom.js';
import {scoreBars} from './parts.js';
import {clock, fixed, list} from './words.js';

const CLOSE = 0.2; // the two best nearer than this are no answer
const SOURCES = {live: '', embedding: ' From the stored meaning.', video: ' From the stored video of this moment.'};

/**
 * Ask, and show the answer in `place`.
 * @param {Element} place @param {{id: string, query: string, candidates: string, moment?: {start: number, end: number} | null}} question
 * @param {AbortSignal} signal
 */
export async function askInto(place, {id, query, candidates, moment = null}, signal) {
  fill(place, h('p.small.soft', {}, 'Asking.'));
  const wanted = {query, candidates: list(candidates), ...(moment ? {start: moment.start, end: moment.end} : {})};
  try {
    const answer = await api.ask(id, wanted, signal);
    if (!signal.aborted) fill(place, shownAnswer(answer));
  } catch (error) {
    if (error.name !== 'AbortError') fill(place, h('p.bar.alert', {}, error.message));
  }
}

/** Bars for candidates, else the words; then how it came about. */
export function shownAnswer(answer) {
  const scores = answer.scores ?? [],
    unsure = scores.length > 1 && scores[0].score - scores[1].score < CLOSE;
  const decoded = answer.event?.decoded,
    text = answer.event?.text || 'no words came';
  return [
    scores.length
      ? h('div', {class: answer.unknown ? 'doubt' : ''}, scoreBars(scores))
      : h('p.bar', {class: answer.unknown ? 'unknown' : ''}, text),
    answer.unknown ? h('p.bar.unknown', {}, 'The picture is nothing I know: do not rely on this answer.') : null,
    unsure ? h('p.bar.unsure', {}, 'Unsure: the two best answers are close.') : null,
    h(
      'p.small.soft',
      {},
      `Answered in ${fixed(answer.took_ms, 1)} ms from ${clock(answer.at_start)} to ${clock(answer.at_end)}. ${decoded ? 'One decoding.' : 'Nothing was decoded.'}${SOURCES[answer.answered_from] ?? ''}`,
    ),
  ];
}
