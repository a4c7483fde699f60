/** Pieces of every view: buttons, fields, groups, panels and what a panel says while it loads, is empty or failed. */

import {fill, h, icon, s} from './dom.js';
import {fixed} from './words.js';

/**
 * @param {string} text
 * @param {(event: Event) => void} act
 * @param {{cls?: string, ic?: any, attributes?: object}} [options]
 */
export function button(text, act, {cls = '', ic = null, attributes = {}} = {}) {
  return h('button.btn', {type: 'button', class: cls, onclick: act, ...attributes}, ic && icon(ic), text);
}

/** The button that a form's Enter presses. */
export function submit(text, attributes = {}) {
  return h('button.btn.go', {type: 'submit', ...attributes}, text);
}

/** A link that looks like a button. */
export function linkButton(text, href, {cls = '', ic = null, attributes = {}} = {}) {
  return h('a.btn', {href, class: cls, ...attributes}, ic && icon(ic), text);
}

let ids = 0;

/** A labelled control with its hint, which `fieldError` turns into an error. The hint is no part of the name. */
export function field(label, control, hint = '') {
  const id = `field-${++ids}`;
  control.id ||= id;
  control.setAttribute('aria-describedby', `${id}-hint`);
  return h(
    'div.field',
    {},
    h('label.label', {for: control.id}, label),
    control,
    h('small', {id: `${id}-hint`, data: {hint}}, hint),
  );
}

/** Say below a control what is wrong with it; an empty sentence takes that back. */
export function fieldError(control, sentence) {
  const hint = control.closest('.field')?.querySelector('small');
  if (sentence) control.setAttribute('aria-invalid', 'true');
  else control.removeAttribute('aria-invalid');
  if (!hint) return;
  hint.textContent = sentence || hint.dataset.hint;
  hint.classList.toggle('wrong-t', Boolean(sentence));
}

/** Show a refusal beside the field that it names, else in `place`. */
export function showRefusal(form, place, error) {
  const named = error.field && form.elements.namedItem(error.field);
  if (named instanceof Element) {
    fieldError(named, error.message);
    named.focus();
  } else fill(place, h('p.wrong-t', {}, error.message));
}

/** `<option>`s, of which `chosen` is selected. @param {[string, string][]} choices */
export function options(choices, chosen) {
  return choices.map(([value, text]) => h('option', {value, selected: value === chosen}, text));
}

/** Buttons of which one is pressed. @param {[any, string][]} choices @param {(value: any) => void} choose */
export function segmented(name, choices, chosen, choose) {
  const group = h(
    'span.seg',
    {role: 'group', 'aria-label': name},
    choices.map(([value, text]) =>
      h(
        'button',
        {
          type: 'button',
          data: {value},
          'aria-pressed': String(value === chosen),
          onclick: () => {
            press(group, value);
            choose(value);
          },
        },
        text,
      ),
    ),
  );
  return group;
}

/** Show another button of a group as pressed. */
export function press(group, value) {
  for (const one of group.children) one.setAttribute('aria-pressed', String(one.dataset.value === String(value)));
}

/** @param {string} title @param {{note?: any, right?: any, cls?: string}} [options] */
export function panel(title, body, {note = '', right = null, cls = ''} = {}) {
  return h(
    'section.panel',
    {class: cls, 'aria-label': title},
    h('header', {}, h('h2', {}, title), note && h('span.soft', {}, note), right && h('span.push.row', {}, right)),
    body,
  );
}

/** Grey blocks of about the right size, and what is read. */
export function loading(what) {
  return h('div.pad.stack', {'aria-busy': 'true'}, h('div.sk'), h('div.sk.part'), h('p.soft.small', {}, what));
}

/** @param {string} what  which panel, as in "The timeline" @param {() => void} again */
export function failed(what, error, again) {
  return h(
    'div.pad.stack',
    {},
    h('p.bar.alert', {}, `${what} could not be read: ${error.message}`),
    h('div', {}, button('Try again', again)),
  );
}

/**
 * Fill a panel's body: loading, then what `read` gives, or why it failed and a way to try again.
 * @param {Element} box @param {string} name @param {string} doing
 * @param {(signal: AbortSignal) => Promise<any>} read  gives the children
 * @param {AbortSignal} signal
 */
export async function readInto(box, name, doing, read, signal) {
  fill(box, loading(doing));
  try {
    const found = await read(signal);
    if (!signal.aborted) fill(box, found);
  } catch (error) {
    if (error.name !== 'AbortError' && !signal.aborted)
      fill(
        box,
        failed(name, error, () => readInto(box, name, doing, read, signal)),
      );
  }
}

/** A share from 0 to 1 as a bar. */
export function meter(value, cls = '') {
  const share = Math.max(0, Math.min(1, Number(value) || 0));
  return h('span.meter', {class: cls}, h('i', {style: {width: `${(share * 100).toFixed(1)}%`}}));
}

/** Candidates with their scores, the best first. @param {{text: string, score: number}[]} rows */
export function scoreBars(rows) {
  return h(
    'div.answers',
    {},
    rows.map(({text, score}, index) => [
      h('span', {class: index ? '' : 'strong'}, text),
      meter(score, index ? 'dim' : ''),
      h('span.num', {}, fixed(score, 2)),
    ]),
  );
}

const MARKS = {
  alert: () => s('path', {d: 'M.5 1.5h9L5 9z', fill: 'currentColor'}),
  ok: () => s('circle', {cx: 5, cy: 5, r: 4.2, fill: 'currentColor'}),
  warn: () => s('path', {d: 'M5 .8L9.5 9H.5z', fill: 'currentColor'}),
  bad: () => s('path', {d: 'M1.5 1.5l7 7M8.5 1.5l-7 7', stroke: 'currentColor', 'stroke-width': 2}),
  wait: () =>
    s('circle', {
      cx: 5,
      cy: 5,
      r: 3.6,
      fill: 'none',
      stroke: 'currentColor',
      'stroke-width': 1.6,
      'stroke-dasharray': '3 2',
    }),
  none: () => s('rect', {x: 1, y: 1, width: 8, height: 8, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5}),
};

/** A mark and its word: a colour never stands alone. @param {keyof typeof MARKS} kind */
export function stateMark(kind, text) {
  return h(
    'span.state',
    {class: kind},
    s('svg', {viewBox: '0 0 10 10', 'aria-hidden': 'true'}, MARKS[kind]()),
    h('span', {}, text),
  );
}

/** A table that scrolls in itself, reachable by keyboard. @param {[string, boolean?][]} heads name, and whether it holds numbers */
export function table(label, heads, rows) {
  return h(
    'div.scroll',
    {tabindex: 0, role: 'region', 'aria-label': `${label}, table`},
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          heads.map(([name, number]) => h('th', {scope: 'col', class: number ? 'num' : ''}, name)),
        ),
      ),
      h('tbody', {}, rows),
    ),
  );
}

/** Terms with a number and a line of text each. @param {[string, any, any][]} rows */
export function facts(rows, cls = '') {
  return h(
    'dl.facts',
    {class: cls},
    rows.map(([term, value, note]) => h('div', {}, h('dt', {}, term), h('dd', {}, value), h('dd', {}, note))),
  );
}
