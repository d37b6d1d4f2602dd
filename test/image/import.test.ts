// Which kernel of an imported root nodes boot, and what the root has for them.
import { describe, expect, it } from 'vitest';
import { chooseKernel } from '../../src/image/import.ts';
import { hasApt, lacking, leadsToFile } from '../../src/image/lacks.ts';
import type { Kind } from '../../src/tree/tree.ts';

describe('the kernel of a root', () => {
  const files = (...paths: readonly string[]) => new Map<string, { readonly kind: Kind }>(paths.map((path) => [path, { kind: 'file' }]));

  it('is the newest that has modules, by the numbers in its release', () => {
    const root = files(
      'boot/vmlinuz-6.1.0-9',
      'boot/vmlinuz-6.1.0-10',
      'boot/vmlinuz-6.1.0-11',
      'usr/lib/modules/6.1.0-9/modules.dep',
      'usr/lib/modules/6.1.0-10/modules.dep',
    );
    expect(chooseKernel(root, undefined).release).toBe('6.1.0-10');
    expect(chooseKernel(root, '6.1.0-9')).toEqual({ release: '6.1.0-9', modules: 'usr/lib/modules/6.1.0-9' });
    expect(() => chooseKernel(root, '6.1.0-11')).toThrow('the root has no kernel 6.1.0-11 in /boot with modules in /lib/modules');
  });

  it('is found where /lib is a directory of its own, too', () => {
    expect(chooseKernel(files('boot/vmlinuz-5', 'lib/modules/5/modules.dep'), undefined)).toEqual({ release: '5', modules: 'lib/modules/5' });
  });

  it('whose modules lead elsewhere is refused', () => {
    const root = new Map([...files('boot/vmlinuz-5', 'lib/modules/5/modules.dep')]).set('lib/modules/5/x.ko', { kind: 'symlink' });
    expect(() => chooseKernel(root, undefined)).toThrow('/lib/modules/5/x.ko is a symlink');
  });
});

describe('a program of a root', () => {
  const entry = (kind: Kind, target?: string) => ({ kind, target });
  const root = new Map([
    ['sbin', entry('symlink', 'usr/sbin')],
    ['usr', entry('directory')],
    ['usr/sbin', entry('directory')],
    ['usr/sbin/init', entry('symlink', '../lib/systemd')],
    ['usr/lib', entry('directory')],
    ['usr/lib/systemd', entry('file')],
    ['usr/sbin/halt', entry('symlink', '/usr/lib/./systemd')],
    ['usr/sbin/away', entry('symlink', '../../../../usr/lib/systemd')],
    ['usr/sbin/lost', entry('symlink', 'nowhere')],
    ['usr/sbin/round', entry('symlink', 'round')],
  ]);
  it.each([
    ['sbin/init', true],
    ['sbin/halt', true],
    ['sbin/away', true],
    ['sbin/lost', false],
    ['sbin/round', false],
    ['usr/sbin', false],
    ['sbin/none', false],
  ])('%s is found through symlinks, as the node will: %s', (path, there) => {
    expect(leadsToFile(root, path)).toBe(there);
  });
});

describe('a root of a container', () => {
  const system = {
    'usr/bin/apt-get': 'apt',
    'sbin/init': 'systemd-sysv',
    'usr/lib/systemd/systemd': 'systemd-sysv',
    'usr/bin/node': 'nodejs',
    'usr/lib/systemd/systemd-udevd': 'udev',
    'usr/sbin/modprobe': 'kmod',
    'usr/sbin/mount.nfs': 'nfs-common',
    'usr/lib/x86_64-linux-gnu/libnss_systemd.so.2': 'libnss-systemd',
  };
  const rootOf = (paths: readonly string[]) =>
    new Map<string, { readonly kind: Kind; readonly target: undefined }>(paths.map((path) => [path, { kind: 'file', target: undefined }]));

  it('lacks nothing if it has what a node needs', () => {
    expect(lacking(rootOf(Object.keys(system)))).toEqual([]);
    expect([hasApt(rootOf(Object.keys(system))), hasApt(rootOf([]))]).toEqual([true, false]);
  });

  it.each(Object.entries(system).slice(1))('without /%s is told of the package %s', (path, name) => {
    const lacks = lacking(rootOf(Object.keys(system).filter((each) => each !== path)));
    expect(lacks.map((lack) => lack.package)).toEqual([name]);
  });

  it('with nothing but a shell lacks all of it, /sbin/init first', () => {
    const lacks = lacking(rootOf(['bin/sh']));
    expect(lacks[0]?.clause).toContain('no /sbin/init');
    expect(lacks.map((lack) => lack.package)).toEqual(['systemd-sysv', 'nodejs', 'udev', 'kmod', 'nfs-common', 'libnss-systemd']);
  });
});
