// /hpc through libnfs' clients: other people's NFSv3 on files whose size nobody knows before they are asked.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HpcService, startHpc } from '../../src/agent/hpc/server.ts';
import { HpcCluster } from '../support/hpc-cluster.ts';

const execute = promisify(execFile);

describe('libnfs on /hpc', () => {
  const cluster = new HpcCluster();
  const events: string[] = [];
  let service: HpcService;
  let folder: string;
  const url = (path: string) => `nfs://127.0.0.1/hpc${path}?nfsport=${service.port}&mountport=${service.port}`;
  const cat = async (path: string) => (await execute('nfs-cat', [url(path)], { maxBuffer: 2 ** 24 })).stdout;

  beforeAll(async () => {
    execFileSync('sh', ['-c', 'command -v nfs-cat nfs-cp nfs-ls']);
    folder = mkdtempSync(join(tmpdir(), 'farm-hpc-'));
    const log = (_level: string, event: string) => void events.push(event);
    // nfs-cat as root has no port below 1024.
    service = await startHpc(cluster, { log, port: 0, key: Buffer.from('a key of this test'), privileged: false });
  });

  afterAll(async () => {
    await service.close();
    rmSync(folder, { recursive: true });
  });

  test('lists the directories', async () => {
    const { stdout } = await execute('nfs-ls', ['-R', url('/')]);
    for (const name of ['admin', 'nodes', 'remote', 'stay', 'load']) expect(stdout).toMatch(new RegExp(`[ /]${name}$`, 'm'));
    expect(stdout).toMatch(/^-rw-r--r-- .* 2 .*stay$/m);
    expect(stdout).toMatch(/^-r--r--r-- .* 4 .*load$/m);
  });

  test('reads values, as they are now', async () => {
    expect(await cat('/nodes/2/load')).toBe('380\n');
    cluster.change(2, { load: 1_234_567 });
    await expect.poll(() => cat('/nodes/2/load')).toBe('1234567\n');
    expect(await cat('/admin/config')).toBe(cluster.text);
  });

  test('reads what needs several calls', async () => {
    const [first] = cluster.list;
    cluster.list = Array.from({ length: 3000 }, (_, index) => ({ ...first!, id: index + 1, name: `n${index + 1}` }));
    await expect.poll(async () => (await cat('/info/nodes')).trim().split('\n').length).toBe(3000);
    expect(
      (await cat('/info/nodes'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(cluster.list);
  });

  test('makes nothing and takes nothing away', async () => {
    writeFileSync(join(folder, 'one'), '1\n');
    await expect(execute('nfs-cp', [join(folder, 'one'), url('/admin/new')])).rejects.toThrow();
    expect(events).not.toContain('nfs.fault');
    expect(events).not.toContain('rpc.fault');
  });
});
