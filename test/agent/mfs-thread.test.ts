// The thread that serves a node's files: there when it is asked, gone when nobody asks, and back after it broke.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type LocalFiles, startFilesThread } from '../../src/agent/mfs/thread.ts';
import { ipv4 } from '../../src/base/addresses.ts';
import { handleBytes } from '../../src/nfs/handles.ts';
import { attributeBytes } from '../../src/nfs/v3/attributes.ts';
import { encodeCall } from '../support/rpc-client.ts';

const handleAndAttributes = handleBytes + attributeBytes;
const nobody = ipv4('127.0.0.1');
const getattr = encodeCall({ xid: 7, program: 100_003, version: 3, procedure: 0 });

let scratch: string;
let files: LocalFiles | undefined;
const said: string[] = [];
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'farm-mfs-thread-'));
  mkdirSync(join(scratch, 'top'));
  const contents = "import { serveFilesThread } from './thread.ts';\nserveFilesThread();\n";
  const resolveDir = fileURLToPath(new URL('../../src/agent/mfs', import.meta.url));
  await build({ stdin: { contents, resolveDir }, outfile: join(scratch, 'thread.mjs'), bundle: true, platform: 'node', format: 'esm', target: 'node20' });
});
afterEach(async () => {
  await files?.close();
  files = undefined;
  said.length = 0;
});
afterAll(() => rmSync(scratch, { recursive: true }));

function start(idle?: number): LocalFiles {
  const options = { node: 1, top: join(scratch, 'top'), state: join(scratch, 'numbers'), key: Buffer.alloc(32, 1) };
  files = startFilesThread(join(scratch, 'thread.mjs'), options, (_level, event) => said.push(event), idle);
  return files;
}

/** Threads of this process besides those that Node.js has anyway: their message ports. */
const threads = () => process.getActiveResourcesInfo().filter((kind) => kind === 'MessagePort').length;

test('nobody asks, and there is none', async () => {
  const before = threads();
  await start().close();
  expect(threads()).toBe(before);
});

test('is there when it is asked, gone after a while, and back with the same handles', async () => {
  const before = threads();
  const thread = start(50);
  const root = await thread.root(false);
  expect(root.length).toBe(handleAndAttributes);
  await vi.waitUntil(() => threads() === before, { timeout: 5000 });
  expect((await thread.root(false)).subarray(0, handleBytes)).toEqual(root.subarray(0, handleBytes));
  expect((await thread.answer(nobody, getattr)).readUInt32BE(0)).toBe(7);
  expect(said).toEqual([]);
});

test('asked while it ends, the next one answers', async () => {
  const thread = start(1);
  for (let count = 0; count < 5; count += 1) {
    await thread.root(false);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const all = await Promise.all(Array.from({ length: 20 }, () => thread.root(true)));
  expect(new Set(all.map(({ length }) => length))).toEqual(new Set([handleAndAttributes]));
});

test('what is no program is an error for who asks, in the log, and no endless loop', async () => {
  files = startFilesThread(join(scratch, 'absent.mjs'), { node: 1, top: scratch, state: scratch, key: Buffer.alloc(32) }, (_level, event) => said.push(event));
  await expect(files.root(false)).rejects.toMatchObject({ code: 'mfs.fault' });
  await expect(files.root(false)).rejects.toMatchObject({ code: 'mfs.fault', message: expect.stringContaining('begins anew') });
  expect(said).toEqual(['mfs.thread']);
});

test('after its end it answers nobody', async () => {
  const thread = start();
  await thread.root(false);
  await thread.close();
  await expect(thread.root(false)).rejects.toMatchObject({ code: 'mfs.fault' });
});
