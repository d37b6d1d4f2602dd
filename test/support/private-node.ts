// A node's root behind NFS procedures in a process of its own, for strace: does what its arguments say and prints what it was answered.
import { FileHandles } from '../../src/nfs/handles.ts';
import { OpenFiles } from '../../src/tree/files.ts';
import { LayeredTree } from '../../src/tree/layered.ts';
import { PrivateStore } from '../../src/tree/private.ts';
import { client, testDisk, testImage } from '../tree/fixtures.ts';
import { testKey } from './nfs-farm.ts';
import { nfsWorld, worldOwner } from './nfs-world.ts';

const [directory = '', ...steps] = process.argv.slice(2);
const base = testImage('test/000000000001', { 'etc/': '', 'etc/hosts': 'localhost' });
const store = PrivateStore.open(directory, base, client);
const tree = new LayeredTree({ store, client, imageFiles: new OpenFiles(), clock: { now: () => Date.now() }, disk: testDisk() });
const nfs = nfsWorld(tree).client;
const root = new FileHandles(testKey).encode(worldOwner, tree.generation, tree.root);

/** Shows in the trace of system calls: no such file. */
function mark(text: string): void {
  try {
    process.chdir(`/mark/${text}`);
  } catch {
    // There is no such directory.
  }
}

let file: Buffer = Buffer.alloc(0);
const acts: Readonly<Record<string, () => Promise<{ readonly status: number; readonly verifier?: Buffer | undefined }>>> = {
  create: async () => {
    const made = await nfs.create(root, `f${Math.random()}`);
    file = made.handle ?? file;
    return made;
  },
  unstable: () => nfs.write(file, 0, Buffer.from('bytes'), 0),
  data: () => nfs.write(file, 0, Buffer.from('bytes'), 1),
  file: () => nfs.write(file, 0, Buffer.from('bytes'), 2),
  commit: () => nfs.commit(file),
  'commit+commit': async () => {
    const [one, other] = await Promise.all([nfs.commit(file), nfs.commit(file)]);
    return { status: Math.min(one.status, other.status), verifier: one.verifier };
  },
};

for (const step of steps) {
  mark(`${step}-begins`);
  const { status, verifier } = (await acts[step]?.()) ?? { status: -1 };
  mark(`${step}-answered`);
  console.log(JSON.stringify({ step, status, verifier: verifier?.toString() }));
}
