// farm image import of container images that umoci made and skopeo copied: in layouts, in archives and through docker-registry. The same image by
// umoci's own hand must be the same tree, to the last attribute.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { importImage } from '../../src/image/import.ts';
import { parseMtree } from '../../src/image/mtree.ts';
import type { Platform } from '../../src/image/oci/documents.ts';
import { sourceOf } from '../../src/image/oci/source.ts';
import { rootSource } from '../../src/image/root-source.ts';
import { readTar } from '../../src/image/tar-reader.ts';
import { verifyVersion } from '../../src/image/verify.ts';
import { makeBootableRoot } from '../support/bootable-root.ts';
import { makeImage } from '../support/made-image.ts';

let top: string;
let images: string;
let wanted: readonly string[];
const servers: ChildProcess[] = [];
const signal = AbortSignal.timeout(110_000);
const run = (program: string, ...args: readonly string[]): string => execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe', timeout: 60_000 });
const skopeo = (...args: readonly string[]): string => run('skopeo', '--insecure-policy', ...args);
const at = (...parts: readonly string[]): string => join(top, ...parts);

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'farm-oci-'));
  images = at('images');
  makeContainer();
  run('umoci', 'unpack', '--image', at('layout:v3'), at('reference'));
  wanted = await listed(at('reference/rootfs'));
  await makeImage(images, { name: 'loaders', files: {} });
  makeBootableRoot(at('root'));
  await imported('donor', rootSource(at('root')), undefined);
});
afterAll(async () => {
  for (const server of servers) {
    server.kill();
    await once(server, 'close');
  }
  rmSync(top, { recursive: true });
});

/** Three layers of umoci's: everything that a root has, changed and removed, and changed again. */
function makeContainer(): void {
  run('umoci', 'init', '--layout', at('layout'));
  run('umoci', 'new', '--image', at('layout:v0'));
  layer('v0', 'v1', (root) => {
    for (const path of ['usr/bin', 'usr/lib', 'etc/old/deep', 'var/empty', 'srv/é', 'x'.repeat(120)]) mkdirSync(join(root, path), { recursive: true });
    symlinkSync('usr/lib', join(root, 'lib'));
    writeFileSync(join(root, 'usr/bin/ping'), 'ping', { mode: 0o755 });
    run('setfattr', '-n', 'security.capability', '-v', '0x0100000200200000000000000000000000000000', join(root, 'usr/bin/ping'));
    writeFileSync(join(root, 'usr/bin/su'), 'su');
    chownSync(join(root, 'usr/bin/su'), 1000, 2000);
    chmodSync(join(root, 'usr/bin/su'), 0o6755);
    chmodSync(join(root, 'var/empty'), 0o1777);
    linkSync(join(root, 'usr/bin/su'), join(root, 'usr/bin/su2'));
    writeFileSync(join(root, 'etc/motd'), 'one');
    run('setfattr', '-n', 'user.origin', '-v', 'first', join(root, 'etc/motd'));
    writeFileSync(join(root, 'etc/old/deep/file'), 'old');
    writeFileSync(join(root, 'srv/é/ü'), 'names of bytes');
    writeFileSync(join(root, `${'x'.repeat(120)}/${'y'.repeat(120)}`), Buffer.alloc(300_000, 'long'));
    run('mkfifo', join(root, 'var/fifo'));
    run('mknod', join(root, 'var/null'), 'c', '1', '3');
    lutimesSync(join(root, 'lib'), 1_600_000_000, 1_600_000_000);
  });
  layer('v1', 'v2', (root) => {
    rmSync(join(root, 'etc/old'), { recursive: true });
    writeFileSync(join(root, 'etc/old'), 'a file where a directory was');
    appendFileSync(join(root, 'etc/motd'), ' two');
    run('setfattr', '-n', 'user.origin', '-v', 'second', join(root, 'etc/motd'));
    rmSync(join(root, 'usr/bin/su'));
    writeFileSync(join(root, 'usr/lib/libx.so'), 'of the second layer', { mode: 0o755 });
    linkSync(join(root, 'usr/bin/ping'), join(root, 'usr/bin/ping6'));
    rmSync(join(root, 'srv'), { recursive: true });
    mkdirSync(join(root, 'srv'));
    writeFileSync(join(root, 'srv/new'), 'new');
  });
  layer('v2', 'v3', (root) => {
    rmSync(join(root, 'etc/old'));
    mkdirSync(join(root, 'etc/old'), { mode: 0o750 });
    writeFileSync(join(root, 'etc/old/again'), 'a directory again');
    chownSync(join(root, 'etc/old/again'), 7, 8);
    rmSync(join(root, 'var/fifo'));
  });
}

function layer(from: string, to: string, change: (root: string) => void): void {
  run('umoci', 'unpack', '--image', at(`layout:${from}`), at(to));
  change(at(to, 'rootfs'));
  run('umoci', 'repack', '--image', at(`layout:${to}`), at(to));
}

