/** No camera yet: three ways to the first one. Part of the live view. */

import {api} from '../api.js';
import {devicesOf} from '../camera-form.js';
import {fill, h, s} from '../dom.js';
import {note} from '../notes.js';
import {button, field, showRefusal, submit} from '../parts.js';

export function welcome({store, signal}) {
  const connect = async (form, camera) => {
    const place = form.querySelector('[role=alert]');
    fill(place);
    try {
      const made = await api.addCamera(camera);
      store.answered(made);
      note('Connecting. The first sentence comes when the meaning has settled.');
    } catch (error) {
      showRefusal(form, place, error);
    }
  };
  const network = h(
    'form.panel.pad.stack',
    {},
    h('h3', {}, 'A network camera'),
    field(
      'Address',
      h('input', {
        name: 'source',
        placeholder: 'rtsp://user:password@10.0.4.21/stream1',
        autocomplete: 'off',
        required: true,
        maxlength: 1000,
      }),
      'RTSP or HTTP. The password is never shown again.',
    ),
    h('div', {role: 'alert'}),
    h('div', {}, submit('Connect')),
  );
  network.addEventListener('submit', event => {
    event.preventDefault();
    const source = network.elements.source.value.trim();
    connect(network, {name: nameFor(source), source});
  });
  const plugged = h('div.stack', {role: 'status'});
  const device = h(
    'form.panel.pad.stack',
    {},
    h('h3', {}, 'A camera on this device'),
    plugged,
    field(
      'Device or file',
      h('input', {name: 'source', value: '/dev/video0', autocomplete: 'off', required: true, maxlength: 1000}),
      'A USB or laptop camera of the machine that runs vljepa, or a video file as if it were one.',
    ),
    h('div', {role: 'alert'}),
    h('div', {}, submit('Use it')),
  );
  device.addEventListener('submit', event => {
    event.preventDefault();
    const source = device.elements.source.value.trim();
    connect(device, {name: nameFor(source), source});
  });
  devicesOf(signal).then(found =>
    fill(
      plugged,
      found.map(one =>
        h(
          'p.row.between',
          {},
          h('span.soft', {}, `Found ${one.name}, ${one.source}`),
          button(`Use ${one.source}`, () => connect(device, {name: one.name, source: one.source})),
        ),
      ),
    ),
  );
  const demo = h(
    'form.panel.pad.stack',
    {},
    h('h3', {}, 'No camera at hand'),
    h(
      'p.soft',
      {},
      'A drawn stream whose truth is known. The shipped model was taught on it, so it shows what to expect.',
    ),
    h('div', {role: 'alert'}),
    h(
      'div',
      {},
      button('Watch the demo stream', () => connect(demo, {name: 'Demo', source: store.demo, loop: true})),
    ),
  );
  return h(
    'div.empty',
    {},
    h(
      'div.prose.stack',
      {},
      h('h2', {}, 'Point it at a camera'),
      h(
        'p.soft',
        {},
        'From then on it says what it sees whenever the meaning changes, and remembers everything else without words, so that you can search, ask and set alerts later. Pictures stay on this device.',
      ),
    ),
    h('div.choice', {}, network, device, store.demo ? demo : null),
    drawing(),
  );
}

/** A name until somebody gives a better one. */
export function nameFor(source) {
  try {
    const host = new URL(source).hostname;
    if (host) return host;
  } catch {
    /* no URL */
  }
  return (
    source
      .split(/[\\/]/)
      .filter(Boolean)
      .pop()
      ?.replace(/\.\w+$/, '') || 'Camera'
  );
}

/** The idea as a picture: meanings that hold, a tick where words are written, dots where none are. */
function drawing() {
  const starts = [0, 190, 330, 560, 700, 880];
  return h(
    'div',
    {'aria-hidden': 'true'},
    s(
      'svg',
      {viewBox: '0 0 1000 96', width: '100%'},
      starts.map((x, i) => [
        s('rect', {x: x + 2, y: 0, width: (starts[i + 1] ?? 1000) - x - 6, height: 46, fill: 'var(--sunken)'}),
        s('rect', {x: x + 2, y: 0, width: 3, height: 46, fill: 'var(--line)'}),
        s('rect', {x: x + 44, y: 62, width: 3, height: 18, fill: 'var(--edge)'}),
      ]),
      Array.from({length: 50}, (_, i) => s('circle', {cx: i * 20 + 10, cy: 71, r: 1.6, fill: 'var(--line)'})),
    ),
  );
}
