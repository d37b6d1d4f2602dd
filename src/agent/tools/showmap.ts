// showmap: the map in hexadecimal columns, the own line first. openMosix HOWTO, facts sheet 1.6.
import { parseMap } from '../../cluster/map.ts';
import type { MapEntry } from '../../cluster/map-entry.ts';
import { selfNode } from './hpc.ts';
import { done, misuse, type Tool } from './tool.ts';

export const usage = 'showmap';

export const showmap: Tool = (args, { hpc, out }) => {
  if (args.length > 0) throw misuse('showmap has no arguments', usage);
  const { id } = selfNode(hpc);
  const { entries } = parseMap(hpc.read('admin/config'), 'the active table');
  const isOwn = (entry: MapEntry) => entry.kind === 'range' && id >= entry.id && id < entry.id + entry.count;
  const rows = [...entries.filter(isOwn), ...entries.filter((entry) => !isOwn(entry))];
  const lines = [
    `My Node-Id: ${hex(id)}`,
    '',
    row('Base Node-Id', 'Address', 'Count'),
    row('-'.repeat(12), '-'.repeat(16), '-'.repeat(5)),
    ...rows.map((entry) => row(hex(entry.id), entry.host, entry.kind === 'alias' ? 'ALIAS' : String(entry.count))),
  ];
  out(lines.map((line) => `${line}\n`).join(''));
  return done;
};

function hex(id: number): string {
  return `0x${id.toString(16).padStart(4, '0')}`;
}

function row(id: string, address: string, count: string): string {
  return `${id.padEnd(12)} ${address.padEnd(16)} ${count}`;
}
