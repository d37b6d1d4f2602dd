// Container images on the disk: which one is chosen, what becomes of it, and what is refused before anything is written.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FarmError } from '../../../src/base/errors.ts';
import { type Descriptor, readConfig, readManifest } from '../../../src/image/oci/documents.ts';
import { manifestFor, namedIn, savedNamed } from '../../../src/image/oci/select.ts';
import { sourceOf } from '../../../src/image/oci/source.ts';
import { unpackContainer } from '../../../src/image/oci/unpack.ts';
import { RootWriter } from '../../../src/image/root.ts';
import { type LayerEntry, type LayoutParts, layerTar, writeLayout } from '../../support/container-layout.ts';

let top: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'farm-container-'));
});
afterEach(() => rmSync(top, { recursive: true }));

const amd64 = { os: 'linux', architecture: 'amd64' };
const about = { platform: amd64, tag: undefined, maxBytes: 10_000_000 };
const hex = (text: string): string => createHash('sha256').update(text).digest('hex');

async function unpacked(text: string, more: Partial<typeof about> = {}) {
  const signal = AbortSignal.timeout(10_000);
  const source = await sourceOf(text, false, { ...about, ...more }, signal);
  if (source.kind !== 'container') throw new Error(`${text} is a ${source.kind}`);
  rmSync(join(top, 'root'), { recursive: true, force: true });
  const root = new RootWriter(join(top, 'root'));
  const workDirectory = join(top, 'work');
  const result = await unpackContainer({ source, root, workDirectory, env: {}, onProgress: () => {}, signal });
  expect(existsSync(workDirectory)).toBe(false);
  return { ...result, entries: root.finish() };
}

const laid = (parts: LayoutParts): string => {
  writeLayout(join(top, 'layout'), parts);
  return join(top, 'layout');
};
const file = (path: string, data = path): LayerEntry => ({ path, kind: 'file', data });

describe('a layout', () => {
  it('is unpacked, with attributes and links, and says by digest what it was', async () => {
    const capability = Buffer.from('0100000200200080000000000000000000000000', 'hex');
    const lower = layerTar([
      { path: 'bin', kind: 'directory', mode: 0o755 },
      { ...file('bin/ping'), mode: 0o4755, uid: 3, attributes: new Map([['security.capability', capability]]) },
      file('gone'),
    ]);
    const upper = layerTar([
      file('.wh.gone', ''),
      { path: 'bin/ping6', kind: 'link', target: 'bin/ping' },
      { path: 'null', kind: 'character', device: { major: 1, minor: 3 } },
    ]);
    const { entries, attributes, lost, origin } = await unpacked(laid({ layers: [lower, upper] }));
    expect(entries.map(({ path, kind, mode }) => [path, kind, mode])).toEqual([
      ['.', 'directory', 0o755],
      ['bin', 'directory', 0o755],
      ['null', 'character', 0o644],
      ['bin/ping', 'file', 0o4755],
      ['bin/ping6', 'file', 0o4755],
    ]);
    expect(attributes.get('bin/ping6')).toEqual(new Map([['security.capability', capability]]));
    expect(lost).toEqual(['bin/ping', 'bin/ping6']);
    expect(origin).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(readdirSync(join(top, 'root')).sort()).toEqual(['bin']);
  });

  const one = layerTar([file('a')]);
  it.each<[string, LayoutParts, string]>([
    ['a layer with other bytes', { layers: [one], damage: (packed) => Buffer.from(packed).fill(1, packed.length - 9) }, 'image.digest|image.packed'],
    ['a layer that is too short', { layers: [one], damage: (packed) => packed.subarray(0, -1) }, 'image.digest|image.packed'],
    ['a layer that is too long', { layers: [one], damage: (packed) => Buffer.concat([packed, packed]) }, 'image.digest'],
    [
      'a layer that is not what the configuration says',
      { layers: [one], change: ({ config }) => Object.assign(config, { rootfs: { type: 'layers', diff_ids: [`sha256:${hex('x')}`] } }) },
      'image.digest',
    ],
    ['more layers than digests', { layers: [one], change: ({ config }) => Object.assign(config, { rootfs: { type: 'layers', diff_ids: [] } }) }, 'image.oci'],
    [
      'a layer that it has not',
      { layers: [one], change: ({ manifest }) => Object.assign(manifest.layers[0] ?? {}, { digest: `sha256:${hex('x')}` }) },
      'image.oci',
    ],
    [
      'a layer of a kind to come',
      { layers: [one], change: ({ manifest }) => Object.assign(manifest.layers[0] ?? {}, { mediaType: 'application/vnd.x+encrypted' }) },
      'image.oci',
    ],
    ['a layer that is no tar', { layers: [Buffer.alloc(2000, 'x')] }, 'image.layer'],
    ['a layer that ends in a file', { layers: [one.subarray(0, 513)] }, 'image.layer'],
    ['a way out', { layers: [layerTar([file('../../etc/passwd')])] }, 'image.layer'],
    ['no layers', { layers: [] }, 'image.oci'],
    ['another platform', { layers: [one], platform: { os: 'linux', architecture: 'riscv64' } }, 'image.platform'],
    ['a bomb', { layers: [layerTar([file('zeros', '\0'.repeat(20_000_000))])] }, 'image.size'],
    ['a bomb after the end of its archive', { layers: [Buffer.concat([one, Buffer.alloc(20_000_000)])] }, 'image.size'],
    ['a file with a hole of a petabyte', { layers: [hole(1e15)] }, 'image.size'],
  ])('with %s is refused, and nothing is written', async (_what, parts, codes) => {
    const error: unknown = await unpacked(laid(parts)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FarmError);
    expect(codes.split('|')).toContain(error instanceof FarmError ? error.code : '');
    expect(readdirSync(join(top, 'root'))).toEqual([]);
    expect(existsSync(join(top, 'work'))).toBe(false);
  });

  it('stays in the root with any layers', async () => {
    const name = fc.constantFrom('a', 'b', 'a/b', 'a/b/c', '../x', '/a', './b/', 'a/../b', '.wh.a', 'a/.wh..wh..opq');
    const entry = fc.record({
      path: name,
      kind: fc.constantFrom('file', 'directory', 'symlink', 'link', 'fifo'),
      target: fc.constantFrom('/etc', '..', '../..', 'a', 'b', '/tmp/x'),
    });
    writeFileSync(join(top, 'witness'), 'unchanged');
    const end = performance.now() + 700;
    for (const layers of fc.sample(fc.array(fc.array(entry, { maxLength: 6 }), { minLength: 1, maxLength: 3 }), 300)) {
      if (performance.now() > end) break;
      const tars = layers.map((entries) =>
        layerTar(entries.map(({ path, kind, target }) => (kind === 'file' ? file(path) : { path, kind: kind as 'link', target }))),
      );
      await unpacked(laid({ layers: tars })).catch((error: unknown) => expect(error).toMatchObject({ code: 'image.layer' }));
      expect(readdirSync(top).sort()).toEqual(['layout', 'root', 'witness']);
    }
  });
});

