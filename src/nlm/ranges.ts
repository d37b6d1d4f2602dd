// Byte ranges of one owner in one file: what POSIX fcntl(2) says of setting and clearing them, splitting and joining included. Pure.

/** Both ends are in it. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

export interface HeldRange extends Range {
  readonly exclusive: boolean;
}

/** The last byte that a file can have (off_t is signed); a range to the end of the file ends here. */
export const lastByte = 0x7fff_ffff_ffff_ffffn;

/**
 * The range of NLM's offset and length; undefined (FBIG) if it begins where no file has a byte. Length 0 is to the end, and so is any that goes
 * beyond the last byte: 2^64-1 and the like are in use for it.
 */
export function rangeOf({ offset, length }: { readonly offset: bigint; readonly length: bigint }): Range | undefined {
  if (offset > lastByte) return undefined;
  const end = offset + length - 1n;
  return { start: offset, end: length === 0n || end > lastByte ? lastByte : end };
}

/** The inverse, for a client that is told of a range. */
export function extentOf({ start, end }: Range): { readonly offset: bigint; readonly length: bigint } {
  return { offset: start, length: end === lastByte ? 0n : end - start + 1n };
}

export function overlap(one: Range, other: Range): boolean {
  return one.start <= other.end && other.start <= one.end;
}

export function sameRange(one: Range, other: Range): boolean {
  return one.start === other.start && one.end === other.end;
}

/** Index of the first range that ends at `byte` or later. `held` is in order and without overlaps, as all here. */
function firstEndingAt(held: readonly HeldRange[], byte: bigint): number {
  let low = 0;
  let high = held.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const range = held[middle];
    if (range !== undefined && range.end < byte) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first of `held` that another owner's `range` would conflict with: two shared ones never do. */
export function conflict(held: readonly HeldRange[], range: Range, exclusive: boolean): HeldRange | undefined {
  for (let index = firstEndingAt(held, range.start); index < held.length; index += 1) {
    const other = held[index];
    if (other === undefined || other.start > range.end) return undefined;
    if (exclusive || other.exclusive) return other;
  }
  return undefined;
}

/** The parts of `held` that are in `range`. */
export function within(held: readonly HeldRange[], range: Range): readonly HeldRange[] {
  const parts: HeldRange[] = [];
  for (let index = firstEndingAt(held, range.start); index < held.length; index += 1) {
    const part = held[index];
    if (part === undefined || part.start > range.end) break;
    parts.push({
      exclusive: part.exclusive,
      start: most(part.start, range.start),
      end: least(part.end, range.end),
    });
  }
  return parts;
}

/** `held` with `range` as `kind`, whatever it was before; undefined clears it. What touches and is of the same kind becomes one. */
export function withRange(held: readonly HeldRange[], range: Range, kind: 'shared' | 'exclusive' | undefined): readonly HeldRange[] {
  const from = firstEndingAt(held, range.start - 1n);
  let to = from;
  for (let other = held[to]; other !== undefined && other.start <= range.end + 1n; other = held[to]) to += 1;
  const touching = held.slice(from, to);
  const exclusive = kind === 'exclusive';
  const joins = (other: HeldRange) => kind !== undefined && other.exclusive === exclusive;
  const first = touching[0];
  const last = touching.at(-1);
  const set = {
    start: first !== undefined && joins(first) && first.start < range.start ? first.start : range.start,
    end: last !== undefined && joins(last) && last.end > range.end ? last.end : range.end,
    exclusive,
  };
  const rest = touching.filter((other) => !joins(other));
  const before = rest.flatMap((other) => (other.start < range.start ? [{ ...other, end: least(other.end, range.start - 1n) }] : []));
  const after = rest.flatMap((other) => (other.end > range.end ? [{ ...other, start: most(other.start, range.end + 1n) }] : []));
  return [...held.slice(0, from), ...before, ...(kind === undefined ? [] : [set]), ...after, ...held.slice(to)];
}

function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}

function most(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}
