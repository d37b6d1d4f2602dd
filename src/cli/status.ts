// farm status: every node, how far its boot is, its address, when it was last heard; and who else asked.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { Command } from 'commander';
import { systemCode } from '../base/errors.ts';
import { flagNames } from '../cluster/entry.ts';
import { loadFarm } from '../farm/config.ts';
import { controlSocket } from '../farm/directory.ts';
import { readObserved } from '../farm/observatory.ts';
import { type FarmStatus, farmStatus, type NodeStatus, nothingTold } from '../farm/status.ts';
import { farmDirectory, table } from './options.ts';
import { watchStatus } from './status-watch.ts';

const mebibyte = 2 ** 20;

export function statusCommand(): Command {
  return new Command('status')
    .description('show every node: stage, address, last seen')
    .option('--watch', 'again every second until q; without a terminal a line for each change')
    .option('--json', 'for programs')
    .action(async (options: { watch?: boolean; json?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      if (options.watch === true) return watchStatus({ ask: () => fetchStatus(directory), text: statusText, json: options.json === true });
      const status = await fetchStatus(directory);
      if (options.json === true) console.log(JSON.stringify(status, undefined, 2));
      else process.stdout.write(statusText(status, Date.now()));
    });
}

/** From the running server, or from what the last one left behind. */
export async function fetchStatus(directory: string): Promise<FarmStatus> {
  const farm = loadFarm(directory);
  const answer = await askServer(controlSocket(directory));
  return answer ?? farmStatus(farm, readObserved(directory), nothingTold, false, Date.now());
}

/** undefined if no server runs. */
async function askServer(socketPath: string): Promise<FarmStatus | undefined> {
  if (!existsSync(socketPath)) return undefined;
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/status', timeout: 5000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
    });
    asked.on('timeout', () => asked.destroy(new Error(`the server at ${socketPath} does not answer`)));
    asked.on('error', (error) => (systemCode(error) === 'ECONNREFUSED' ? resolve(undefined) : reject(error)));
    asked.end();
  });
}

/** The tables that people read. */
function statusText(status: FarmStatus, now: number): string {
  const lines: string[] = [];
  if (!status.serving) lines.push('farm serve is not running; this is what it saw last.\n\n');
  if (status.nodes.length === 0) lines.push('No nodes yet. Add one with: farm add-node <mac>\n');
  else {
    const rows = status.nodes.map((node) => {
      const { name, id, address, mac = '', stage, lastSeen, detail = '' } = node;
      return [name, String(id), address, mac, stage, ...load(node), age(lastSeen, now), detail];
    });
    lines.push(table([['NODE', 'ID', 'ADDRESS', 'MAC', 'STAGE', 'LOAD', 'FREE MB', 'FLAGS', 'LAST SEEN', 'DETAIL'], ...rows]));
  }
  if (status.unknown.length > 0) {
    lines.push('\nSeen, but not in this farm:\n');
    lines.push(table(status.unknown.map(({ mac, detail, lastSeen }) => [mac, age(lastSeen, now), detail ?? '', `farm add-node ${mac}`])));
  }
  return lines.join('');
}

/** What the cluster says of a node: load where 1 is a standard processor, free and all memory, and what its administrator has set. */
function load({ stage, cluster }: NodeStatus): readonly [string, string, string] {
  if (cluster === undefined || cluster.state !== 'alive' || stage === 'off' || stage === 'silent') return ['-', '-', '-'];
  const { measures, flags } = cluster.facts;
  const words = flagNames.filter((name) => flags[name]).join(',');
  if (measures === undefined) return ['-', '-', words];
  const { usable, total } = measures.memory;
  return [(measures.load / 100).toFixed(2), `${Math.round(usable / mebibyte)}/${Math.round(total / mebibyte)}`, words === '' ? '-' : words];
}

function age(at: number | undefined, now: number): string {
  if (at === undefined) return 'never';
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} d ago`;
}
