// openmosix.map, the table of node ids and addresses that all nodes share: text <-> entries. Grammar of openMosix's setpe(1) and HOWTO.
import { type Ipv4, ipv4Number, parseIpv4 } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { type MapEntry, type MapProblem, type MapWarning, mapWarnings, relationProblems } from './map-entry.ts';

/** Where openMosix looked, newest name first; the first file that exists is the map. */
export const mapPaths: readonly string[] = ['/etc/openmosix.map', '/etc/mosix.map', '/etc/hpc.map'];

/** Node ids are 1..65535: 16 bits in every program of the openMosix family. */
export const nodeIdMax = 65535;

/** 65,535 lines of an id, a host name of ordinary length and a count; a larger file is no map. */
export const mapBytesMax = 4 * 1024 * 1024;

/** How many bad lines an error quotes: a screenful, not a whole file in the wrong format. */
const quotedLines = 8;

export interface ParsedMap {
  /** In the order of the file. */
  readonly entries: readonly MapEntry[];
  readonly warnings: readonly MapWarning[];
}

/** Reads a map. Throws `FarmError` `map.invalid` that names every bad line (the first eight) and says how to mend the first. `source` is for messages. */
export function parseMap(text: string, source = 'openmosix.map'): ParsedMap {
  if (text.length > mapBytesMax) {
    throw new FarmError('map.invalid', `${source} has ${text.length} characters and is no openmosix.map`, 'name the right file');
  }
  const entries: MapEntry[] = [];
  const problems: MapProblem[] = [];
  for (const [index, raw] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const fields = raw.trim().split(/[ \t]+/);
    const comment = fields.findIndex((field) => field.startsWith('#'));
    const words = comment === -1 ? fields : fields.slice(0, comment);
    if (words.length === 0 || words[0] === '') continue;
    const read = parseEntry(words, index + 1);
    if ('hint' in read) problems.push(read);
    else entries.push(read);
  }
  const all = [...problems, ...relationProblems(entries)].sort((a, b) => a.line - b.line);
  const [first] = all;
  if (first !== undefined) {
    const quoted = all.slice(0, quotedLines).map((problem) => `${source} line ${problem.line}: ${problem.message}`);
    if (all.length > quotedLines) quoted.push(`and ${all.length - quotedLines} more`);
    throw new FarmError('map.invalid', quoted.join('\n  '), first.hint);
  }
  return { entries, warnings: mapWarnings(entries) };
}

function parseEntry(words: readonly string[], line: number): MapEntry | MapProblem {
  const [idWord = '', host = '', countWord = ''] = words;
  if (words.length !== 3) {
    const count = words.length === 1 ? '1 field' : `${words.length} fields`;
    return { line, message: `"${printable(words.join(' '))}" has ${count}, not 3`, hint: 'write ID ADDRESS COUNT, e.g. "4 10.11.0.4 1"' };
  }
  const id = decimal(idWord);
  if (id === undefined || id < 1 || id > nodeIdMax) {
    return { line, message: `"${printable(idWord)}" is not a node id`, hint: `node ids are the numbers 1 to ${nodeIdMax}` };
  }
  const address = parseIpv4(host);
  const hostProblem = address === undefined ? nameProblem(host) : addressProblem(address);
  if (hostProblem !== undefined) return { line, ...hostProblem };
  const count = /^alias$/i.test(countWord) ? 0 : decimal(countWord);
  if (count === undefined) {
    return { line, message: `"${printable(countWord)}" is not a count`, hint: 'the third field is how many nodes the line stands for, or ALIAS' };
  }
  if (count === 0) return { kind: 'alias', line, id, host, address };
  const problem = rangeProblem(id, address, host, count);
  return problem === undefined ? { kind: 'range', line, id, host, address, count } : { line, ...problem };
}

function decimal(word: string): number | undefined {
  return /^\d{1,10}$/.test(word) ? Number(word) : undefined;
}

/** What a message may quote of a line: short, and nothing that moves a terminal's cursor. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 60);
}

/** RFC 1123 2.1 names; digits and dots alone were meant as an address. */
function nameProblem(host: string): Omit<MapProblem, 'line'> | undefined {
  const quoted = printable(host);
  if (/^[\d.]+$/.test(host)) {
    return { message: `"${quoted}" is not an IPv4 address`, hint: 'write four numbers from 0 to 255 without leading zeros, e.g. 10.11.0.7' };
  }
  if (host.includes(':')) {
    return { message: `"${quoted}" is not an IPv4 address or a host name`, hint: 'the map holds IPv4 addresses; write the one that this node has' };
  }
  const labels = host.split('.');
  if (host.length <= 253 && labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))) return undefined;
  return { message: `"${quoted}" is neither an IPv4 address nor a host name`, hint: 'a host name has letters, digits, hyphens and dots only' };
}

