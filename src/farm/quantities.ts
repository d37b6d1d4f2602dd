// Times and sizes as people write them in farm.yaml: 90s, 30m, 12h, 7d, infinite; 64k, 20m, 1g.

const secondsOf: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const bytesOf: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** The longest lease with an end: 32 bits, of which all ones mean no end (RFC 2132 9.2). */
export const longestSeconds = 0xffff_fffe;

/** Whole seconds, 1 or more; `Infinity` for `infinite`; undefined for anything else. */
export function parseDuration(value: string | number): number | undefined {
  if (value === 'infinite') return Number.POSITIVE_INFINITY;
  const seconds = quantity(value, /^(\d+)\s*([smhdw]?)$/i, secondsOf);
  return seconds !== undefined && seconds <= longestSeconds ? seconds : undefined;
}

/** Whole bytes, 1 or more; `k`, `m`, `g` and `t` are powers of 1024. */
export function parseSize(value: string | number): number | undefined {
  return quantity(value, /^(\d+)\s*([kmgt]?)(?:i?b)?$/i, bytesOf);
}

function quantity(value: string | number, shape: RegExp, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit = ''] = shape.exec(String(value).trim()) ?? [];
  const product = Number(digits) * (units[unit.toLowerCase()] ?? Number.NaN);
  return Number.isSafeInteger(product) && product > 0 ? product : undefined;
}

const durationUnits: readonly (readonly [string, number])[] = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
];

/** `12h`, `90s`, `infinite`: the shortest way to write it. */
export function durationText(seconds: number): string {
  if (seconds === Number.POSITIVE_INFINITY) return 'infinite';
  const [unit, size] = durationUnits.find(([, each]) => seconds > 0 && seconds % each === 0) ?? ['s', 1];
  return `${seconds / size}${unit}`;
}
