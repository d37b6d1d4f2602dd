// The image of busybox alone: built, booted by NFS and in memory, and booted again after a command has changed it.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ImageManifest } from '../../src/image/built.ts';
import type { Lab } from '../../src/lab/lab.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

const bootSeconds = 200;

let directory: string;
let lab: Lab;

beforeAll(async () => {
  directory = makeFarm('minimal-test', 'minimal');
  const config = join(directory, 'farm.yaml');
  writeFileSync(
    config,
    readFileSync(config, 'utf8').replace('\n# One line a machine', '\n  ram: { image: minimal, root: ram, console_login: true }\n\n# One line a machine'),
  );
  farm(directory, 'add-node', '52:54:00:aa:00:01', '52:54:00:aa:00:02');
  farm(directory, 'node', 'set', 'n2', 'profile=ram');
  lab = await labOf(directory, { memoryMiB: 256 });
});
afterAll(async () => {
  await lab?.down();
});

const isUp = ({ stage }: { stage: string }): boolean => stage === 'up';

describe('the minimal image', () => {
  it('has a root of a few megabytes, and says what it is made of', () => {
    const image = join(directory, 'images/minimal/current');
    const manifest: ImageManifest = JSON.parse(readFileSync(join(image, 'manifest.json'), 'utf8'));
    expect(manifest.root.bytes).toBeLessThan(3_000_000);
    expect(statSync(join(image, 'root.squashfs')).size).toBeLessThan(2_000_000);
    expect(Object.keys(manifest.packages)).toEqual(['busybox-static']);
    expect(Object.keys(manifest.bootPackages)).toEqual(expect.arrayContaining([manifest.kernel.package, 'busybox-static', 'ipxe']));
    expect(manifest.initramfs.choice).toContain('ethernet');
  });

  it('boots machines of 256 MB, by NFS and in memory, and says that they are up', async () => {
    const nodes = await until(directory, ['n1', 'n2'], isUp, bootSeconds);
    for (const { detail } of nodes) expect(detail).toMatch(/^busybox, Linux 6\.\S+-amd64$/);
    for (const [name, type] of [
      ['n1', 'nfs'],
      ['n2', 'overlay'],
    ] as const) {
      expect(
        await onConsole(lab, name, 'hostname; cat /proc/1/comm; grep " / " /proc/mounts | tail -n 1 | cut -d " " -f 3; ls /lib/modules 2>&1 | wc -l'),
      ).toBe(`${name}\ninit\n${type}\n1`);
    }
  });

  it('boots as a command in it has left it, and a node that runs goes on as it was', async () => {
    const before = await until(directory, ['n1'], isUp, 10);
    farm(directory, 'image', 'exec', 'minimal', '--', 'sh', '-c', 'echo changed >/etc/changed; rm /etc/os-release');
    expect(await onConsole(lab, 'n1', 'ls /etc/changed 2>&1 | wc -l; cat /etc/os-release | wc -l')).toMatch(/^1\n[1-9]/);
    await lab.power('n1', 'reset');
    await until(directory, ['n1'], (node) => isUp(node) && (node.bootedAt ?? 0) > (before[0]?.bootedAt ?? 0), bootSeconds);
    expect(await onConsole(lab, 'n1', 'cat /etc/changed; ls /etc/os-release 2>/dev/null | wc -l')).toBe('changed\n0');
    farm(directory, 'image', 'rollback', 'minimal');
  });
});
