// A container image, imported with the kernel of another image, and booted: from the layers of a layout to a node of the cluster.
import { realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lab } from '../../src/lab/lab.ts';
import { layerTar, writeLayout } from '../support/container-layout.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';
import { layerOfImage } from '../support/image-layers.ts';

const bootSeconds = 200;

let directory: string;
let lab: Lab;
let told: string;

/** What no container has: a kernel, device files and a host's own names. What it has instead: leftovers of whoever ran it. */
function writeContainer(layout: string, image: string): void {
  const isContainers = (path: string): boolean =>
    !/^(boot|dev|proc|sys|run|tmp|usr\/lib\/modules)(\/|$)|^etc\/(machine-id|hostname|resolv\.conf|fstab)$/.test(path);
  const base = layerTar([
    ...layerOfImage(image, isContainers),
    { path: '.dockerenv', kind: 'file', mode: 0o755 },
    { path: 'etc/hostname', kind: 'file', data: '4f2c1b\n' },
    { path: 'etc/resolv.conf', kind: 'file', data: 'nameserver 127.0.0.11\n' },
    { path: 'usr/lib/modules', kind: 'directory', mode: 0o755 },
    { path: 'usr/lib/modules/5.4.0-host', kind: 'directory', mode: 0o755 },
    { path: 'usr/lib/modules/5.4.0-host/modules.dep', kind: 'file' },
    { path: 'opt/cache', kind: 'file', data: 'of the build' },
  ]);
  const own = layerTar([
    { path: 'usr/lib/modules', kind: 'directory', mode: 0o755 },
    { path: 'usr/lib/modules/.wh.5.4.0-host', kind: 'file' },
    { path: 'opt', kind: 'directory', mode: 0o755 },
    { path: 'opt/.wh..wh..opq', kind: 'file' },
    { path: 'opt/tool', kind: 'file', mode: 0o4755, uid: 7, gid: 8, data: '#!/bin/sh\necho from the container\n' },
  ]);
  writeLayout(layout, { layers: [base, own] });
}

beforeAll(async () => {
  directory = makeFarm('oci-test', 'debian-13');
  const layout = join(directory, 'layout');
  writeContainer(layout, realpathSync(join(directory, 'images/debian-13/current')));
  told = farm(directory, 'image', 'import', 'container', layout, '--kernel-from', 'debian-13');
  farm(directory, 'add-node', '52:54:00:aa:00:01', '--name', 'n1');
  farm(directory, 'node', 'set', 'n1', 'image=container');
  lab = await labOf(directory, { memoryMiB: 512 });
});
afterAll(async () => {
  await lab?.down();
  rmSync(join(directory, 'images/container'), { recursive: true, force: true });
});

describe('a container image', () => {
  it('is imported with nothing to complain of', () => {
    expect(told).not.toContain('note:');
    expect(told).toMatch(/image container [0-9a-f]{12}, kernel 6\.\S+-amd64/);
  });

  it('boots to a node of the cluster', async () => {
    const [node] = await until(directory, ['n1'], ({ stage, agent }) => stage === 'up' && agent !== undefined, bootSeconds);
    expect(node?.agent?.hostname).toBe('n1');
    expect(await onConsole(lab, 'n1', 'findmnt -nro FSTYPE /; cat /etc/hostname; cat /proc/1/comm; systemctl --failed --no-legend --plain')).toBe(
      'nfs\nn1\nsystemd',
    );
  });

  it('is there as its layers have it, with modules of the kernel that it got', async () => {
    expect(await onConsole(lab, 'n1', '/opt/tool; ls /opt /usr/lib/modules | tr "\\n" " "; stat -c "%a %u %g" /opt/tool /usr/bin/su')).toMatch(
      /^from the container\n\/opt: tool {2}\/usr\/lib\/modules: 6\.\S+-amd64 4755 7 8\n4755 0 0$/,
    );
    expect(await onConsole(lab, 'n1', 'modprobe dummy && grep -c ^dummy /proc/modules; ls -l /dev/null | cut -c1')).toBe('1\nc');
  });
});
