/** A moment: a camera, a start and an end. Its id says all of it, so any view can make one. */

import {address} from './api.js';
import {h} from './dom.js';
import {momentId} from './store.js';

/** @typedef {{camera: string, start: number, end: number, text: string, decoded: boolean, score: number | null, unknown: boolean, query: string | null, moment: string}} Moment */

const LONGEST_S = 60; // of a moment made here; a clip longer than this is the timeline's matter
const MARKED_S = 4;

/** @returns {Moment} */
export function momentOfEvent(event) {
  const start = event.at_start,
    end = Math.max(event.at_end, start + 0.5);
  return {
    camera: event.camera,
    start,
    end,
    text: event.text ?? '',
    decoded: Boolean(event.decoded),
    score: event.kind === 'alert' ? event.score : null, // a segment's is its distance to the one before
    unknown: Boolean(event.unknown),
    query: event.query ?? null,
    moment: momentId(event.camera, start, end),
  };
}

/** The last seconds of a camera. @returns {Moment} */
export function momentNow(store, camera) {
  const end = store.windowsOf(camera).points.at(-1)?.at ?? store.now();
  return momentOfEvent({
    camera,
    at_start: end - MARKED_S,
    at_end: end,
    text: store.cameras.get(camera)?.now?.text ?? '',
  });
}

/** A segment as a moment: of a long one, its beginning. @returns {Moment} */
export function momentOfSegment(segment, now) {
  const end = Math.min(segment.end ?? now, segment.start + LONGEST_S);
  return {...segment, end, moment: segment.moment ?? momentId(segment.camera, segment.start, end)};
}

/** Camera, start and end of an id; null where it is none. */
export function readMoment(id) {
  const found = /^([a-z0-9][a-z0-9-]{0,31})@(-?\d+)-(-?\d+)$/.exec(id);
  return found && {camera: found[1], start: Number(found[2]) / 1000, end: Number(found[3]) / 1000, moment: id};
}

/** Its picture as a thumbnail; an empty place where none was kept. */
export function thumbnail(id, {cls = '', alt = '', width = 256} = {}) {
  return withoutBroken(h('img.thumb', {class: cls, src: address.thumbnail(id, width), alt, loading: 'lazy'}));
}

/** The same as large as its place. */
export function still(id, alt) {
  return withoutBroken(h('img', {src: address.thumbnail(id, 640), alt}));
}

function withoutBroken(image) {
  image.addEventListener('error', () => image.removeAttribute('src'));
  return image;
}

/** What stands in a bar for it: kind and words. @returns {[string, string]} */
export function wordsOf(moment) {
  if (moment.unknown) return ['unknown', 'nothing I know'];
  return moment.text ? ['', moment.text] : ['none', 'not put into words'];
}
