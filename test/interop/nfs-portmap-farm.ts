// An NFS service in a process of its own, in a network namespace: `node nfs-portmap-farm.mjs <address> <log file> [<client>]`. Ends when its stdin does.
import { appendFileSync } from 'node:fs';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import { startNfsServer } from '../../src/nfs/server.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { singleExport, testKey } from '../support/nfs-farm.ts';

const [address = '', logFile = '', client = address] = process.argv.slice(2);

const tree = new MemoryTree({ clock: systemClock });
const dir = tree.create(tree.root, 'dir', { kind: 'directory' }, { mode: 0o755 });
const file = tree.create(dir, 'file', { kind: 'file' }, { mode: 0o644 });
tree.write(file, 0, Buffer.from(Array.from({ length: 20_000 }, (_, index) => index % 251)));

const service = await startNfsServer({
  address: ipv4(address),
  portmap: true,
  privileged: false,
  exports: singleExport(tree, ipv4(client)),
  key: testKey,
  log: (level, event, fields) => appendFileSync(logFile, `${JSON.stringify({ level, event, ...fields })}\n`),
  clock: systemClock,
});
process.stdout.write(`${service.sockets.join(', ')}\n`);
process.stdin.resume().once('end', () => void service.close());