/** GNU.sparse.size and a map without a piece. */
function hole(size: number): Buffer {
  const record = (line: string): string => `${[line.length + 3, line.length + 4].find((each) => `${each} ${line}\n`.length === each)} ${line}\n`;
  const records = record(`GNU.sparse.size=${size}`) + record('GNU.sparse.map=');
  const head = layerTar([file('hole', records)]);
  head.write('x', 156, 'latin1');
  head.write('        ', 148, 'latin1');
  head.write(
    `${head
      .subarray(0, 512)
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  return Buffer.concat([head.subarray(0, 1024), layerTar([file('hole', '')])]);
}

describe('a docker save', () => {
  const tar = layerTar([file('a')]);
  const diff = createHash('sha256').update(tar).digest('hex');
  const config = JSON.stringify({ ...amd64, rootfs: { type: 'layers', diff_ids: [`sha256:${diff}`, `sha256:${diff}`] } });
  const save = (configName: string): string => {
    const directory = join(top, 'save');
    mkdirSync(join(directory, '0'.repeat(64)), { recursive: true });
    mkdirSync(join(directory, '1'.repeat(64)));
    writeFileSync(join(directory, configName), config);
    writeFileSync(join(directory, '0'.repeat(64), 'layer.tar'), tar);
    symlinkSync(`../${'0'.repeat(64)}/layer.tar`, join(directory, '1'.repeat(64), 'layer.tar'));
    const Layers = ['0', '1'].map((digit) => `${digit.repeat(64)}/layer.tar`);
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify([{ Config: configName, RepoTags: ['lab/x:1'], Layers }]));
    execFileSync('tar', ['-C', directory, '--sort=name', '-cf', join(top, 'save.tar'), '.']);
    return join(top, 'save.tar');
  };

  it('of an old docker has symlinks for layers that it has already', async () => {
    const { entries, origin } = await unpacked(save(`${hex(config)}.json`));
    expect(entries.map(({ path }) => path)).toEqual(['.', 'a']);
    expect(origin).toBe(`sha256:${hex(config)}`);
  });

  it('with another configuration than it says is refused, and so is half of one', async () => {
    await expect(unpacked(save(`${hex('x')}.json`))).rejects.toMatchObject({ code: 'image.digest' });
    truncateSync(join(top, 'save.tar'), 2000);
    await expect(unpacked(join(top, 'save.tar'))).rejects.toMatchObject({ code: 'image.source' });
  });
});

describe('what a person names', () => {
  const kindOf = async (text: string, insecure = false): Promise<string> => {
    const source = await sourceOf(text, insecure, about, AbortSignal.timeout(10_000));
    if (source.kind !== 'container') return source.kind;
    return source.place.kind === 'registry' ? `registry ${source.place.plain ? 'plain' : 'TLS'}` : source.place.kind;
  };

  it('is told by what is there', async () => {
    const layout = laid({ layers: [layerTar([file('a')])] });
    mkdirSync(join(top, 'plain'));
    writeFileSync(join(top, 'plain/etc'), '');
    for (const each of ['plain', 'layout']) execFileSync('tar', ['-C', join(top, each), '-cf', join(top, `${each}.tar`), '.']);
    writeFileSync(join(top, 'layout.tgz'), gzipSync(readFileSync(join(top, 'layout.tar'))));
    expect(await kindOf(layout)).toBe('layout');
    expect(await kindOf(`oci:${layout}`)).toBe('layout');
    expect(await kindOf(join(top, 'plain'))).toBe('directory');
    expect(await kindOf(join(top, 'plain.tar'))).toBe('tar');
    expect(await kindOf(join(top, 'layout.tar'))).toBe('archive');
    expect(await kindOf(join(top, 'layout.tgz'))).toBe('archive');
    expect(await kindOf(`docker-archive:${join(top, 'plain.tar')}`)).toBe('archive');
  });

  it.each([
    ['docker.io/library/debian:13', false, 'registry TLS'],
    ['localhost/x', false, 'registry TLS'],
    ['docker://debian', false, 'registry TLS'],
    ['server.lan:5000/x', true, 'registry plain'],
    ['http://server.lan:5000/x', false, 'registry plain'],
    ['https://server.lan/x', false, 'registry TLS'],
  ])('%s is an image in a registry', async (text, insecure, wanted) => expect(await kindOf(text, insecure)).toBe(wanted));

  it.each(['debian', 'lab/render', './nothing/here', '/nothing', 'oci:/nothing', 'root.tar'])('%s is nothing, and no registry is asked', async (text) => {
    await expect(kindOf(text)).rejects.toMatchObject({ code: 'image.source' });
  });
});

describe('the image that is meant', () => {
  const entry = (platform: Descriptor['platform'], ref?: string): Descriptor => ({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${hex(JSON.stringify([platform, ref]))}`,
    size: 1,
    ...(platform === undefined ? {} : { platform }),
    ...(ref === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': ref } }),
  });
  const index = (...manifests: readonly Descriptor[]) => ({ schemaVersion: 2 as const, manifests: [...manifests] });
  const arm = { os: 'linux', architecture: 'arm', variant: 'v7' };
  const unknown = { os: 'unknown', architecture: 'unknown' };

  it('is that for the platform', () => {
    const many = index(entry(unknown), entry(arm), entry(amd64));
    expect(manifestFor(many, amd64, 'x')).toEqual(entry(amd64));
    expect(manifestFor(many, { os: 'linux', architecture: 'arm' }, 'x')).toEqual(entry(arm));
    expect(manifestFor(index(entry(undefined)), amd64, 'x')).toEqual(entry(undefined));
    const wanted = (): unknown => manifestFor(many, { os: 'linux', architecture: 's390x' }, 'x');
    expect(wanted).toThrow('x has no image for linux/s390x');
    expect(wanted).toThrow(expect.objectContaining({ hint: 'it is for: linux/arm/v7, linux/amd64; choose with --platform' }));
    expect(() => manifestFor(index(), amd64, 'x')).toThrow('no image');
  });

  it('is the only one, or the one with the name', () => {
    const two = index(entry(undefined, 'v1'), entry(undefined, 'v2'));
    expect(namedIn(two, 'v2', 'x').manifests).toEqual([entry(undefined, 'v2')]);
    expect(() => namedIn(two, undefined, 'x')).toThrow(expect.objectContaining({ code: 'image.tag', hint: 'choose with --tag: v1, v2' }));
    expect(() => namedIn(two, 'v3', 'x')).toThrow('x has no image v3');
    expect(namedIn(index(entry(arm), entry(amd64)), undefined, 'x').manifests).toHaveLength(2);
    const saved = ['docker.io/library/x:1', 'y:1'].map((tag) => ({ Config: tag, RepoTags: [tag], Layers: [] }));
    expect(savedNamed(saved, 'x:1', 'x').Config).toBe('docker.io/library/x:1');
    expect(() => savedNamed(saved, undefined, 'x')).toThrow('several images');
  });
});

describe('a document', () => {
  it.each<[string, unknown, RegExp]>([
    ['no JSON', 'x', /no JSON/],
    ['a list', [], /specification/],
    ['a manifest of Docker 1.9', { schemaVersion: 1, layers: [] }, /first format/],
    ['an index and a manifest at once', { schemaVersion: 2, manifests: [], layers: [] }, /at once/],
    ['a digest that is a path', { schemaVersion: 2, manifests: [{ mediaType: 'x', digest: '../../x', size: 1 }] }, /manifests\.0\.digest/],
    ['a negative size', { schemaVersion: 2, manifests: [{ mediaType: 'x', digest: `sha256:${hex('')}`, size: -1 }] }, /manifests\.0\.size/],
    [
      'a chart',
      { schemaVersion: 2, layers: [], config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', digest: `sha256:${hex('')}`, size: 1 } },
      /no container image/,
    ],
  ])('that is %s is refused', (_what, value, message) => {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    expect(() => readManifest(bytes, 'x')).toThrow(message);
  });

  it('of any JSON is read or refused', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const read of [readManifest, readConfig]) expect(() => read(Buffer.from(JSON.stringify(value)), 'x')).toThrow(FarmError);
      }),
    );
  });
});