/** A line for each name: what tar(1) finds there, without the modules that came from another image. */
async function listed(directory: string): Promise<readonly string[]> {
  const tar = execFileSync('tar', ['--create', '--format=pax', '--sort=name', '--numeric-owner', '--xattrs', '--xattrs-include=*', '-C', directory, '.'], {
    maxBuffer: 1 << 26,
  });
  const lines: string[] = [];
  for await (const { path, kind, mode, uid, gid, size, mtime, target, device, attributes, content } of readTar(Readable.from([tar]))) {
    if (/^\.\/(usr\/lib\/modules|dev|proc|run|sys|tmp)\//.test(path)) continue;
    const hash = createHash('sha256');
    for await (const chunk of content) hash.update(chunk);
    const shared = /^\.\/(usr\/lib\/)?$/.test(path); // the import adds to these
    const time = shared ? '' : mtime.seconds;
    const extended = [...attributes].map(([name, value]) => `${name}=${value.toString('hex')}`).sort();
    lines.push([path, kind, mode.toString(8), uid, gid, size, time, target, device.major, device.minor, ...extended, hash.digest('hex').slice(0, 8)].join(' '));
  }
  return lines;
}

async function imported(name: string, source: Parameters<typeof importImage>[0]['source'], kernelFrom: string | undefined) {
  const version = (image: string): string => join(images, image, readlinkSync(join(images, image, 'current')));
  const donor = (image: string) => ({ directory: version(image), manifest: JSON.parse(readFileSync(join(version(image), 'manifest.json'), 'utf8')) });
  return importImage({
    imageDirectory: join(images, name),
    name,
    source,
    kernel: kernelFrom === undefined ? undefined : donor(kernelFrom),
    busybox: '/bin/busybox',
    loaders: donor('loaders'),
    signingKey: undefined,
    onProgress: () => {},
    signal,
  });
}

const about: { readonly platform: Platform; readonly tag: string | undefined; readonly maxBytes: number } = {
  platform: { os: 'linux', architecture: 'amd64' },
  tag: undefined,
  maxBytes: 1e9,
};

/** What a node has that boots it from memory: the whole way to the packed root, unpacked by somebody else again. */
async function treeOf(text: string, more: Partial<typeof about> = {}): Promise<readonly string[]> {
  const { directory, version, manifest } = await imported('own', await sourceOf(text, false, { ...about, ...more }, signal), 'donor');
  expect(manifest.kernel.release).toBe('6.1.0-10');
  expect(verifyVersion(directory, version, manifest, () => {})).toEqual([]);
  const out = at('squash');
  rmSync(out, { recursive: true, force: true });
  run('unsquashfs', '-no-progress', '-dest', out, join(directory, 'root.squashfs'));
  return withoutMountPoints(await listed(out));
}

/** Those that the import makes where a container has none. */
const withoutMountPoints = (lines: readonly string[]): readonly string[] =>
  lines.filter((line) => !/^\.\/((dev|proc|run|sys|tmp)|usr\/lib\/modules)\/ /.test(line));

async function registry(more: string): Promise<string> {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const address = free.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  free.close();
  const storage = at(`storage-${port}`);
  writeFileSync(
    at(`registry-${port}.yml`),
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${storage}}}\nhttp: {addr: "127.0.0.1:${port}"}\n${more}`,
  );
  const child = spawn('docker-registry', ['serve', at(`registry-${port}.yml`)], { stdio: 'ignore' });
  servers.push(child);
  const end = Date.now() + 20_000;
  for (let up = false; !up; ) {
    up = await fetch(`http://127.0.0.1:${port}/v2/`).then(
      () => true,
      () => false,
    );
    if (Date.now() > end) throw new Error('docker-registry does not start');
  }
  return `127.0.0.1:${port}`;
}

