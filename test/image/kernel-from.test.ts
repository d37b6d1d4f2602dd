// The kernel of one image in the root of another: where its modules go, and which initramfs may be taken.
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addModules, copyBootFiles, type KernelDonor } from '../../src/image/kernel-from.ts';
import { RootWriter } from '../../src/image/root.ts';
import { signFile } from '../../src/image/sign.ts';
import { makeImage } from '../support/made-image.ts';

let top: string;
let donor: KernelDonor;
const modules = 'usr/lib/modules/6.12.1-amd64';
beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'farm-kernel-'));
  const version = await makeImage(top, { name: 'donor', files: { [`${modules}/kernel/nfs.ko`]: 'a module', [`${modules}/modules.dep`]: 'table' } });
  const directory = join(top, 'donor', version);
  donor = { directory, manifest: JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')) };
});
afterEach(() => rmSync(top, { recursive: true }));

const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 5, nanoseconds: 0 } };

function root(prepare: (writer: RootWriter) => void): RootWriter {
  const writer = new RootWriter(join(top, 'root'));
  writer.addDirectory('.', metadata);
  prepare(writer);
  return writer;
}

describe('the modules', () => {
  it.each<[string, (writer: RootWriter) => void, string]>([
    ['where /lib is a directory', (writer) => writer.addDirectory('lib', metadata), 'lib/modules'],
    ['where /lib is a symlink', (writer) => writer.addSymlink('lib', metadata, 'usr/lib'), 'usr/lib/modules'],
    ['where there is no /lib', () => {}, 'lib/modules'],
  ])('go to /lib/modules, %s', async (_what, prepare, to) => {
    const writer = root(prepare);
    await addModules(writer, donor);
    expect(writer.entry(`${to}/6.12.1-amd64/kernel/nfs.ko`)).toMatchObject({ kind: 'file', size: 8, mode: 0o644 });
    expect(readFileSync(join(top, 'root', to, '6.12.1-amd64/modules.dep'), 'utf8')).toBe('table');
  });

  it.each<[string, (writer: RootWriter) => void, string]>([
    ['where there are some already', (writer) => writer.addParents('lib/modules/6.12.1-amd64/x', metadata.mtime), 'image.kernel'],
    ['where /lib leads elsewhere', (writer) => writer.addSymlink('lib', metadata, '/etc'), 'image.kernel'],
    ['of a damaged image', () => writeFileSync(join(donor.directory, 'root', modules, 'modules.dep'), 'other'), 'image.damaged'],
    ['of an image that has none', () => rmSync(join(donor.directory, 'root.mtree')), 'ENOENT'],
  ])('do not go %s', async (_what, prepare, code) => {
    await expect(addModules(root(prepare), donor)).rejects.toMatchObject({ code });
  });
});

describe('the initramfs', () => {
  const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const [own, other] = [pair(), pair()];
  const taken = async (by: typeof own | undefined, signedBy: typeof own | undefined) => {
    const initramfs = join(donor.directory, 'initramfs');
    if (signedBy !== undefined) writeFileSync(`${initramfs}.sig`, await signFile(signedBy, initramfs));
    mkdirSync(join(top, 'building'));
    await copyBootFiles(join(top, 'building'), donor, by);
    return readdirSync(join(top, 'building')).sort();
  };

  it.each([
    ['the farm signs nothing, and it is not signed', undefined, undefined],
    ["it is signed with the farm's key", own, own],
  ])('is taken if %s', async (_what, by, signedBy) => expect(await taken(by, signedBy)).toEqual(['initramfs', 'kernel']));

  it.each([
    ['it is not signed', own, undefined],
    ['it is signed with another key', own, other],
    ['it wants signatures that there will be none of', undefined, own],
  ])('is refused if %s', async (_what, by, signedBy) => {
    await expect(taken(by, signedBy)).rejects.toMatchObject({ code: 'image.signature' });
  });
});
