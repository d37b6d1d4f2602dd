// /hpc/nodes/N: what openMosix told of each node, number by number, and what it did not. Facts sheet 4.3.
import { isThere, statusBits, utilizability } from '../../cluster/status-bits.ts';
import type { LiveFile, LiveObject } from '../../tree/memory.ts';
import type { HpcNode } from './source.ts';

/** What openMosix's mem, rmem and tmem count in, whatever the kernel's own page is. */
const pageBytes = 4096;

/** What a number of a node that cannot be reached reads as: -ENETUNREACH, as scripts of that time expect. */
const unreachable = -101;

const pages = (bytes: number): number => Math.floor(bytes / pageBytes);
const measured = (number: (node: HpcNode) => number) => (node: HpcNode) => String(isThere(node.status) ? Math.round(number(node)) : unreachable);

/** The files of one node: name -> text without its newline. The first eight are openMosix's. */
const texts: Readonly<Record<string, (node: HpcNode) => string>> = {
  cpus: measured(({ cpus }) => cpus),
  load: measured(({ load }) => load),
  mem: measured(({ memory }) => pages(memory.usable)),
  rmem: measured(({ memory }) => pages(memory.free)),
  tmem: measured(({ memory }) => pages(memory.total)),
  speed: measured(({ speed }) => speed),
  // Never a negative errno: -101 & 2 is 2, and scripts would take a dead node for one that is up.
  status: (node) => String(statusBits(node)),
  util: measured(utilizability),
  // Ours.
  address: ({ address }) => address,
  age: ({ age }) => String(Number.isFinite(age) ? Math.round(age) : -1),
  busy: measured(({ utilization }) => utilization * 100),
  guests: measured(({ guests }) => guests),
  name: ({ name }) => name,
  pressure: ({ pressure: { cpu, memory, io } }) => `${cpu.toFixed(2)} ${memory.toFixed(2)} ${io.toFixed(2)}`,
  rates: ({ rates: { networkIn, networkOut, diskRead, diskWrite } }) => [networkIn, networkOut, diskRead, diskWrite].map(Math.round).join(' '),
  state: ({ status }) => status,
  swap: ({ memory }) => `${pages(memory.swapTotal)} ${pages(memory.swapFree)}`,
  version: ({ version }) => version,
};

const names = Object.keys(texts);

/** The directory of the node that `find` gives, asked anew for each file. */
export function nodeDirectory(find: () => HpcNode): LiveObject {
  const files = new Map<string, LiveFile>(Object.entries(texts).map(([name, text]) => [name, { kind: 'file', read: () => `${text(find())}\n` }] as const));
  return { kind: 'directory', names: () => names, child: (name) => files.get(name) };
}
