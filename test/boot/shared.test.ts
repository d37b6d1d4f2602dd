// Shared paths and their locks, for real: two diskless machines, one with its root mounted and one with its root in memory, and what Linux' own NFS
// client and nfs-utils' rpc.statd make of our servers.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { mac } from '../../src/base/addresses.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

/** Two emulated machines share two cores with the server; a boot alone takes a third of this. */
const bootSeconds = 300;
/** The grace period of locks has 50. */
const graceSeconds = 120;

const macs = { n1: mac('52:54:00:cc:00:01'), n2: mac('52:54:00:cc:00:02') };

let directory: string;
let lab: Lab;

const isUp = ({ stage }: { readonly stage: string }) => stage === 'up';

/** What the server has logged of one kind. */
function logged(event: string): readonly Readonly<Record<string, unknown>>[] {
  return readFileSync(lab.serveLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes(`"${event}"`))
    .map((line) => JSON.parse(line));
}

async function untilLogged(event: string, seconds: number): Promise<Readonly<Record<string, unknown>>> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await delay(500)) {
    const last = logged(event).at(-1);
    if (last !== undefined) return last;
  }
  throw new Error(`no ${event} in ${seconds} s`);
}

beforeAll(async () => {
  directory = makeFarm('shared-test');
  const config = join(directory, 'farm.yaml');
  const text = parseDocument(readFileSync(config, 'utf8'));
  const shared = [{ path: '/home', squash: 'none' }, '/srv/data', { path: '/opt', access: 'ro' }];
  text.setIn(['profiles'], { default: { console_login: true, shared }, ram: { console_login: true, shared, root: 'ram' } });
  text.setIn(['nodes'], { n1: { id: 1, mac: macs.n1, ip: '10.11.0.11' }, n2: { id: 2, mac: macs.n2, ip: '10.11.0.12', profile: 'ram' } });
  writeFileSync(config, String(text));
  lab = await labOf(directory, {
    machines: Object.entries(macs).map(([name, address]) => ({ name, mac: address, memoryMiB: name === 'n2' ? 768 : 512, firmware: 'bios' as const })),
  });
  await until(directory, ['n1', 'n2'], isUp, bootSeconds);
});

afterAll(async () => {
  await lab?.down();
});

describe('two nodes with the same shared paths', () => {
  it('have them mounted when they are up, with locks, whether their root is mounted or in memory', async () => {
    for (const name of ['n1', 'n2']) {
      expect(await onConsole(lab, name, 'findmnt -nro FSTYPE,SOURCE,OPTIONS /home')).toMatch(
        /^nfs 10\.11\.0\.1:\/home rw.*vers=3.*hard.*proto=tcp.*local_lock=none/,
      );
      expect(
        await onConsole(
          lab,
          name,
          'findmnt -nro TARGET -t nfs | sort | grep -vx -e / -e /hpc -e /mfs | xargs; systemctl is-active remote-fs.target rpc-statd | xargs',
        ),
      ).toBe('/home /opt /srv/data\nactive active');
    }
    expect(await onConsole(lab, 'n1', 'systemctl --failed --no-legend --plain | cat; systemctl is-system-running')).toBe('running');
    expect(farm(directory, 'status')).not.toContain('degraded');
  });

  it('see at once what the other writes', async () => {
    await onConsole(lab, 'n1', 'mkdir -m 0700 /home/alice && echo from n1 > /home/alice/letter && chown -R 1000:1000 /home/alice');
    expect(await onConsole(lab, 'n2', 'cat /home/alice/letter && stat -c %u:%g:%a /home/alice && echo from n2 >> /home/alice/letter')).toBe(
      'from n1\n1000:1000:700',
    );
    expect(await onConsole(lab, 'n1', 'cat /home/alice/letter')).toBe('from n1\nfrom n2');
    expect(readFileSync(join(directory, 'shared', 'home', 'alice', 'letter'), 'utf8')).toBe('from n1\nfrom n2\n');
  });

  it('are root where the profile says so, and nobody elsewhere; what is read-only stays as it is', async () => {
    expect(await onConsole(lab, 'n1', 'touch /srv/data/x 2>&1; touch /opt/x 2>&1; ls /opt /srv/data')).toBe(
      "touch: cannot touch '/srv/data/x': Permission denied\ntouch: cannot touch '/opt/x': Read-only file system\n/opt:\n\n/srv/data:",
    );
  });
});

/** Tries for the lock without waiting. */
const attempt = 'flock -n /home/lock true && echo free || echo held';

describe('a lock of one node', () => {
  it('keeps the other out, and is nothing to who mounted with nolock', async () => {
    await onConsole(lab, 'n1', 'flock /home/lock sleep 3600 & sleep 2');
    expect(await onConsole(lab, 'n1', attempt)).toBe('held');
    expect(await onConsole(lab, 'n2', attempt)).toBe('held');
    await onConsole(lab, 'n2', 'mount -t nfs -o vers=3,nolock,port=2049,mountport=2049,mountproto=tcp 10.11.0.1:/home /mnt');
    expect(await onConsole(lab, 'n2', attempt.replaceAll('/home', '/mnt'))).toBe('free');
    await onConsole(lab, 'n2', 'umount /mnt; rm -f /run/got; flock /home/lock touch /run/got & sleep 1');
  });

  it('is still its own when the server was killed and started again', async () => {
    await lab.killServe('SIGKILL');
    await lab.restartServe();
    const { reclaimed } = await untilLogged('nlm.grace-over', graceSeconds);
    expect(reclaimed).toBe(1);
    expect(await onConsole(lab, 'n2', `${attempt}; ls /run/got 2>&1 | grep -c cannot`)).toBe('held\n1');
  });

  it('is free when the node is reset and boots: who waits has it', async () => {
    await lab.power('n1', 'reset');
    await untilLogged('nlm.freed', bootSeconds);
    expect(logged('nlm.freed').at(-1)).toMatchObject({ client: '10.11.0.11', locks: 1, why: 'it boots' });
    expect(await onConsole(lab, 'n2', 'for i in $(seq 60); do [ -e /run/got ] && break; sleep 1; done; ls /run/got')).toBe('/run/got');
    await until(directory, ['n1'], isUp, bootSeconds);
    expect(await onConsole(lab, 'n1', attempt)).toBe('free');
  });

  it('on its private root is between its own processes only', async () => {
    const own = attempt.replaceAll('/home', '/root');
    await onConsole(lab, 'n1', 'mount -t nfs -o vers=3,port=2049,mountport=2049,mountproto=tcp 10.11.0.1:/root /mnt && flock /mnt/lock sleep 3600 & sleep 3');
    expect(await onConsole(lab, 'n1', own.replaceAll('/root', '/mnt'))).toBe('held');
    expect(await onConsole(lab, 'n2', own)).toBe('free');
  });
});
