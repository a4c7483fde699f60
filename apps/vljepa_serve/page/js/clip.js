/** A clip: video with its own scrubber, so that the mark where it begins or fired lies on it. Looped. */

import {fill, h, icon, setText} from './dom.js';
import {clock, length} from './words.js';

/**
 * @param {{src: string, from: number, mark: number, cue: string, label: string, poster?: string, missing?: string, signal: AbortSignal}} clip
 *   `from` and `mark` are wall-clock times: of the first picture, and of what the clip is about
 * @returns {HTMLElement}
 */
export function clipPlayer({
  src,
  from,
  mark,
  cue,
  label,
  poster,
  missing = 'The video of this moment is not kept any more.',
  signal,
}) {
  const video = h('video', {
    muted: true,
    loop: true,
    playsinline: true,
    preload: 'metadata',
    poster,
    'aria-label': label,
  });
  video.muted = true;
  const tag = h('span.tag', {}, clock(from)),
    position = h('span.small.soft.num', {}, '0:00 / 0:00');
  const slider = h('input', {
    type: 'range',
    min: 0,
    max: 1,
    step: 0.05,
    value: 0,
    'aria-label': 'Position in the clip',
    disabled: true,
  });
  const cueMark = h('i.cue', {hidden: true}, cue);
  const play = h('button.btn', {type: 'button', 'aria-label': 'Play clip', disabled: true}, icon('play'));
  const box = h(
    'figure.stack',
    {},
    h('div.pic', {}, video, tag),
    h('div.row.nowrap', {}, play, h('span.grow.clip', {}, slider, cueMark), position),
  );

  const draw = () => {
    const whole = Number.isFinite(video.duration) ? video.duration : 0;
    if (document.activeElement !== slider || !video.paused) slider.value = String(video.currentTime);
    slider.setAttribute('aria-valuetext', `${video.currentTime.toFixed(0)} of ${whole.toFixed(0)} seconds`);
    setText(tag, clock(from + video.currentTime));
    setText(position, `${length(video.currentTime)} / ${length(whole)}`);
  };
  const follow = () => {
    draw();
    if (!video.paused && !signal.aborted) requestAnimationFrame(follow);
  };
  video.addEventListener('loadedmetadata', () => {
    const whole = video.duration,
      at = Math.max(0, Math.min(whole, mark - from));
    slider.max = String(whole);
    slider.disabled = play.disabled = false;
    cueMark.style.left = `calc(.5rem + (100% - 1rem) * ${(whole ? at / whole : 0).toFixed(3)})`;
    cueMark.hidden = false;
    video.currentTime = at;
  });
  for (const [name, act, shown] of [
    ['play', 'Pause clip', 'pause'],
    ['pause', 'Play clip', 'play'],
  ]) {
    video.addEventListener(name, () => {
      play.setAttribute('aria-label', act);
      fill(play, icon(shown));
      follow();
    });
  }
  for (const name of ['seeked', 'timeupdate']) video.addEventListener(name, draw);
  video.addEventListener('error', () => {
    const still = poster ? h('img', {src: poster, alt: label}) : null;
    fill(
      box,
      h(
        'div.pic',
        {},
        still,
        still ? h('span.tag', {}, `${clock(mark)}, ${missing}`) : h('div.over.full', {}, h('span.small', {}, missing)),
      ),
    );
  });
  play.addEventListener('click', () => (video.paused ? video.play() : video.pause()));
  slider.addEventListener('input', () => {
    video.currentTime = Number(slider.value);
  });
  signal.addEventListener('abort', () => {
    video.pause();
    video.removeAttribute('src');
    video.load();
  });
  video.src = src;
  return box;
}
