/** Can it tell my own states apart? Moments of a camera, put into states, learned and tried by leaving each out. */

import {api} from '../api.js';
import {confirmDialog, openDialog, closeDialog} from '../dialog.js';
import {fill, h, keyed, setText} from '../dom.js';
import {onKey} from '../keys.js';
import {Lesson} from '../lesson.js';
import {lessonResult} from '../lesson-result.js';
import {marked} from '../marked.js';
import {momentNow, momentOfSegment, readMoment, thumbnail} from '../moments.js';
import {note, noteError} from '../notes.js';
import {button, field, options, panel, submit} from '../parts.js';
import {clock, length, plural} from '../words.js';

const LOOK_BACK_S = 1200;
const OFFERED = 24;
const lesson = new Lesson();

export function show({store, parameters, signal}) {
  const cameras = [...store.cameras.values()];
  const wished = parameters.get('with'),
    from = wished && readMoment(wished)?.camera;
  let id = [from, parameters.get('camera')].find(one => store.cameras.has(one)) ?? cameras[0]?.id;
  if (!id) return {title: 'Teach', subtitle: '', actions: null, body: h('div.panel.pad', {}, 'Add a camera first.')};
  const picked = new Set(wished ? [wished] : []);
  const choice = h(
    'select.auto',
    {'aria-label': 'Camera'},
    options(
      cameras.map(camera => [camera.id, camera.name]),
      id,
    ),
  );
  const strip = h('div.thumbs.big', {role: 'group'}),
    trays = h('div'),
    result = h('div'),
    noted = h('span');
  const view = {
    store,
    lesson,
    signal,
    camera: () => id,
    learn: () => learn(),
    forget: taught => forget(taught),
    use: () => use(),
  };

  const drawTrays = () => {
    fill(
      trays,
      lesson.states.map((state, index) => tray(state, index)),
      lesson.states.length
        ? null
        : h('p.pad.soft', {}, 'None yet. Add a state, name it, then mark at least 3 moments of it.'),
    );
    fill(result, lessonResult(view));
  };
  const put = index => {
    if (!lesson.states[index]) return;
    const moments = picked.size ? [...picked] : [momentNow(store, id).moment],
      came = lesson.add(index, moments);
    picked.clear();
    drawMoments();
    drawTrays();
    note(`${came} added to ${lesson.states[index].name}.`);
    /** @type {HTMLElement} */ (trays.querySelector(`[data-mark="${index}"]`))?.focus();
  };
  const tray = (state, index) =>
    h(
      'div.tray',
      {},
      h(
        'div.stack.s',
        {},
        h('h3', {}, state.name),
        h('span.small.soft', {}, plural(state.moments.length, 'example')),
        button(['Mark now ', h('span.key', {}, String(index + 1))], () => put(index), {
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
                drawTrays();
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
                drawTrays();
                note('Removed. Learn again to see what it changes.');
              },
              'aria-label': `Remove example ${k + 1}, ${clock(readMoment(moment)?.start)}${guessed === 'w' ? ', was guessed wrong' : guessed ? ', was unsure' : ''}`,
            },
            thumbnail(moment, {cls: 's'}),
          );
        }),
      ),
    );

  const drawMoments = () => {
    strip.setAttribute('aria-label', `Recent moments of ${store.nameOf(id)}`);
    const own = [...marked.moments.filter(moment => moment.camera === id).reverse(), ...offered];
    if (wished && from === id && !own.some(moment => moment.moment === wished))
      own.unshift({...readMoment(wished), text: ''});
    const rows = own.filter((moment, i) => own.findIndex(one => one.moment === moment.moment) === i).slice(0, OFFERED);
    setText(
      noted,
      rows.length
        ? `${store.nameOf(id)}, last ${length(store.now() - Math.min(...rows.map(row => row.start)))}`
        : store.nameOf(id),
    );
    if (!rows.length) return fill(strip, h('p.soft.small', {data: {key: ''}}, 'Nothing was seen lately.'));
    keyed(
      strip,
      rows,
      row => row.moment,
      row =>
        h(
          'button',
          {
            type: 'button',
            onclick: event => {
              if (!picked.delete(row.moment)) picked.add(row.moment);
              event.currentTarget.setAttribute('aria-pressed', String(picked.has(row.moment)));
            },
            title: row.text || '',
            'aria-label': `${clock(row.start)}, ${row.text || 'not put into words'}`,
          },
          thumbnail(row.moment),
          h('span.small.soft', {}, clock(row.start)),
          h('span.small', {}, row.text || '–'),
        ),
      (one, row) => one.setAttribute('aria-pressed', String(picked.has(row.moment))),
    );
  };
  let offered = [];
  const readMoments = async () => {
    const now = store.now();
    try {
      const {segments} = await api.segments(id, now - LOOK_BACK_S, now, signal);
      const standing = store.cameras.get(id)?.queries ?? [];
      offered = segments
        .filter(segment => !standing.includes(segment.query))
        .reverse()
        .slice(0, OFFERED)
        .map(segment => momentOfSegment(segment, now));
    } catch (error) {
      if (error.name !== 'AbortError') noteError(error);
    }
    const held = offered.length && strip.childElementCount && strip.matches(':hover, :focus-within');
    if (!signal.aborted && !held) drawMoments(); // what somebody is about to press does not move
  };
  const learn = async () => {
    try {
      lesson.learned(await api.teach({name: lessonName(), states: lesson.wanted(), keep: false}));
      note(`Learned in ${lesson.result.seconds.toFixed(1)} s.`);
    } catch (error) {
      noteError(error);
    }
    drawTrays();
  };
  const lessonName = () =>
    lesson.states
      .map(state => state.name)
      .join(', ')
      .slice(0, 80);
  const use = async () => {
    try {
      lesson.learned(await api.teach({name: lessonName(), states: lesson.wanted(), keep: true, cameras: [id]}));
      note(`In use. ${store.nameOf(id)} now reports these states.`);
    } catch (error) {
      noteError(error);
    }
    drawTrays();
  };
  const forget = taught =>
    confirmDialog(
      `Forget ${taught.name}?`,
      'Cameras stop to report these states. What they reported stays.',
      'Forget',
      async () => {
        await api.forget(taught.id).catch(noteError);
        drawTrays();
      },
    );
  choice.addEventListener('change', () => {
    id = choice.value;
    offered = [];
    drawMoments();
    readMoments();
  });
  store.addEventListener(
    'event',
    ({detail}) => {
      if (detail?.camera === id && detail.kind === 'segment' && !strip.matches(':hover, :focus-within')) readMoments();
    },
    {signal},
  );
  for (let key = 1; key <= 9; key++) onKey(String(key), () => put(key - 1), signal);
  drawMoments();
  drawTrays();
  readMoments();
  return {
    title: 'Teach',
    subtitle:
      'Show a few moments of each state; the camera then tells them apart. Nothing is retrained and nothing leaves the device.',
    actions: [choice, button('Add state', () => addState(drawTrays), {ic: 'plus'})],
    body: h(
      'div.two.rev',
      {},
      h(
        'div.stack.l',
        {},
        panel(
          'Moments',
          h(
            'div.pad.stack',
            {},
            strip,
            h(
              'p.small.soft',
              {},
              'Pick moments, then add them to a state. With none picked, the live picture is added.',
            ),
          ),
          {note: noted},
        ),
        panel('States', trays, {
          note: '3 to 20 examples each are enough',
          right: h('span.small.row', {}, h('span.legend'), 'guessed wrong ', h('span.legend.u'), 'unsure'),
        }),
      ),
      panel('How well it tells them apart', result),
    ),
  };
}

/** Name a state first. */
function addState(drawn) {
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
