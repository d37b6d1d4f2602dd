// What a disk tree costs: 100,000 files in one directory, and 1 MiB sequential reads and writes. No network.
// npx esbuild bench/disk-tree.ts --bundle --platform=node --format=esm --outfile=dist/bench/disk-tree.mjs --external:pino && node dist/bench/disk-tree.mjs
// Arguments: a directory to work in (default: a temporary one), files (100000). As root.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ipv4 } from '../src/base/addresses.ts';
import { openDiskTree } from '../src/tree/disk.ts';
import { taggedDisk } from '../src/tree/tagged.ts';

const [where = tmpdir(), count = '100000'] = process.argv.slice(2);
const files = Number(count);
const mebibyte = 1 << 20;
const pieces = 512;

const base = mkdtempSync(join(where, 'farm-disk-bench-'));
mkdirSync(join(base, 'tree'));
const open = () => openDiskTree({ directory: join(base, 'tree'), state: join(base, 'state'), clock: { now: () => Date.now() } });
let tree = open();

async function measure(what: string, times: number, act: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  const begin = performance.now();
  await act();
  const wall = performance.now() - begin;
  const { user, system } = process.cpuUsage(before);
  const cpu = (user + system) / 1000;
  console.log(
    `${what.padEnd(36)} ${wall.toFixed(0).padStart(7)} ms, each ${((wall * 1000) / times).toFixed(1)} µs, ${((cpu * 1000) / times).toFixed(1)} µs CPU`,
  );
  return wall;
}

const many = tree.create(tree.root, 'many', { kind: 'directory' }, { mode: 0o755 });
const each = (act: (name: string) => unknown) => () => {
  for (let index = 0; index < files; index += 1) act(`file-${index}`);
};

/** As READDIR does it: `most` entries a call. */
function list(most: number): number {
  let listed = 0;
  let cookie = 0;
  for (let more = true; more; ) {
    more = false;
    for (const entry of tree.entries(many, cookie)) {
      listed += 1;
      cookie = entry.cookie;
      if (listed % most !== 0) continue;
      more = true;
      break;
    }
  }
  if (listed !== files) throw new Error(`${listed} of ${files} listed`);
  return listed;
}

await measure(
  'create',
  files,
  each((name) => tree.create(many, name, { kind: 'file' }, { mode: 0o644, uid: 1000, gid: 1000 })),
);
await measure('stable', 1, () => tree.stable());
await measure('list, 1000 at a time', files, () => list(1000));
await measure('list, 100 at a time', files, () => list(100));
await measure('list with attributes', files, () => {
  for (const { id } of tree.entries(many, 0)) tree.attributes(id);
});
await measure(
  'look up',
  files,
  each((name) => tree.lookup(many, name)),
);
const view = taggedDisk(tree, { address: '10.0.0.1' as Ipv4, host: 'n1', fqdn: 'n1.lan', mac: undefined, groups: [] });
await measure(
  'look up, with tags',
  files,
  each((name) => view.lookup(many, name)),
);
console.log(`${tree.objectCount} objects, ${Math.round(process.memoryUsage().rss / 1e6)} MB resident`);
await measure('close', 1, () => tree.close());
await measure('open again', 1, () => {
  tree = open();
});
await measure(
  'attributes',
  files,
  each(() => tree.attributes(many)),
);

const big = tree.create(tree.root, 'big', { kind: 'file' }, {});
const block = Buffer.alloc(mebibyte, 1);
const rate = (wall: number) => console.log(`${' '.repeat(36)} ${((pieces * mebibyte) / 1000 / wall).toFixed(0)} MB/s`);
const write = () => {
  for (let index = 0; index < pieces; index += 1) tree.write(big, index * mebibyte, block);
};
rate(await measure('write 1 MiB, new', pieces, write));
await measure('commit', 1, () => tree.commit(big));
rate(await measure('write 1 MiB, over', pieces, write));
rate(
  await measure('read 1 MiB', pieces, () => {
    for (let index = 0; index < pieces; index += 1) tree.read(big, index * mebibyte, block);
  }),
);
await tree.close();
rmSync(base, { recursive: true });
