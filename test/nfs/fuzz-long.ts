// Millions of calls of RPC, portmap, MOUNT and NFS 2 and 3, whole and broken, through record marking and as datagrams, as fast as one core goes:
// npx esbuild test/nfs/fuzz-long.ts --bundle --platform=node --format=esm --outfile=dist/test/nfs-fuzz-long.mjs && node dist/test/nfs-fuzz-long.mjs 5000000 [seed] [private]
// With `private` against a node's private tree on disk, else against a tree in memory. Ends with status 1 at the first fault, and prints seed and call.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { OpenFiles } from '../../src/tree/files.ts';
import { LayeredTree } from '../../src/tree/layered.ts';
import { PrivateStore } from '../../src/tree/private.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { type FuzzCounts, fuzzRound } from '../support/nfs-fuzz.ts';
import { client, testDisk, testImage } from '../tree/fixtures.ts';

const total = Number(process.argv[2] ?? 1_000_000);
const first = Number(process.argv[3] ?? 1);
const isPrivate = process.argv[4] === 'private';
/** Long enough to fill a small tree, short enough that a fault is soon found again. */
const callsPerRound = 2000;

const image = testImage('debian/1', { 'a/': '', 'a/b': 'bbb', b: 'the file b', c: '-> a/b', 'e/': '', 'e/a$$HOST=n7$$': 'mine', 'e/a': 'all' });

async function round(seed: number, counts: FuzzCounts): Promise<void> {
  if (!isPrivate) {
    const tree = new MemoryTree({ totalBytes: 20_000, totalObjects: 30, linkMax: 6 });
    return fuzzRound(seed, callsPerRound, tree, () => tree.check(), counts);
  }
  const directory = mkdtempSync(join(tmpdir(), 'farm-fuzz-'));
  const store = PrivateStore.open(directory, image, client);
  const tree = new LayeredTree({ store, client, imageFiles: new OpenFiles(), clock: systemClock, disk: testDisk() });
  try {
    await fuzzRound(seed, callsPerRound, tree, () => {}, counts);
    await store.close();
    await PrivateStore.open(directory, image, client).close(); // what is on disk can be read again
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const counts: FuzzCounts = { unreadable: 0, refused: 0, answered: 0, failed: 0, succeeded: 0 };
const started = process.hrtime.bigint();
try {
  for (let index = 0; index * callsPerRound < total; index += 1) await round(first + index, counts);
} catch (error) {
  console.error(error);
  process.exit(1);
}
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
console.log(`${total} calls in ${seconds.toFixed(1)} s, ${Math.round(total / seconds)} a second, seeds from ${first}: ${JSON.stringify(counts)}`);
