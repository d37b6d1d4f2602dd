// The main job, for real: diskless QEMU machines boot from nothing but our servers and become a cluster.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mac } from '../../src/base/addresses.ts';
import { loadFarm } from '../../src/farm/config.ts';
import type { FarmStatus } from '../../src/farm/status.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

/** Three emulated machines share two cores with the server; a boot alone takes a third of this. */
const bootSeconds = 300;
const stranger = '52:54:00:fe:00:99';

let directory: string;
let lab: Lab;

function isUp({ stage, agent }: { stage: string; agent?: { counts: { alive: number } } | undefined }): boolean {
  return stage === 'up' && agent !== undefined && agent.counts.alive >= 1;
}

beforeAll(async () => {
  directory = makeFarm('boot-test');
  farm(directory, 'add-node', '52-54-00-AA-00-01', '525400aa0002');
  const { nodes } = loadFarm(directory);
  const machines = [...nodes.map(({ name, mac: address }) => ({ name, mac: address! })), { name: 'stranger', mac: mac(stranger) }];
  lab = await labOf(directory, { machines: machines.map((machine) => ({ ...machine, memoryMiB: 512, firmware: 'bios' as const })) });
});

afterAll(async () => {
  await lab?.down();
});

describe('two diskless machines with 512 MB each', () => {
  it('boot by PXE to a cluster, each with its own name, address and id', async () => {
    const nodes = await until(directory, ['n1', 'n2'], isUp, bootSeconds);
    expect(nodes.map(({ agent, address }) => [agent?.hostname, agent?.id, address])).toEqual([
      ['n1', 1, '10.11.0.11'],
      ['n2', 2, '10.11.0.12'],
    ]);
    for (const { reached } of nodes) expect(Object.keys(reached ?? {})).toEqual(['dhcp', 'menu', 'kernel', 'root', 'agent', 'up']);
  });

  it('see one shared root, each as its own, and nothing of the tags', async () => {
    for (const name of ['n1', 'n2']) {
      expect(await onConsole(lab, name, 'hostname; cat /etc/hostname; ls /etc | grep -c "[$]" || true')).toBe(`${name}\n${name}\n0`);
      expect(await onConsole(lab, name, 'cat /etc/openmosix.map')).toBe(farm(directory, 'map').trim());
    }
    expect(await onConsole(lab, 'n1', 'findmnt -nro FSTYPE,OPTIONS /')).toMatch(/^nfs .*vers=3.*hard.*proto=tcp/);
  });

  it('have nothing but our servers in their network', async () => {
    const listeners = (await lab.exec('ss', ['-Hlnup'])).toString() + (await lab.exec('ss', ['-Hlntp'])).toString();
    expect(listeners).toContain(':67 ');
    for (const line of listeners.trim().split('\n')) expect(line).toMatch(/users:\(\("(node|MainThread)"/);
  });

  it('write to private trees and leave the image alone', async () => {
    await onConsole(lab, 'n1', 'echo mine > /root/mark && rm /etc/debian_version && mv /etc/issue /etc/issue.old && sync');
    expect(await onConsole(lab, 'n2', 'ls /root/mark 2>&1 | wc -l; cat /etc/debian_version | wc -l; ls /etc/issue')).toBe('1\n1\n/etc/issue');
    const image = join(directory, 'images', 'debian-13', 'current', 'root');
    expect(existsSync(join(image, 'root', 'mark'))).toBe(false);
    expect(existsSync(join(image, 'etc', 'debian_version'))).toBe(true);
  });
});

describe('a machine that the farm does not know', () => {
  it('gets no address, and is shown with the command that adds it', async () => {
    const { unknown }: FarmStatus = JSON.parse(farm(directory, 'status', '--json'));
    expect(unknown.map((machine) => machine.mac)).toEqual([stranger]);
    expect(farm(directory, 'status')).toContain(`farm add-node ${stranger}`);
    const log = readFileSync(lab.serveLog, 'utf8');
    expect(log).not.toMatch(new RegExp(`"mac":"${stranger}"[^\\n]*"event":"dhcp\\.(offer|ack)"`));
  });

  it('boots once it is added, with nothing restarted', async () => {
    expect(farm(directory, 'add-node', stranger)).toContain('n3');
    await until(directory, ['n3'], ({ stage }) => stage !== 'off' && stage !== 'dhcp', bootSeconds);
    await lab.power('stranger', 'off');
  });
});

describe('the server is killed', () => {
  it('and started again: the nodes go on where they were', async () => {
    const before = await until(directory, ['n1', 'n2'], isUp, bootSeconds);
    await onConsole(
      lab,
      'n1',
      '(i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo $i >> /root/count; sync /root/count; sleep 0.2; done) > /root/errors 2>&1 & echo $! > /root/counter',
    );
    await lab.killServe('SIGKILL');
    await delay(5000); // an outage that nodes notice: longer than a TCP retransmission
    await lab.restartServe();
    const after = await until(directory, ['n1', 'n2'], (node) => isUp(node) && (node.lastSeen ?? 0) > Date.now() - 10_000, 120);
    expect(after.map(({ bootedAt }) => bootedAt)).toEqual(before.map(({ bootedAt }) => bootedAt));
    expect(after.map(({ address }) => address)).toEqual(before.map(({ address }) => address));
    const counted = Number(await onConsole(lab, 'n1', 'tail -n 1 /root/count'));
    const lines = await onConsole(lab, 'n1', 'sleep 3; kill $(cat /root/counter); cat /root/errors; wc -l < /root/count; tail -n 1 /root/count');
    const [total, last] = lines.split('\n').slice(-2).map(Number);
    expect(last).toBeGreaterThan(counted);
    expect(total).toBe(last);
    expect(lines.split('\n').filter((line) => /stale|error|denied/i.test(line))).toEqual([]);
  });
});

describe('a node that is reset', () => {
  it('finds its private tree as it left it', async () => {
    await onConsole(lab, 'n1', 'sync');
    const [node] = await until(directory, ['n1'], isUp, 60);
    const before = node?.bootedAt ?? 0;
    await lab.power('n1', 'reset');
    await until(directory, ['n1'], (node) => isUp(node) && (node.bootedAt ?? 0) > before, bootSeconds);
    expect(await onConsole(lab, 'n1', 'cat /root/mark; ls /etc/debian_version /etc/issue 2>/dev/null | wc -l; ls /etc/issue.old')).toBe(
      'mine\n0\n/etc/issue.old',
    );
  });
});