describe('a container image', () => {
  it('in an OCI layout becomes the tree that umoci unpacks', async () => {
    expect(wanted.length).toBeGreaterThan(15);
    expect(wanted.some((line) => line.includes('security.capability='))).toBe(true);
    expect(await treeOf(at('layout'), { tag: 'v3' })).toEqual(wanted);
    const paths = parseMtree(readFileSync(join(images, 'own', readlinkSync(join(images, 'own/current')), 'root.mtree')));
    expect(paths.find(({ path }) => path === 'usr/lib/modules/6.1.0-10/kernel/fs/nfs.ko')).toMatchObject({ kind: 'file', size: 8 });
    expect(paths.find(({ path }) => path === 'usr/bin/su2')).toMatchObject({ mode: 0o6755, uid: 1000, gid: 2000 });
    expect(paths.find(({ path }) => path === 'var/null')).toMatchObject({ kind: 'character', device: { major: 1, minor: 3 } });
  });

  it('in an archive of skopeo, for podman or for docker, packed or not, becomes the same', async () => {
    skopeo('copy', `oci:${at('layout')}:v3`, `oci-archive:${at('oci.tar')}:v3`);
    expect(await treeOf(at('oci.tar'))).toEqual(wanted);
    skopeo('copy', `oci:${at('layout')}:v3`, `docker-archive:${at('docker.tar')}:lab/render:v3`);
    expect(await treeOf(at('docker.tar'))).toEqual(wanted);
    run('zstd', '-q', at('docker.tar'), '-o', at('docker.tar.zst'));
    expect(await treeOf(at('docker.tar.zst'), { tag: 'lab/render:v3' })).toEqual(wanted);
  });

  it('with layers packed by zstd, or not at all, becomes the same', async () => {
    cpSync(at('layout'), at('zstd'), { recursive: true });
    repacked(at('zstd'), (tar) => execFileSync('zstd', ['-q', '-c'], { input: tar }), '+zstd');
    expect(await treeOf(at('zstd'), { tag: 'v3' })).toEqual(wanted);
    cpSync(at('layout'), at('plain'), { recursive: true });
    repacked(at('plain'), (tar) => tar, '');
    expect(await treeOf(at('plain'), { tag: 'v3' })).toEqual(wanted);
  });

  it('is pulled from a registry by tag and by digest', async () => {
    const host = await registry('');
    skopeo('copy', '--dest-tls-verify=false', `oci:${at('layout')}:v3`, `docker://${host}/lab/render:v3`);
    expect(await treeOf(`http://${host}/lab/render:v3`)).toEqual(wanted);
    const digest = skopeo('inspect', '--tls-verify=false', '--format', '{{.Digest}}', `docker://${host}/lab/render:v3`).trim();
    const { manifest } = await imported('own', await sourceOf(`${host}/lab/render@${digest}`, true, about, signal), 'donor');
    expect(manifest.origin).toBe(`${host}/lab/render@${digest}`);
    await expect(imported('own', await sourceOf(`${host}/lab/render:v4`, true, about, signal), 'donor')).rejects.toMatchObject({ code: 'registry.unknown' });
    await expect(imported('own', await sourceOf(`${host}/lab/render:v3`, false, about, signal), 'donor')).rejects.toMatchObject({
      code: 'registry.unreachable',
    });
    const arm = { ...about, platform: { os: 'linux', architecture: 'arm64' } };
    await expect(imported('own', await sourceOf(`http://${host}/lab/render:v3`, false, arm, signal), 'donor')).rejects.toMatchObject({
      code: 'image.platform',
    });
    await expect(imported('own', await sourceOf(`http://${host}/lab/render:v3`, false, about, signal), undefined)).rejects.toMatchObject({
      code: 'image.kernel',
    });
    expect(readdirSync(join(images, 'own')).filter((name) => name.startsWith('.build'))).toEqual([]);
  });

  it('is pulled by the command from a registry that wants a password, which skopeo has logged in to', async () => {
    // htpasswd(1) of "secret"; the registry takes bcrypt only.
    writeFileSync(at('htpasswd'), 'teacher:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n');
    const host = await registry(`auth: {htpasswd: {realm: lab, path: ${at('htpasswd')}}}\n`);
    const env = { ...process.env, REGISTRY_AUTH_FILE: at('auth.json') };
    const farm = (...args: readonly string[]): string =>
      execFileSync(fileURLToPath(new URL('../../bin/farm', import.meta.url)), ['-C', top, 'image', ...args], { env, encoding: 'utf8', stdio: 'pipe' });
    writeFileSync(at('farm.yaml'), '');
    execFileSync('skopeo', ['login', '--tls-verify=false', '-u', 'teacher', '-p', 'secret', host], { env, stdio: 'pipe' });
    execFileSync('skopeo', ['--insecure-policy', 'copy', '--dest-tls-verify=false', `oci:${at('layout')}:v3`, `docker://${host}/lab/render:v3`], {
      env,
      stdio: 'pipe',
    });
    expect(farm('import', 'render', `${host}/lab/render:v3`, '--insecure', '--kernel-from', 'donor', '--loaders', 'loaders')).toMatch(
      /note: the root has no \/sbin\/init.*\n(?:note: .*\n)*to add it, install what Debian has in: systemd-sysv .*\nimage render [0-9a-f]{12}, kernel 6\.1\.0-10\n$/,
    );
    expect(existsSync(join(images, 'render/current'))).toBe(true);
    rmSync(at('auth.json'));
    writeFileSync(at('auth.json'), '{}');
    expect(() => farm('import', 'render', `${host}/lab/render:v3`, '--insecure', '--kernel-from', 'donor')).toThrow(/does not let everybody read lab\/render/);
  });
});

/** Packs the layers of the last image in a layout in another way. */
function repacked(layout: string, pack: (tar: Buffer) => Buffer, suffix: string): void {
  const put = (bytes: Buffer): { readonly digest: string; readonly size: number } => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(layout, 'blobs/sha256', hex), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const blob = (digest: string): Buffer => readFileSync(join(layout, 'blobs', digest.replace(':', '/')));
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
  for (const entry of index.manifests) {
    const manifest = JSON.parse(blob(entry.digest).toString());
    for (const each of manifest.layers) {
      Object.assign(each, put(pack(execFileSync('gzip', ['-dc'], { input: blob(each.digest), maxBuffer: 1 << 26 }))));
      each.mediaType = `application/vnd.oci.image.layer.v1.tar${suffix}`;
    }
    Object.assign(entry, put(Buffer.from(JSON.stringify(manifest))));
  }
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
}
