// farm image import with the real tar, mksquashfs, zstd and busybox: of a directory, of a tar, with the newest kernel or the one that is asked for.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importImage } from '../../src/image/import.ts';
import { parseMtree } from '../../src/image/mtree.ts';
import { rootSource } from '../../src/image/root-source.ts';
import { verifyVersion } from '../../src/image/verify.ts';
import { bootableKernel as kernel, makeBootableRoot as makeRoot } from '../support/bootable-root.ts';
import { makeImage } from '../support/made-image.ts';

let top: string;
beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'farm-import-'));
  makeRoot(join(top, 'root'));
  await makeImage(join(top, 'images'), { name: 'donor', files: {} });
});
afterEach(() => rmSync(top, { recursive: true }));

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
