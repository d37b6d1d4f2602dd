// Values of other agents' JSON, one question a field: each gives the value or throws WireError `shape`.
import { WireError } from '../../base/errors.ts';

export type Fields = ReadonlyMap<string, unknown>;

/** Longest text that is taken where nothing else is said: a path of Linux (PATH_MAX). */
const textMax = 4096;

export function fields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw foreign(what, 'no object');
  return new Map(Object.entries(value));
}

export function whole(from: Fields, name: string, least = 0, most: number = Number.MAX_SAFE_INTEGER): number {
  const value = from.get(name);
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw foreign(name, `no whole number from ${least} to ${most}`);
}

/** A number that is not negative, and an end. */
export function amount(from: Fields, name: string, most: number = Number.MAX_SAFE_INTEGER): number {
  const value = from.get(name);
  if (typeof value === 'number' && value >= 0 && value <= most) return value;
  throw foreign(name, `no number from 0 to ${most}`);
}

/** Also negative. */
export function signed(from: Fields, name: string): number {
  const value = from.get(name);
  if (typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER) return value;
  throw foreign(name, 'no number');
}

export function text(from: Fields, name: string, most: number = textMax): string {
  const value = from.get(name);
  if (typeof value === 'string' && value.length <= most) return value;
  throw foreign(name, `no text of at most ${most}`);
}

export function flag(from: Fields, name: string): boolean {
  const value = from.get(name);
  if (typeof value === 'boolean') return value;
  throw foreign(name, 'neither true nor false');
}

export function oneOf<Word extends string>(from: Fields, name: string, words: readonly Word[]): Word {
  const value = from.get(name);
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw foreign(name, `none of ${words.join(', ')}`);
}

/** At most `most` items, each read by `read`. */
export function list<Item>(from: Fields, name: string, most: number, read: (item: unknown) => Item): Item[] {
  const value = from.get(name);
  if (!Array.isArray(value) || value.length > most) throw foreign(name, `no list of at most ${most}`);
  return value.map(read);
}

export function texts(from: Fields, name: string, most: number, lengthMax: number = textMax): string[] {
  return list(from, name, most, (item) => {
    if (typeof item === 'string' && item.length <= lengthMax) return item;
    throw foreign(name, 'no list of texts');
  });
}

/** Absent, null or what `read` makes of it. */
export function perhaps<Value>(from: Fields, name: string, read: (from: Fields, name: string) => Value): Value | undefined {
  const value = from.get(name);
  return value === undefined || value === null ? undefined : read(from, name);
}

export function foreign(name: string, why: string): WireError {
  return new WireError('shape', 0, `${name}: ${why}`);
}
