// One line of openmosix.map as a value, and what the lines must be to one another. Rules of openMosix's setpe(1) and HOWTO.
import { type Ipv4, ipv4FromNumber, ipv4Number } from '../base/addresses.ts';

/** openMosix's kernel table had room for 256 lines. Ours has no such limit, so more is only worth a warning. */
const openMosixLines = 256;

/** One line. `address` is absent where the line has a host name instead. An alias is a further address of node `id` and makes no node. */
export type MapEntry =
  | { readonly kind: 'range'; readonly line: number; readonly id: number; readonly host: string; readonly address: Ipv4 | undefined; readonly count: number }
  | { readonly kind: 'alias'; readonly line: number; readonly id: number; readonly host: string; readonly address: Ipv4 | undefined };

export interface MapWarning {
  /** 1 = the first line; undefined for the file as a whole. */
  readonly line: number | undefined;
  readonly message: string;
}

export interface MapProblem {
  readonly line: number;
  readonly message: string;
  readonly hint: string;
}

/** What is wrong between the lines: ids or addresses that occur twice, aliases of nobody. */
export function relationProblems(entries: readonly MapEntry[]): MapProblem[] {
  return [...idOverlaps(entries), ...addressOverlaps(entries), ...strayAliases(entries)];
}

function idOverlaps(entries: readonly MapEntry[]): MapProblem[] {
  const spans = entries.flatMap((entry) => (entry.kind === 'range' ? [{ line: entry.line, first: entry.id, last: entry.id + entry.count - 1 }] : []));
  return overlaps(spans).map(([earlier, later]) => ({
    line: later.line,
    message: `${later.first === later.last ? `id ${later.first} overlaps` : `ids ${later.first} to ${later.last} overlap`} line ${earlier.line}`,
    hint: 'each id may occur once; give the nodes of one of the two lines other ids',
  }));
}

function addressOverlaps(entries: readonly MapEntry[]): MapProblem[] {
  const spans = entries.flatMap((entry) => {
    if (entry.address === undefined) return [];
    const first = ipv4Number(entry.address);
    return [{ line: entry.line, first, last: entry.kind === 'range' ? first + entry.count - 1 : first }];
  });
  return overlaps(spans).map(([earlier, later]) => ({
    line: later.line,
    message: `${ipv4FromNumber(later.first)}${later.first === later.last ? '' : ` to ${ipv4FromNumber(later.last)}`} overlaps line ${earlier.line}`,
    hint: 'each address belongs to one node; correct one of the two lines',
  }));
}

interface Span {
  readonly line: number;
  readonly first: number;
  readonly last: number;
}

/** Pairs of overlapping spans, each as (earlier line, later line). */
function overlaps(spans: readonly Span[]): [Span, Span][] {
  const pairs: [Span, Span][] = [];
  let widest: Span | undefined;
  for (const span of [...spans].sort((a, b) => a.first - b.first || a.line - b.line)) {
    if (widest !== undefined && span.first <= widest.last) pairs.push(span.line > widest.line ? [widest, span] : [span, widest]);
    if (widest === undefined || span.last > widest.last) widest = span;
  }
  return pairs;
}

function strayAliases(entries: readonly MapEntry[]): MapProblem[] {
  const nodes = new Set<number>();
  let last = 0;
  for (const entry of [...entries].sort((a, b) => a.id - b.id)) {
    if (entry.kind === 'alias') continue;
    // Overlapping ranges are unrolled once, so a hostile file costs 65,535 steps at most.
    for (let id = Math.max(entry.id, last + 1); id < entry.id + entry.count; id += 1) nodes.add(id);
    last = Math.max(last, entry.id + entry.count - 1);
  }
  return entries.flatMap((entry) => {
    if (entry.kind === 'range' || nodes.has(entry.id)) return [];
    return [{ line: entry.line, message: `ALIAS for node ${entry.id}, which no line defines`, hint: `add a line for node ${entry.id} itself` }];
  });
}

/** What is allowed but probably not meant. */
export function mapWarnings(entries: readonly MapEntry[]): MapWarning[] {
  const found: MapWarning[] = [];
  if (entries.length > openMosixLines) {
    found.push({ line: undefined, message: `${entries.length} lines: openMosix's own tools stop at ${openMosixLines}` });
  }
  for (const entry of entries) {
    if (entry.address?.startsWith('127.')) found.push({ line: entry.line, message: `${entry.address} can be reached from its own machine only` });
  }
  return found;
}
