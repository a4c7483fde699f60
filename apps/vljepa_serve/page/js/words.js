/** How times, lengths and numbers are written. Knows nothing of cameras. */

const two = number => String(Math.floor(number)).padStart(2, '0');

/** `14:32:08` of seconds since 1970, in the zone of whoever looks. */
export function clock(at, seconds = true) {
  if (!Number.isFinite(at)) return '–';
  const date = new Date(at * 1000);
  const short = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return seconds ? `${short}:${two(date.getSeconds())}` : short;
}

/** `Thu 16 Oct`. */
export function day(at, weekday = 'short') {
  return new Date(at * 1000).toLocaleDateString('en-GB', {
    weekday,
    day: 'numeric',
    month: weekday === 'long' ? 'long' : 'short',
  });
}

/** `2026-10-16` as the server takes days. */
export function isoDay(at) {
  const date = new Date(at * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** `today`, `yesterday` or a date. */
export function relativeDay(at, now) {
  if (isoDay(at) === isoDay(now)) return 'today';
  return isoDay(at) === isoDay(now - 86400) ? 'yesterday' : day(at);
}

/** `0:06`, `1:02:03` of a number of seconds. */
export function length(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (!Number.isFinite(whole)) return '–';
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  return `${Math.floor(whole / 3600)}:${two((whole / 60) % 60)}:${two(whole % 60)}`;
}

/** `6 h 32 min`, for how long something has run. */
export function longLength(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** `23,528` */
export function count(number) {
  return Number.isFinite(number) ? Math.round(number).toLocaleString('en-GB') : '–';
}

/** A number with decimals, or a dash where there is none. */
export function fixed(number, decimals = 1) {
  return typeof number === 'number' && Number.isFinite(number) ? number.toFixed(decimals) : '–';
}

/** Share of windows that needed no words, as `94.1`. */
export function savedShare(stats) {
  return stats && stats.windows > 0 ? fixed(100 * Math.max(0, 1 - stats.decodings / stats.windows)) : '–';
}

/** `3 moments`, `1 moment` */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** What somebody typed between commas, or between semicolons where a part holds a comma. */
export function list(text) {
  return text
    .split(text.includes(';') ? ';' : ',')
    .map(part => part.trim())
    .filter(Boolean);
}

/** The same backwards. @param {string[]} parts */
export function joined(parts) {
  return parts.some(part => part.includes(',')) ? parts.map(part => `${part};`).join(' ') : parts.join(', ');
}
