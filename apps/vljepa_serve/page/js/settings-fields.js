/** The fields of the configuration: which there are, what they allow, and what somebody changed. */

import {h} from './dom.js';
import {field, fieldError, panel} from './parts.js';
import {joined, list} from './words.js';

/**
 * A number of the configuration.
 * @typedef {{section: string, key: string, label: string, hint: string, least: number, most: number, none?: string}} NumberField
 *   `none`: what it means where it is left empty
 * @type {NumberField[]}
 */
const WRITTEN = [
  {
    section: 'select',
    key: 'threshold',
    label: 'Threshold',
    hint: 'How far the meaning may move before it is decoded again, as cosine distance; empty: as the model sees it',
    least: 0.0001,
    most: 2,
    none: 'as the model sees it',
  },
  {
    section: 'select',
    key: 'min_gap_s',
    label: 'Shortest pause, s',
    hint: 'between two decodings',
    least: 0,
    most: 3600,
  },
  {
    section: 'select',
    key: 'per_minute',
    label: 'Most a minute',
    hint: 'decodings that a camera may use',
    least: 0.01,
    most: 6000,
    none: 'no limit',
  },
  {
    section: 'model',
    key: 'stride_s',
    label: 'A window every, s',
    hint: 'Longer costs less and notices later',
    least: 0.05,
    most: 3600,
  },
  {
    section: 'model',
    key: 'carry_s',
    label: 'A still picture is encoded every, s',
    hint: '0 encodes every window',
    least: 0,
    most: 3600,
  },
];
/** @type {NumberField[]} */
const KEPT = [
  {
    section: 'log',
    key: 'keep_days',
    label: 'Meaning and words, days',
    hint: 'Left empty, they stay until space is needed',
    least: 1,
    most: 3650,
    none: 'no limit',
  },
  {
    section: 'log',
    key: 'keep_gb',
    label: 'Never more than, GB',
    hint: 'the oldest goes first',
    least: 0.1,
    most: 100000,
    none: 'no limit',
  },
  {
    section: 'log',
    key: 'thin_days',
    label: 'Thinned after, days',
    hint: 'then one window is kept of those in a row that say the same',
    least: 1,
    most: 3650,
    none: 'no limit',
  },
  {
    section: 'log',
    key: 'video_hours',
    label: 'Video, hours',
    hint: 'needed for clips and new questions about the past',
    least: 0,
    most: 8760,
  },
  {
    section: 'log',
    key: 'video_gb',
    label: 'Video, at most GB',
    hint: 'of all cameras together',
    least: 0.1,
    most: 100000,
  },
];

function within({least, most, none}, text) {
  if (text === '') return none ? null : undefined;
  const value = Number(text);
  return Number.isFinite(value) && value >= least && value <= most ? value : undefined;
}

/**
 * @param {any} config  as the server gave it
 * @returns {{panels: Element[], change: () => any, wrong: () => boolean, control: (name: string) => any}}
 *   `change` is what is to be sent, by section; `wrong` whether a value cannot be used
 */
export function settingsFields(config) {
  const controls = new Map(),
    readers = [];
  const add = (section, key, control, read) => {
    controls.set(key, control).set(`${section}.${key}`, control);
    readers.push({section, key, read, before: JSON.stringify(read())});
    return control;
  };
  const number = spec => {
    const now = config[spec.section]?.[spec.key],
      control = h('input', {
        type: 'number',
        step: 'any',
        inputmode: 'decimal',
        value: now ?? '',
        placeholder: spec.none ?? '',
      });
    control.addEventListener('input', () =>
      fieldError(control, within(spec, control.value) === undefined ? `Between ${spec.least} and ${spec.most}` : ''),
    );
    add(spec.section, spec.key, control, () => within(spec, control.validity.badInput ? 'x' : control.value));
    return field(spec.label, control, spec.hint);
  };
  const model = config.model ?? {};
  const queries = h('input', {
    value: joined(model.queries ?? []),
    maxlength: 1000,
    autocomplete: 'off',
    placeholder: 'the usual caption',
  });
  add('model', 'queries', queries, () => list(queries.value));
  const panels = [
    panel(
      'When to write words',
      h(
        'div.pad.form.wide',
        {},
        WRITTEN.map(number),
        field('Asked of every window', queries, 'Prompts, separated by commas; empty asks for a sentence'),
      ),
    ),
    panel('How long things are kept', h('div.pad.form.wide', {}, KEPT.map(number))),
    panel('Where events go', sinkFields(config, add)),
  ];
  const wrong = () => readers.some(({read, before}) => read() === undefined && before !== undefined);
  const change = () => {
    const found = {};
    for (const {section, key, read, before} of readers) {
      const now = read();
      if (now === undefined || JSON.stringify(now) === before) continue;
      if (key === '') found[section] = now;
      else (found[section] ??= {})[key] = now;
    }
    return found;
  };
  return {panels, change, wrong, control: name => controls.get(name)};
}

/** Brokers and webhooks: an address each; what else a sink takes stays as it is in the file. */
function sinkFields(config, add) {
  const sinks = config.sink ?? [],
    address = kind => sinks.find(sink => sink.kind === kind)?.address ?? '';
  const mqtt = h('input', {
      value: address('mqtt'),
      autocomplete: 'off',
      placeholder: 'mqtt://10.0.4.2',
      maxlength: 2000,
    }),
    hook = h('input', {
      value: address('webhook'),
      autocomplete: 'off',
      placeholder: 'https://hall.example/hook',
      maxlength: 2000,
    });
  const told = (kind, text) => {
    const before = sinks.filter(sink => sink.kind === kind),
      [first, ...others] = before;
    if (text === (first?.address ?? '')) return before;
    return text ? [{...first, kind, address: text}, ...others] : others;
  };
  add('sink', '', mqtt, () => [
    ...sinks.filter(sink => !['mqtt', 'webhook'].includes(sink.kind)),
    ...told('mqtt', mqtt.value.trim()),
    ...told('webhook', hook.value.trim()),
  ]);
  return h(
    'div.pad.form.wide',
    {},
    field('MQTT broker', mqtt, 'Home Assistant finds sentences, states, alerts and counts by itself'),
    field('Webhook', hook, 'Events in order, with an id each'),
  );
}
