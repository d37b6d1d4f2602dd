// libnfs' command-line clients against our server: other people's RPC, XDR and NFSv3. https://github.com/sahlberg/libnfs
import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type NfsService, startNfsServer } from '../../src/nfs/server.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { loopback, singleExport, testKey } from '../support/nfs-farm.ts';

const execute = promisify(execFile);

function installed(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch (error) {
    if (process.env['CI'] !== undefined) throw new Error(`${program} is missing: apt-get install libnfs-utils`, { cause: error });
    return false;
  }
}

const missing = ['nfs-ls', 'nfs-cp', 'nfs-cat'].filter((program) => !installed(program));
const title = missing.length === 0 ? 'libnfs' : `libnfs (skipped: ${missing.join(', ')} missing, apt-get install libnfs-utils)`;

describe.skipIf(missing.length > 0)(title, () => {
  const tree = new MemoryTree({ totalBytes: 2 ** 28 });
  const events: string[] = [];
  let service: NfsService;
  let folder: string;
  let url: (path: string, options?: string) => string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'farm-nfs-'));
    const export_ = tree.create(tree.root, 'export', { kind: 'directory' }, { mode: 0o755 });
    tree.create(export_, 'deep', { kind: 'directory' }, { mode: 0o750, uid: 12, gid: 34 });
    const many = tree.create(tree.root, 'many', { kind: 'directory' }, { mode: 0o755 });
    for (let index = 0; index < 3000; index += 1) tree.create(many, `file-${index}-${'x'.repeat(index % 60)}`, { kind: 'file' }, { mode: 0o644, size: index });
    tree.create(tree.root, 'closed', { kind: 'directory' }, { mode: 0o700, uid: 1, gid: 1 });
    const log = (_level: string, event: string) => void events.push(event);
    service = await startNfsServer({
      address: loopback,
      port: 0,
      portmap: false,
      privileged: false,
      exports: singleExport(tree),
      key: testKey,
      log,
      clock: { now: () => Date.now() },
    });
    url = (path, options = '') => `nfs://127.0.0.1${path}?nfsport=${service.port}&mountport=${service.port}${options}`;
  });

  afterAll(async () => {
    await service.close();
    rmSync(folder, { recursive: true });
  });

  test.each([0, 1, 4095, 1_000_000, 5_000_001])('a file of %i bytes comes back as it went', async (size) => {
    const content = randomBytes(size);
    const local = join(folder, `out-${size}`);
    const copy = join(folder, `back-${size}`);
    writeFileSync(local, content);
    await execute('nfs-cp', [local, url(`/export/file-${size}`)]);
    await execute('nfs-cp', [url(`/export/file-${size}`), copy]);
    expect(sha(readFileSync(copy))).toBe(sha(content));
    const { stdout } = await execute('nfs-cat', [url(`/export/file-${size}`)], { encoding: 'buffer', maxBuffer: 2 ** 24 });
    expect(sha(stdout)).toBe(sha(content));
    tree.check();
  });

  test('a listing shows modes, owners and sizes', async () => {
    const { stdout } = await execute('nfs-ls', [url('/export')]);
    expect(stdout).toMatch(/^drwxr-x--- +2 +12 +34 +\d+ deep$/m);
    expect(stdout).toMatch(/^-\S+ +1 +0 +0 +5000001 file-5000001$/m);
  });

  test('a directory of 3000 names is listed whole', async () => {
    const { stdout } = await execute('nfs-ls', [url('/many')], { maxBuffer: 2 ** 24 });
    const names = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/ +/).at(-1) ?? '');
    const expected = [...tree.entries(tree.lookup(tree.root, 'many'), 0)].map(({ name }) => name);
    expect(names.toSorted()).toEqual(expected.toSorted());
  });

  test('a listing goes down into directories', async () => {
    const { stdout } = await execute('nfs-ls', ['-R', url('/export')]);
    expect(stdout).toContain('deep');
  });

  /** What a program that failed has said; some of libnfs' say it on stdout. */
  async function complaint(program: string, args: readonly string[]): Promise<string> {
    const failed: unknown = await execute(program, args).catch((error: unknown) => error);
    if (!(failed instanceof Error) || !('stdout' in failed && 'stderr' in failed)) throw new Error(`${program} ${args.join(' ')} did not fail`);
    return `${failed.stdout}${failed.stderr}`;
  }

  test('another user is kept out', async () => {
    const user = '&uid=5&gid=5';
    expect(await complaint('nfs-ls', [url('/closed', user)])).toMatch(/ACCES/);
    expect(await complaint('nfs-cp', [join(folder, 'out-1'), url('/export/of-5', user)])).toMatch(/ACCES/);
  });

  test('what is not there is said not to be', async () => {
    expect(await complaint('nfs-cat', [url('/export/nothing')])).toMatch(/NOENT/);
    expect(await complaint('nfs-ls', [url('/nothing')])).toMatch(/NOENT/);
  });

  test('twelve clients copy at once', async () => {
    const content = randomBytes(2_000_000);
    const local = join(folder, 'shared');
    writeFileSync(local, content);
    await Promise.all(Array.from({ length: 12 }, (_, index) => execute('nfs-cp', [local, url(`/export/copy-${index}`)])));
    for (let index = 0; index < 12; index += 1) {
      const id = tree.lookup(tree.lookup(tree.root, 'export'), `copy-${index}`);
      const stored = Buffer.alloc(content.length);
      expect(tree.read(id, 0, stored)).toBe(content.length);
      expect(sha(stored)).toBe(sha(content));
    }
    tree.check();
    expect(events).not.toContain('nfs.fault');
    expect(events).not.toContain('rpc.dropped');
  });
});

function sha(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