function addressProblem(address: Ipv4): Omit<MapProblem, 'line'> | undefined {
  const first = ipv4Number(address) >>> 24;
  if (first !== 0 && first < 224) return undefined;
  return { message: `${address} cannot be a machine's address`, hint: 'write the address of the node in the cluster network' };
}

function rangeProblem(id: number, address: Ipv4 | undefined, host: string, count: number): Omit<MapProblem, 'line'> | undefined {
  if (id + count - 1 > nodeIdMax) {
    return {
      message: `${count} ids from ${id} on reach ${id + count - 1}`,
      hint: `ids end at ${nodeIdMax}: at most ${nodeIdMax - id + 1} fit after ${id - 1}`,
    };
  }
  if (count === 1) return undefined;
  if (address === undefined) {
    return { message: `a range of ${count} nodes begins at the name ${host}`, hint: 'a line for more than one node needs the address of its first node' };
  }
  const last = ipv4Number(address) + count - 1;
  if (last >= 2 ** 32 || last >>> 24 >= 224) {
    return { message: `${count} addresses from ${address} on leave the unicast addresses`, hint: 'make the range shorter' };
  }
  return undefined;
}

/**
 * The canonical text of a map: lines by id, a node's aliases behind it by address, one blank between fields, ranges that continue each other folded,
 * comments gone. What two maps have in common reads the same, and parsing and formatting it again changes nothing.
 */
export function formatEntries(entries: readonly MapEntry[]): string {
  const ranges = entries.flatMap((entry) => (entry.kind === 'range' ? [{ ...entry }] : [])).sort((a, b) => a.id - b.id);
  const folded: { id: number; readonly host: string; readonly address: Ipv4 | undefined; count: number }[] = [];
  for (const { id, host, address, count } of ranges) {
    const before = folded.at(-1);
    if (before !== undefined && continues(before, id, address)) before.count += count;
    else folded.push({ id, host, address, count });
  }
  const aliases = entries.flatMap((entry) => (entry.kind === 'alias' ? [entry] : []));
  aliases.sort((a, b) => a.id - b.id || (a.host < b.host ? -1 : 1));
  const lines = folded.flatMap(({ id, host, count }) => [
    `${id} ${host} ${count}`,
    ...aliases.filter((alias) => alias.id >= id && alias.id < id + count).map((alias) => `${alias.id} ${alias.host} ALIAS`),
  ]);
  return lines.map((line) => `${line}\n`).join('');
}

function continues(
  before: { readonly id: number; readonly address: Ipv4 | undefined; readonly count: number },
  id: number,
  address: Ipv4 | undefined,
): boolean {
  if (before.address === undefined || address === undefined) return false;
  return before.id + before.count === id && ipv4Number(before.address) + before.count === ipv4Number(address);
}

export interface MapNode {
  /** 1..65535 */
  readonly id: number;
  readonly address: Ipv4;
  readonly name?: string | undefined;
}

interface Run {
  readonly first: MapNode;
  last: MapNode;
}

/**
 * The map of `nodes` in any order, one line per run of consecutive ids with consecutive addresses, each under a comment with its names.
 * `header` becomes comment lines. Throws `FarmError` `map.duplicate` or `map.node`.
 */
export function formatMap(nodes: readonly MapNode[], header: string): string {
  const runs: Run[] = [];
  const addresses = new Map<Ipv4, number>();
  for (const node of [...nodes].sort((a, b) => a.id - b.id)) {
    checkNode(node);
    const run = runs.at(-1);
    const twin = addresses.get(node.address);
    if (run?.last.id === node.id) throw new FarmError('map.duplicate', `two nodes have the id ${node.id}`, 'give one of them another id');
    if (twin !== undefined) {
      throw new FarmError('map.duplicate', `nodes ${twin} and ${node.id} have the address ${node.address}`, 'give one of them another address');
    }
    addresses.set(node.address, node.id);
    if (run !== undefined && run.last.id + 1 === node.id && ipv4Number(run.last.address) + 1 === ipv4Number(node.address)) run.last = node;
    else runs.push({ first: node, last: node });
  }
  const lines = header === '' ? [] : header.trimEnd().split(/\r?\n/).map(comment);
  for (const { first, last } of runs) {
    const names = first === last ? first.name : first.name && last.name && `${first.name} to ${last.name}`;
    if (names) lines.push(comment(names));
    lines.push(`${first.id} ${first.address} ${last.id - first.id + 1}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

function comment(text: string): string {
  return `# ${text}`.trimEnd();
}

function checkNode({ id, name }: MapNode): void {
  if (!Number.isInteger(id) || id < 1 || id > nodeIdMax) {
    throw new FarmError('map.node', `${id} is not a node id`, `node ids are the numbers 1 to ${nodeIdMax}`);
  }
  if (name !== undefined && !/^[\w.-]{1,253}$/.test(name)) {
    throw new FarmError('map.node', `node ${id} has a name that is no host name`, 'a host name has letters, digits, hyphens and dots only');
  }
}
