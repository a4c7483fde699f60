/** Can it tell my own states apart? Moments of a camera, put into states, learned and tried by leaving each out. */

import {api} from '../api.js';
import {confirmDialog} from '../dialog.js';
import {fill, h} from '../dom.js';
import {onKey} from '../keys.js';
import {Lesson} from '../lesson.js';
import {lessonResult} from '../lesson-result.js';
import {momentNow, readMoment} from '../moments.js';
import {note, noteError} from '../notes.js';
import {button, options, panel} from '../parts.js';
import {RecentMoments} from '../recent-moments.js';
import {addState, trayOf} from '../trays.js';

const lesson = new Lesson();

export function show({store, parameters, signal}) {
  const cameras = [...store.cameras.values()];
  const wished = parameters.get('with'),
    from = wished && readMoment(wished)?.camera;
  let id = [from, parameters.get('camera')].find(one => store.cameras.has(one)) ?? cameras[0]?.id;
  if (!id) return {title: 'Teach', subtitle: '', actions: null, body: h('div.panel.pad', {}, 'Add a camera first.')};
  const choice = h(
    'select.auto',
    {'aria-label': 'Camera'},
    options(
      cameras.map(camera => [camera.id, camera.name]),
      id,
    ),
  );
  const recent = new RecentMoments(store, wished, signal),
    trays = h('div'),
    result = h('div');
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
      lesson.states.map((_, index) => trayOf(lesson, index, {put: () => put(index), changed: drawTrays})),
      lesson.states.length
        ? null
        : h('p.pad.soft', {}, 'None yet. Add a state, name it, then mark at least 3 moments of it.'),
    );
    fill(result, lessonResult(view));
  };
  const put = index => {
    if (!lesson.states[index]) return;
    const picked = recent.take(),
      came = lesson.add(index, picked.length ? picked : [momentNow(store, id).moment]);
    drawTrays();
    note(`${came} added to ${lesson.states[index].name}.`);
    /** @type {HTMLElement} */ (trays.querySelector(`[data-mark="${index}"]`))?.focus();
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
    recent.show(id);
  });
  store.addEventListener(
    'event',
    ({detail}) => {
      if (detail?.camera === id && detail.kind === 'segment' && !recent.isHeld) recent.read();
    },
    {signal},
  );
  for (let key = 1; key <= 9; key++) onKey(String(key), () => put(key - 1), signal);
  recent.show(id);
  drawTrays();
  return {
    title: 'Teach',
    subtitle:
      'Show a few moments of each state; the camera then tells them apart. Nothing is retrained and nothing leaves the device.',
    actions: [choice, button('Add state', () => addState(lesson, drawTrays), {ic: 'plus'})],
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
            recent.element,
            h(
              'p.small.soft',
              {},
              'Pick moments, then add them to a state. With none picked, the live picture is added.',
            ),
          ),
          {note: recent.noted},
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
