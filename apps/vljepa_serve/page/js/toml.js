/** A configuration as TOML, for reading; the server writes the file itself and keeps its comments. */

const isTable = value => value !== null && typeof value === 'object' && !Array.isArray(value);
const isTables = value => Array.isArray(value) && value.length > 0 && value.every(isTable);
const isEmpty = value =>
  value === null ||
  value === undefined ||
  (Array.isArray(value) && !value.length) ||
  (isTable(value) && !Object.keys(value).length);

function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  return isTable(value)
    ? `{${Object.entries(value)
        .map(([key, one]) => `${key} = ${written(one)}`)
        .join(', ')}}`
    : JSON.stringify(value);
}

const lines = table =>
  Object.entries(table)
    .filter(([, value]) => !isEmpty(value))
    .map(([key, value]) => `${key} = ${written(value)}`);

/** @param {Record<string, any>} config @returns {string} */
export function toml(config) {
  const parts = [];
  for (const [name, value] of Object.entries(config)) {
    if (isTables(value)) parts.push(...value.map(one => [`[[${name}]]`, ...lines(one)].join('\n')));
    else if (isTable(value) && lines(value).length) parts.push([`[${name}]`, ...lines(value)].join('\n'));
  }
  return parts.join('\n\n');
}
