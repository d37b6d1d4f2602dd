// Host names written as ranges: n[01-20,33] <-> n01, n02, ... As in ClusterShell's nodeset(1) and pdsh(1).
import { FarmError } from '../base/errors.ts';

/** All node ids there are; a longer list is a slip of the finger. */
const namesMax = 65_536;

/** The names of `rack[1-2]n[01-04]`, in order; a name without brackets is itself. Throws `nodes.syntax`. */
export function expandNames(pattern: string): readonly string[] {
  const open = pattern.indexOf('[');
  const close = pattern.indexOf(']');
  if (open < 0 && close < 0) return [pattern];
  if (open < 0 || close < open) throw syntax(pattern, 'a bracket is without its other half');
  const before = pattern.slice(0, open);
  const numbers = pattern
    .slice(open + 1, close)
    .split(',')
    .flatMap((part) => numbersOf(part.trim(), pattern));
  const rest = expandNames(pattern.slice(close + 1));
  const count = numbers.length * rest.length;
  if (count > namesMax) throw syntax(pattern, `it means ${count} names, more than a farm can have`);
  return numbers.flatMap((number) => rest.map((after) => `${before}${number}${after}`));
}

function numbersOf(part: string, pattern: string): readonly string[] {
  const [, first, last = first, step = '1'] = /^(\d{1,9})(?:-(\d{1,9})(?:\/(\d{1,9}))?)?$/.exec(part) ?? [];
  if (first === undefined || last === undefined) throw syntax(pattern, `"${part}" is neither a number nor a range`);
  const width = first.startsWith('0') ? first.length : 1;
  const [from, to, by] = [Number(first), Number(last), Number(step)];
  if (from > to) throw syntax(pattern, `${part} goes backwards`);
  if (by === 0) throw syntax(pattern, `${part} has a step of 0`);
  if ((to - from) / by >= namesMax) throw syntax(pattern, `${part} is longer than a farm can be`);
  const numbers: string[] = [];
  for (let number = from; number <= to; number += by) numbers.push(String(number).padStart(width, '0'));
  return numbers;
}

function syntax(pattern: string, why: string): FarmError {
  return new FarmError('nodes.syntax', `${pattern}: ${why}`, 'write ranges as n[1-20], n[01-20,33] or n[1-99/2]');
}

interface Numbered {
  readonly name: string;
  readonly stem: string;
  /** As it is written; empty for a name that does not end in a number. */
  readonly digits: string;
}

/** The shortest list of ranges for `names`: `n[1-3,5],server`. Each part between commas outside brackets is expanded by `expandNames`. */
export function foldNames(names: Iterable<string>): string {
  const numbered = [...new Set(names)].map(numberedName);
  const padded = new Set(numbered.filter(({ digits }) => /^0\d/.test(digits)).map(widthKey));
  const groups = new Map<string, Numbered[]>();
  for (const name of numbered) {
    // Of n08, n9 and n10 the first and the last are a range, and n9 is another name.
    const key = padded.has(widthKey(name)) ? widthKey(name) : name.digits === '' ? `name ${name.name}` : `stem ${name.stem}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [name]);
    else group.push(name);
  }
  return [...groups.values()].map(foldGroup).join(',');
}

function numberedName(name: string): Numbered {
  const [, stem = name, digits = ''] = /^(.*?)(\d{1,9})$/s.exec(name) ?? [];
  return { name, stem, digits };
}

function widthKey({ stem, digits }: Numbered): string {
  return `width ${digits.length} ${stem}`;
}

function foldGroup(names: readonly Numbered[]): string {
  const [first] = names;
  if (first === undefined) return '';
  if (names.length === 1) return first.name;
  const ranges: { from: string; to: string }[] = [];
  for (const { digits } of [...names].sort((a, b) => Number(a.digits) - Number(b.digits))) {
    const current = ranges.at(-1);
    if (current !== undefined && Number(digits) === Number(current.to) + 1) current.to = digits;
    else ranges.push({ from: digits, to: digits });
  }
  return `${first.stem}[${ranges.map(({ from, to }) => (from === to ? from : `${from}-${to}`)).join(',')}]`;
}
