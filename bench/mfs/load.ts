// The load of bench/mfs: what a kernel's client with the options of /mfs asks of a server. Prints one line of JSON: ms, of `getattr` those of the median call. Arguments: port, mount port, path to mount, path below it.
import { performance } from 'node:perf_hooks';
import { Nfs3Client } from '../../test/support/nfs3-client.ts';
import { tcpExchange } from '../../test/support/rpc-client.ts';

const [port, mountPort, exported, below] = process.argv.slice(2);
const wire = await tcpExchange(Number(port));
const mountWire = await tcpExchange(Number(mountPort));
const client = new Nfs3Client(wire.exchange);
const { handle: top } = await new Nfs3Client(mountWire.exchange).mount(exported ?? '/');
if (top === undefined) throw new Error(`${exported} cannot be mounted`);

const parts = (below ?? '').split('/').filter((part) => part !== '');
const pieceBytes = 131_072;
const window = 16;

/** A walk as `noac,lookupcache=none` has it: each name is looked up, and each directory's attributes are asked before it is searched. */
async function walk(from: Buffer, names: readonly string[]): Promise<Buffer> {
  let at = from;
  for (const name of names) {
    await client.getattr(at);
    const { handle } = await client.lookup(at, name);
    if (handle === undefined) throw new Error(`no ${names.join('/')}`);
    at = handle;
  }
  return at;
}

async function names(directory: Buffer): Promise<readonly string[]> {
  const found: string[] = [];
  for (let cookie = 0; ; ) {
    const { entries, endOfDirectory } = await client.readdir(directory, cookie, 32_768);
    for (const { name } of entries) if (name !== '.' && name !== '..') found.push(name);
    cookie = entries.at(-1)?.cookie ?? 0;
    if (endOfDirectory || entries.length === 0) return found;
  }
}

async function pieces(length: number, each: (offset: number, count: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < length) {
      const offset = next;
      next += pieceBytes;
      await each(offset, Math.min(pieceBytes, length - offset));
    }
  };
  await Promise.all(Array.from({ length: window }, lane));
}

async function measured(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return Math.round((performance.now() - began) * 1000) / 1000;
}

async function readAll(handle: Buffer): Promise<void> {
  const { attributes } = await client.getattr(handle);
  await pieces(attributes?.size ?? 0, (offset, count) => client.read(handle, offset, count));
}

const fileBytes = 50 * 1024 * 1024;
const root = await walk(top, parts);
const figures: Record<string, number> = {};
const calls: number[] = [];
for (let count = 0; count < 2000; count += 1) calls.push(await measured(() => client.getattr(root)));
figures['getattr'] = calls.toSorted((a, b) => a - b)[calls.length / 2] ?? 0;
figures['list'] = await measured(async () => {
  for (const name of await names(await walk(top, [...parts, 'many']))) await client.getattr(await walk(top, [...parts, 'many', name]));
});
figures['tar'] = await measured(async () => {
  const directory = await walk(root, ['tree']);
  for (const name of await names(directory)) {
    const file = await walk(directory, [name]);
    await client.access(file, 1);
    await readAll(file);
  }
});
figures['read'] = await measured(async () => readAll(await walk(root, ['large'])));
const made = await client.create(root, 'written', { mode: 0o644 });
const { handle: written } = made;
if (written === undefined) throw new Error(`nothing can be written: ${made.status}`);
const zeros = Buffer.alloc(pieceBytes);
figures['write'] = await measured(async () => {
  await pieces(fileBytes, (offset, count) => client.write(written, offset, zeros, 0, count));
  await client.commit(written);
});
await client.remove(root, 'written');
process.stdout.write(`${JSON.stringify(figures)}\n`);
process.exit(0);
