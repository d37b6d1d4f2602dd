// The map grammars that came after openMosix's: MOSIX2's `host count [flags]`, whose nodes are numbered in the order of the file. Facts sheet 1.5.
import { FarmError } from '../base/errors.ts';
import { formatEntries, nodeIdMax, parseMap } from './map.ts';
import type { MapWarning } from './map-entry.ts';

export interface ImportedMap {
  /** Canonical text in openMosix's grammar. */
  readonly text: string;
  readonly grammar: 'openmosix' | 'mosix2';
  /** What the other grammar said and openMosix's cannot. */
  readonly warnings: readonly MapWarning[];
}

/** A MOSIX2 line has at most these two letters. */
const flagMeanings: Readonly<Record<string, string>> = { o: 'outsider', p: 'proximate' };

/**
 * Reads a map of openMosix, MOSIX 1 (one grammar) or MOSIX2 and gives it as openMosix's. Which it is says the first entry: three fields that begin with a
 * number, or not. Throws `FarmError` `map.invalid`; `map.grid` for the grids of MOSIX2, which have no counterpart. `source` is for messages.
 */
export function importMap(text: string, source = 'the map'): ImportedMap {
  const lines = text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((raw, index) => ({ line: index + 1, words: wordsOf(raw) }))
    .filter(({ words }) => words.length > 0);
  const grid = lines.find(({ words: [word = ''] }) => /^(cluster|part|friends?|zone|default_zone)\s*=|^(friends?|part|zone|cluster)$/.test(word));
  if (grid !== undefined) {
    throw new FarmError(
      'map.grid',
      `${source} line ${grid.line} is of a MOSIX grid map: clusters of clusters`,
      'a farm is one cluster: take the hosts of its "part=" lines, each as a line "HOST COUNT"',
    );
  }
  const isMosix2 = lines.some(({ words }) => words.length === 2 || /^[op]{1,2}$/.test(words[2] ?? ''));
  const isOpenMosix = lines.some(({ words: [first = '', , third = ''] }) => /^\d+$/.test(first) && /^(\d+|alias)$/i.test(third));
  if (!isMosix2 || isOpenMosix) {
    const { entries, warnings } = parseMap(text, source);
    return { text: formatEntries(entries), grammar: 'openmosix', warnings };
  }
  return fromMosix2(lines, source);
}

interface Line {
  readonly line: number;
  readonly words: readonly string[];
}

function wordsOf(raw: string): readonly string[] {
  const text = raw.replace(/#.*/, '').trim();
  return text === '' ? [] : text.split(/\s+/);
}

function fromMosix2(lines: readonly Line[], source: string): ImportedMap {
  const warnings: MapWarning[] = [];
  const written: string[] = [];
  let id = 1;
  for (const { line, words } of lines) {
    const [host = '', countWord = '', flags = '', more] = words;
    const count = /^\d{1,5}$/.test(countWord) ? Number(countWord) : 0;
    if (more !== undefined || count < 1 || !/^[op]{0,2}$/.test(flags)) {
      throw new FarmError('map.invalid', `${source} line ${line} is not "HOST COUNT [FLAGS]"`, 'e.g. "10.11.0.4 8" or "10.11.0.4 8 op"');
    }
    if (id + count - 1 > nodeIdMax) throw new FarmError('map.invalid', `${source} line ${line}: its nodes end at ${id + count - 1}`, `ids end at ${nodeIdMax}`);
    for (const letter of flags) warnings.push({ line, message: `${host} is ${flagMeanings[letter]}, which openmosix.map cannot say` });
    written.push(`${id} ${host} ${count}`);
    id += count;
  }
  const { entries, warnings: own } = parseMap(written.map((line) => `${line}\n`).join(''), source);
  return { text: formatEntries(entries), grammar: 'mosix2', warnings: [...warnings, ...own.map(({ message }) => ({ line: undefined, message }))] };
}
