// A node of tests of /mfs, in a namespace or in a guest: its agent's part for files and no more. Bundled. It takes orders as lines of its standard input.
import { createInterface } from 'node:readline';
import { startRoots } from '../../src/agent/jobs/root.ts';
import { startLink } from '../../src/agent/link/link.ts';
import { startMfs } from '../../src/agent/mfs/server.ts';
import { isFilesThread, serveFilesThread } from '../../src/agent/mfs/thread.ts';
import { ipv4 } from '../../src/base/addresses.ts';

interface Settings {
  readonly self: number;
  readonly host: string;
  readonly peers: Readonly<Record<string, string>>;
  readonly top: string;
  readonly scratch: string;
  /** Without, it is served only. */
  readonly mountPoint?: string;
  /** Whether its clients must be root, as a kernel's is. Default true. */
  readonly privileged?: boolean;
  readonly linkPort: number;
  readonly mfsPort: number;
}

const key = Buffer.alloc(32, 'the farm key');

async function main(): Promise<void> {
  const { self, host, peers, top, scratch, mountPoint, linkPort, mfsPort, privileged }: Settings = JSON.parse(process.argv[2] ?? '{}');
  const say = (event: string, fields: object = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
  const log = (_level: string, event: string, fields: object = {}) => say(event, fields);
  const addresses = new Map([...Object.entries(peers), [String(self), host] as const].map(([id, address]) => [Number(id), ipv4(address)]));
  const ids = new Map([...addresses].map(([id, address]) => [address, id]));
  const refuse = (reason: string, from: string, detail: string) => say('refused', { reason, from, detail });
  const link = await startLink({ self: { id: self, address: ipv4(host) }, port: linkPort, map: () => ({ addresses, ids }), keys: () => [key], refuse, log });
  const down = new Set<number>();
  const refusing = new Set<number>();
  let nomfs = false;
  const members = () => [self, ...Object.keys(peers).map(Number)].map((id) => ({ id, isUp: !down.has(id), nomfs: refusing.has(id) }));
  const mfs = await startMfs({
    ...{ self, link, members, nomfs: () => nomfs, key, log, port: mfsPort },
    ...(mountPoint === undefined ? {} : { mountPoint }),
    ...(privileged === undefined ? {} : { privileged }),
    ...{ program: process.argv[1] ?? '', top, state: `${scratch}/numbers`, patience: { mfs: 8000, away: 10_000 } },
  });
  const used = new Set<number>();
  const roots = await startRoots({ self, port: mfs.port, inUse: () => used, log, directory: `${scratch}/roots` });
  say('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const [order, argument = ''] = line.split(' ');
    if (order === 'nomfs') nomfs = argument === '1';
    else if (order === 'down') down.add(Number(argument));
    else if (order === 'up') down.delete(Number(argument));
    else if (order === 'sweep') await roots.sweep();
    else if (order === 'memory') say('memory', { rss: Math.round(process.memoryUsage().rss / 1024) });
    else if (order === 'root') {
      const at = await roots.rootOf(Number(argument)).catch((error: Error) => `error: ${error.message}`);
      say('root', { at });
      continue;
    } else if (order === 'end') break;
    say('done', { order });
  }
  await roots.close();
  await mfs.close();
  await link.close();
  process.exit(0);
}

if (isFilesThread()) serveFilesThread();
else await main();
