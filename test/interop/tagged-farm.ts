// A directory with tagged names in a process of its own, in a network namespace: `node tagged-farm.mjs <address> <directory> <state> <clients>`,
// clients a JSON array of tag clients. It prints its sockets when it serves and ends when its stdin does.
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import { openAccess } from '../../src/nfs/access.ts';
import type { NfsExports } from '../../src/nfs/exports.ts';
import { startNfsServer } from '../../src/nfs/server.ts';
import type { TagClient } from '../../src/overlay/tags.ts';
import { openDiskTree } from '../../src/tree/disk.ts';
import { taggedDisk } from '../../src/tree/tagged.ts';
import { testKey } from '../support/nfs-farm.ts';

const [address = '', directory = '', state = '', list = '[]'] = process.argv.slice(2);
const disk = openDiskTree({ directory, state, clock: systemClock });
const clients: readonly TagClient[] = JSON.parse(list);
const trees = new Map(clients.map((client) => [client.address, taggedDisk(disk, client)]));

const exports: NfsExports = {
  mount: (client, path) => {
    const tree = trees.get(client);
    return tree === undefined ? undefined : { owner: 7, tree, access: openAccess, within: path };
  },
  view: (_owner, _generation, client) => {
    const tree = trees.get(client);
    return tree === undefined ? undefined : { tree, access: openAccess };
  },
  paths: () => ['/'],
};

const service = await startNfsServer({
  address: ipv4(address),
  portmap: false,
  privileged: false,
  exports,
  key: testKey,
  log: () => {},
  clock: systemClock,
});
process.stdout.write(`${service.sockets.join(', ')}\n`);
process.stdin.resume().once('end', () => void service.close().then(() => disk.close()));
