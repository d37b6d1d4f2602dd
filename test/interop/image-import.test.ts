// farm image import with the real tar, mksquashfs, zstd and busybox: of a directory, of a tar, with the newest kernel or the one that is asked for.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importImage } from '../../src/image/import.ts';
import { moduleClasses } from '../../src/image/modules.ts';
import { parseMtree } from '../../src/image/mtree.ts';
import { rootSource } from '../../src/image/root-source.ts';
import { verifyVersion } from '../../src/image/verify.ts';
import { makeImage } from '../support/made-image.ts';

let top: string;
beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'farm-import-'));
  makeRoot(join(top, 'root'));
  await makeImage(join(top, 'images'), { name: 'donor', files: {} });
});
afterEach(() => rmSync(top, { recursive: true }));

/** A bzImage of nothing but its header, by the Linux/x86 boot protocol. */
function kernel(release: string): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.write(release, 4096);
  bytes.writeUInt8(1, 0x1f1);
  bytes.writeUInt16LE(0xaa55, 0x1fe);
  bytes.write('HdrS', 0x202, 'latin1');
  bytes.writeUInt16LE(0x020f, 0x206);
  bytes.writeUInt8(1, 0x211);
  bytes.writeUInt32LE(0x7fff_ffff, 0x22c);
  bytes.writeUInt32LE(2047, 0x238);
  bytes.writeBigUInt64LE(0x100_0000n, 0x258);
  bytes.writeUInt32LE(0x200_0000, 0x260);
  return bytes;
}

const required = Object.values(moduleClasses).flatMap((each) => [...each.required]);

function makeRoot(root: string): void {
  for (const path of ['boot', 'etc', 'proc/1', 'usr/bin', 'var/lib/dpkg']) mkdirSync(join(root, path), { recursive: true });
  symlinkSync('usr/lib', join(root, 'lib'));
  writeFileSync(join(root, 'proc/1/stat'), 'of a running system');
  writeFileSync(join(root, 'etc/os-release'), 'ID=debian\nVERSION_CODENAME=bookworm\n');
  writeFileSync(join(root, 'usr/bin/env'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(
    join(root, 'var/lib/dpkg/status'),
    'Package: bash\nStatus: install ok installed\nVersion: 5.2\n\nPackage: gone\nStatus: deinstall ok config-files\n',
  );
  for (const release of ['6.1.0-9', '6.1.0-10', '6.1.0-11']) {
    writeFileSync(join(root, 'boot', `vmlinuz-${release}`), kernel(release));
    if (release === '6.1.0-11') continue; // one without modules
    const modules = join(root, 'usr/lib/modules', release);
    mkdirSync(join(modules, 'kernel/fs'), { recursive: true });
    symlinkSync('/usr/src', join(modules, 'build'));
    writeFileSync(join(modules, 'kernel/fs/nfs.ko'), 'a module');
    writeFileSync(join(modules, 'modules.dep'), 'kernel/fs/nfs.ko:\n');
    writeFileSync(
      join(modules, 'modules.builtin'),
      required
        .filter((name) => name !== 'nfs')
        .map((name) => `kernel/${name}.ko\n`)
        .join(''),
    );
    for (const table of ['softdep', 'alias']) writeFileSync(join(modules, `modules.${table}`), '');
  }
}

async function imported(source: string, wanted?: string) {
  const donor = join(top, 'images/donor', readlinkSync(join(top, 'images/donor/current')));
  return importImage({
    imageDirectory: join(top, 'images/own'),
    name: 'own',
    source: rootSource(source),
    kernel: wanted,
    busybox: '/bin/busybox',
    loaders: { directory: donor, manifest: JSON.parse(readFileSync(join(donor, 'manifest.json'), 'utf8')) },
    signingKey: undefined,
    onProgress: () => {},
    signal: AbortSignal.timeout(60_000),
  });
}

describe('a root directory', () => {
  it('becomes an image, with the newest kernel that has modules', async () => {
    const { version, directory, manifest } = await imported(join(top, 'root'));
    expect(readlinkSync(join(top, 'images/own/current'))).toBe(version);
    expect(manifest).toMatchObject({
      name: 'own',
      suite: 'bookworm',
      kernel: { release: '6.1.0-10' },
      packages: { bash: '5.2' },
      bootPackages: { ipxe: '1.21' },
      initramfs: { modules: 1 },
    });
    expect(Object.keys(manifest.contents)).toEqual(['initramfs', 'kernel', 'kernel.nbi', 'loaders/ipxe.efi', 'root.mtree', 'root.squashfs']);
    expect(readFileSync(join(directory, 'kernel')).equals(kernel('6.1.0-10'))).toBe(true);
    expect(verifyVersion(directory, version, manifest, () => {})).toEqual([]);
    const paths = parseMtree(readFileSync(join(directory, 'root.mtree'))).map(({ path }) => path);
    expect(paths).toContain('proc');
    expect(paths).not.toContain('proc/1');
    const files = execFileSync('sh', ['-c', 'zstd -dc "$0" | busybox cpio -t', join(directory, 'initramfs')], {
      encoding: 'utf8',
    });
    expect(files).toContain('lib/modules/6.1.0-10/kernel/fs/nfs.ko\n');
  });

  it('gives the same version each time, and as a tar, packed or not', async () => {
    const { version } = await imported(join(top, 'root'));
    const tar = join(top, 'root.tar');
    execFileSync('tar', ['-C', join(top, 'root'), '--format=pax', '--exclude=./proc/*', '-cf', tar, '.']);
    expect((await imported(tar)).version).toBe(version);
    execFileSync('gzip', ['-k', tar]);
    expect((await imported(`${tar}.gz`)).version).toBe(version);
    expect(readdirSync(join(top, 'images/own')).sort()).toEqual([version, 'current'].sort());
  });

  it('boots the kernel that is asked for', async () => {
    expect((await imported(join(top, 'root'), '6.1.0-9')).manifest.kernel.release).toBe('6.1.0-9');
  });
});

describe('what is no root leaves nothing', () => {
  it.each<[string, () => void, string, string, string | undefined]>([
    ['a root without kernels', () => rmSync(join(top, 'root/boot'), { recursive: true }), 'root', 'image.kernel', undefined],
    ['a kernel that it has not', () => {}, 'root', 'image.kernel', '6.1.0-8'],
    ['a kernel without modules', () => {}, 'root', 'image.kernel', '6.1.0-11'],
    ['a kernel that is none', () => copyFileSync('/etc/passwd', join(top, 'root/boot/vmlinuz-6.1.0-10')), 'root', 'image.kernel', undefined],
    ['a file that is no tar', () => writeFileSync(join(top, 'x'), Buffer.alloc(4096, 'x')), 'x', 'image.source', undefined],
    ['half a gzip file', () => writeFileSync(join(top, 'x'), Buffer.from('1f8b0800', 'hex')), 'x', 'program.failed', undefined],
    ['nothing', () => {}, 'nothing', 'image.source', undefined],
  ])('%s', async (_what, prepare, source, code, wanted) => {
    prepare();
    await expect((async () => imported(join(top, source), wanted))()).rejects.toMatchObject({ code });
    const own = join(top, 'images/own');
    expect(existsSync(own) ? readdirSync(own) : []).toEqual([]);
  });
});
