/** Numbers of the device over the last minutes, kept from the start so that curves are there when somebody looks. */

const KEPT = 60; // of each number, one every 5 s
const NUMBERS = ['rate', 'cpu_share', 'memory_mb', 'temperature_c', 'power_w'];

export const history = Object.fromEntries(NUMBERS.map(name => [name, /** @type {number[]} */ ([])]));

/** Take what the server told of the device. */
export function remember(system) {
  const rate = Object.values(system.cameras ?? {}).reduce((sum, stats) => sum + (stats?.rate ?? 0), 0);
  for (const name of NUMBERS) {
    const value = name === 'rate' ? rate : system[name];
    if (typeof value === 'number' && Number.isFinite(value)) history[name].push(value);
    if (history[name].length > KEPT) history[name].shift();
  }
}
