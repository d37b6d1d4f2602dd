// Probes on real wires, answered by the kernels of other namespaces, and a lease journal on a disk that is full. Needs root.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { silentLog } from '../../src/base/log.ts';
import { openLeases, readLeases } from '../../src/dhcp/lease-store.ts';
import { claimOf, testPool } from '../support/leases.ts';

const tag = `fls${process.pid % 10000}`;
const space = { server: `${tag}s`, router: `${tag}r`, far: `${tag}f` };
const folder = mkdtempSync(join(tmpdir(), 'farm-leases-'));
const program = join(folder, 'prober.mjs');
const routerMac = '52:54:00:77:09:01';

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
const inside = (where: string, ...command: string[]) => ip('netns', 'exec', where, ...command);
let runs = 0;

/** What the program of test/support/lease-prober.ts says in the server's namespace. */
function probing(before: readonly string[], name: string, ...probes: string[]): readonly Record<string, unknown>[] {
  const args = ['netns', 'exec', space.server, ...before, process.execPath, program, name, join(folder, 'out', `leases-${runs++}`), ...probes];
  const { stdout, stderr, status } = spawnSync('ip', args, { encoding: 'utf8', timeout: 30_000 });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

beforeAll(async () => {
  const entry = fileURLToPath(new URL('../support/lease-prober.ts', import.meta.url));
  await build({ entryPoints: [entry], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' });
  mkdirSync(join(folder, 'out'), { mode: 0o777 });
  execFileSync('chmod', ['-R', 'a+rwX', folder]);
  for (const each of Object.values(space)) {
    ip('netns', 'add', each);
    inside(each, 'ip', 'link', 'set', 'lo', 'up');
  }
  ip('link', 'add', 's0', 'netns', space.server, 'type', 'veth', 'peer', 'name', 'r0', 'netns', space.router);
  ip('link', 'add', 'r1', 'netns', space.router, 'type', 'veth', 'peer', 'name', 'f0', 'netns', space.far);
  inside(space.router, 'ip', 'link', 'set', 'r0', 'address', routerMac);
  for (const [where, name, address] of [
    [space.server, 's0', '10.11.0.1/24'],
    [space.router, 'r0', '10.11.0.2/24'],
    [space.router, 'r1', '10.12.0.1/24'],
    [space.far, 'f0', '10.12.0.9/24'],
  ] as const) {
    inside(where, 'ip', 'addr', 'add', address, 'dev', name);
    inside(where, 'ip', 'link', 'set', name, 'up');
  }
  inside(space.server, 'ip', 'route', 'add', '10.12.0.0/24', 'via', '10.11.0.2');
  inside(space.far, 'ip', 'route', 'add', 'default', 'via', '10.12.0.1');
  inside(space.router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
  inside(space.router, 'sysctl', '-qw', 'net.ipv4.icmp_echo_ignore_all=1');
});

afterAll(() => {
  for (const each of Object.values(space)) ip('netns', 'del', each);
  rmSync(folder, { recursive: true });
});

const leases = [{ lease: { kind: 'address', address: '10.11.0.3', seconds: 3600 } }, { lease: { kind: 'address', address: '10.11.0.4', seconds: 3600 } }];

describe('probing', () => {
  it('finds a host on the Ethernet that answers no ping, and does not give its address', () => {
    expect(probing([], 's0', 'main:10.11.0.2', 'main:10.11.0.77')).toEqual([
      { probe: '10.11.0.2', can: true, kind: 'answered', by: routerMac },
      { probe: '10.11.0.77', can: true, kind: 'silent' },
      { event: 'lease.conflict', address: '10.11.0.2', network: 'main', reason: 'answers', by: routerMac, seconds: 600 },
      ...leases,
    ]);
  });

  it('finds a host behind a router, and says so where there is no way to ask', () => {
    expect(probing([], 's0', 'lab2:10.12.0.9', 'lab2:10.12.0.77', 'lab2:10.99.0.1').slice(0, 3)).toEqual([
      { probe: '10.12.0.9', can: true, kind: 'answered' },
      { probe: '10.12.0.77', can: true, kind: 'silent' },
      { probe: '10.99.0.1', can: true, kind: 'unknown' },
    ]);
  });

  it.each([
    ['an interface that is not there', [], 'nosuch0', 'there is no network interface nosuch0'],
    ['a user without rights', ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'], 's0', 'this user may not open a packet socket on s0'],
  ])('that is impossible is logged once, and addresses are given without: %s', (_what, before, name, reason) => {
    const said = probing(before, name, 'main:10.11.0.2');
    expect(said).toMatchObject([
      { event: 'lease.probing-lost', interface: name, reason },
      { probe: '10.11.0.2', can: false, kind: 'unknown' },
      { lease: { address: '10.11.0.2' } },
      { lease: { address: '10.11.0.3' } },
    ]);
  });
});

it('acknowledges nothing while the disk is full, and all that it holds once there is room', async () => {
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', disk]);
  try {
    writeFileSync(join(disk, 'filler'), Buffer.alloc(96 * 1024));
    const path = join(disk, 'leases');
    const events: string[] = [];
    let now = 1_800_000_000_000;
    const log: typeof silentLog = (_level, event) => events.push(event);
    const store = openLeases({ path, log, clock: { now: () => now }, elapsed: () => now });
    const pool = testPool('10.11.0.10-10.11.9.250');
    const acknowledged: string[] = [];
    const grant = async (client: number): Promise<string> => {
      const offer = store.offer(claimOf(client, pool, { rapid: true }));
      if (offer.kind === 'address') await store.stable().then(() => acknowledged.push(offer.address));
      return offer.kind;
    };
    await expect(
      (async () => {
        for (let client = 0; client < 1000; client++) await grant(client);
      })(),
    ).rejects.toThrow(`leases cannot be written to ${path}`);
    const before = acknowledged.length;
    expect(before).toBeGreaterThan(100);
    expect(readLeases(path, now).map(({ address }) => address)).toEqual(acknowledged);
    await expect(grant(before)).rejects.toThrow('cannot be written');
    rmSync(join(disk, 'filler'));
    now += 5_000;
    await grant(before);
    await grant(before + 1);
    expect(events).toEqual(['lease.unwritten', 'lease.written']);
    await store.close();
    expect(readLeases(path, now).filter(({ state }) => state === 'leased')).toHaveLength(before + 2);
  } finally {
    execFileSync('umount', ['-l', disk]);
  }
});
