// farm image as a person types it, on a farm of three nodes and made-up images.
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { imageCommand } from '../../src/cli/image.ts';
import { openBuildDirectory, removeTree } from '../../src/image/publish.ts';
import { makeImage } from '../support/made-image.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-image-'));
const images = join(directory, 'images');
afterAll(() => rmSync(directory, { recursive: true }));

let [a, b, c] = ['', '', ''];
const day = (of: number): number => Date.UTC(2026, 0, of, 12);
const small = (content: string, of: number) =>
  makeImage(images, { name: 'small', files: { 'etc/issue': content, [`etc/${content}`]: '' }, packages: { bash: `5.${of}`, [content]: '1' }, built: day(of) });

beforeAll(async () => {
  [a, b, c] = [await small('one', 1), await small('two', 2), await small('three', 3)];
  renameSync(images, join(directory, 'made'));
});
beforeEach(() => {
  for (const name of ['images', 'state']) rmSync(join(directory, name), { recursive: true, force: true });
  cpSync(join(directory, 'made'), images, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  writeFileSync(
    join(directory, 'farm.yaml'),
    `name: lab
networks:
  main: { interface: eth1, address: 10.11.0.1/16, range: 10.11.0.10-10.11.3.250 }
profiles:
  default: { image: small }
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10 }
  n2: { id: 2, mac: "52:54:00:00:00:02", ip: 10.11.0.11 }
`,
  );
});
afterEach(() => {
  process.exitCode = undefined;
});

/** What a private tree begins with once its node has booted that version. */
function booted(node: string, version: string): void {
  const place = join(directory, 'state/private', node);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'journal'), `${JSON.stringify([{ start: { version, epoch: 1, next: 2_147_483_648 } }])}\n`);
}

async function farm(...words: string[]): Promise<string> {
  const written: string[] = [];
  const collect = (part: unknown): boolean => written.push(String(part)) > 0;
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(collect),
    vi.spyOn(process.stderr, 'write').mockImplementation(() => true),
    vi.spyOn(console, 'log').mockImplementation((part) => void written.push(`${part}\n`)),
  ];
  try {
    const program = new Command('farm').option('-C, --directory <dir>').addCommand(imageCommand());
    await program.parseAsync(['-C', directory, 'image', ...words], { from: 'user' });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return written.join('');
}

const inSmall = (): readonly string[] => readdirSync(join(images, 'small')).sort();
const current = (name = 'small'): string => readlinkSync(join(images, name, 'current'));

describe('farm image list', () => {
  it('shows every version, the newest first, and who needs it', async () => {
    booted('n1', `small/${a}`);
    const lines = (await farm('list')).split('\n');
    expect(lines[0]).toMatch(/^IMAGE +VERSION +STATE +SIZE +KERNEL +BUILT +RUN IT +BOOT IT NEXT +WROTE OVER IT$/);
    expect(lines[1]).toMatch(new RegExp(`^small  ${c}  current +\\d+ +6\\.12\\.1-amd64  2026-01-03 12:00 UTC +n\\[1-2\\]$`));
    expect(lines[2]).toMatch(new RegExp(`^small  ${b}  previous `));
    expect(lines[3]).toMatch(new RegExp(`^small  ${a}  old .* n1$`));
    expect(JSON.parse(await farm('list', 'small', '--json'))[2]).toMatchObject({ version: a, state: 'old', written: ['n1'], boots: [], damaged: false });
  });

  it('says of an image that nodes are to boot that it is not built', async () => {
    appendFileSync(join(directory, 'farm.yaml'), `  n3: { id: 3, mac: "52:54:00:00:00:03", ip: 10.11.0.12, profile: default }\n`);
    rmSync(images, { recursive: true });
    expect(await farm('list')).toBe('No image yet. Build one with: farm image build\n');
    await makeImage(images, { name: 'other', files: {} });
    expect(await farm('list')).toContain('small: not built, and n[1-3] would boot it: farm image build small\n');
  });

  it('shows a damaged version beside the others', async () => {
    writeFileSync(join(images, 'small', b, 'manifest.json'), '{"contents":');
    expect(await farm('list')).toMatch(new RegExp(`small  ${b}  damaged`));
  });

  it('says the nearest name to one that there is not', async () => {
    await expect(farm('list', 'smal')).rejects.toMatchObject({
      code: 'image.unknown',
      message: 'there is no image smal (did you mean small?)',
      hint: 'there are: small',
    });
  });
});

describe('farm image use and rollback', () => {
  it('switch the current version, and back, and forth', async () => {
    expect(await farm('use', `small/${a.slice(0, 5)}`)).toBe(`image small: ${a} instead of ${c}; n[1-2] get it at their next boot\n`);
    expect(current()).toBe(a);
    expect(await farm('use', `small/${a}`)).toBe(`image small: ${a} is current already\n`);
    expect(await farm('rollback', 'small')).toContain(`${c} instead of ${a}`);
    expect(await farm('rollback', 'small')).toContain(`${a} instead of ${c}`);
    expect(current()).toBe(a);
    expect(inSmall()).toEqual([a, b, c, 'current', 'previous'].sort());
  });

  it.each([
    ['small', 'image.version', /names no version/],
    ['small/', 'image.version', /has no version $/],
    ['small/zz', 'image.version', /has no version zz/],
    ['small/../small', 'image.version', /has no version/],
    ['smell/aa', 'image.unknown', /did you mean small\?/],
  ])('refuse %s', async (reference, code, message) => {
    await expect(farm('use', reference)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(current()).toBe(c);
  });

  it('do not go back where there was nothing before', async () => {
    await makeImage(images, { name: 'other', files: {} });
    await expect(farm('rollback', 'other')).rejects.toMatchObject({ code: 'image.previous' });
  });

  it('do not make a damaged version current', async () => {
    rmSync(join(images, 'small', a, 'manifest.json'));
    await expect(farm('use', `small/${a}`)).rejects.toMatchObject({ code: 'image.damaged', message: expect.stringContaining('manifest.json is missing') });
    expect(current()).toBe(c);
  });

  it('wait for nobody who builds', async () => {
    const building = openBuildDirectory(join(images, 'small'));
    await expect(farm('use', `small/${a}`)).rejects.toMatchObject({ code: 'image.busy' });
    expect(await farm('list')).toContain(`small: process ${process.pid} is building or changing it`);
    expect(await farm('gc', '--keep', '0')).toBe(`small: nothing removed, because process ${process.pid} is building or changing it\n`);
    removeTree(building);
    expect(current()).toBe(c);
  });
});

describe('farm image gc', () => {
  it('removes what nobody needs, and what interrupted builds left', async () => {
    mkdirSync(join(images, 'small/.build-4194305-77/root'), { recursive: true });
    const before = inSmall();
    const would = await farm('gc', '--keep', '0', '--dry-run');
    expect(would.split('\n')).toEqual([
      `small/${c}: kept, current`,
      `small/${b}: kept, previous: farm image rollback goes back to it`,
      `small/${a}: would remove`,
      'small: would remove what an interrupted build left',
      '',
    ]);
    expect(inSmall()).toEqual(before);
    expect(await farm('gc', '--keep', '0')).toBe(would.replaceAll('would remove', 'removed'));
    expect(inSmall()).toEqual([b, c, 'current', 'previous'].sort());
  });

  it('keeps what a private tree was written over', async () => {
    booted('n2', `small/${a}`);
    expect(await farm('gc', '--keep', '0')).toContain(`small/${a}: kept, what n2 wrote is over it\n`);
    expect(JSON.parse(await farm('gc', '--json'))).toMatchObject([
      { image: 'small', left: 0, versions: [{ removed: false }, {}, { version: a, removed: false }] },
    ]);
    expect(inSmall()).toContain(a);
  });

  it('removes nothing where a private tree cannot be read: nobody knows what it needs', async () => {
    booted('n2', `small/${a}`);
    writeFileSync(join(directory, 'state/private/n2/journal'), 'nonsense\n');
    await expect(farm('gc', '--keep', '0')).rejects.toMatchObject({ code: 'private.unreadable' });
    expect(inSmall()).toContain(a);
  });
});

describe('farm image verify', () => {
  it('says what differs, and exits with 1', async () => {
    expect(await farm('verify', 'small')).toBe([c, b, a].map((version) => `small/${version}: every file is as it was built\n`).join(''));
    expect(process.exitCode).toBeUndefined();
    writeFileSync(join(images, 'small', b, 'root/etc/issue'), 'TWO');
    expect(await farm('verify', `small/${b}`)).toBe(`small/${b}: one file differs\n  root/etc/issue has the right size of 3 bytes, but other content\n`);
    expect(process.exitCode).toBe(1);
    expect(JSON.parse(await farm('verify', '--json'))[1]).toMatchObject({ version: b, faults: [{ path: 'root/etc/issue' }] });
  });

  it('says that a manifest is gone', async () => {
    rmSync(join(images, 'small', c, 'manifest.json'));
    expect(await farm('verify', `small/${c}`)).toContain('manifest.json is missing');
    expect(process.exitCode).toBe(1);
  });
});

describe('farm image diff', () => {
  it('shows packages and files', async () => {
    expect((await farm('diff', `small/${a}`, 'small')).split('\n')).toEqual([
      'changed  package  bash   5.1 -> 5.3',
      'removed  package  one    1',
      'added    package  three  1',
      'changed  /etc/issue  content',
      'added  /etc/three',
      'removed  /etc/one',
      '',
    ]);
    expect(await farm('diff', '--packages', 'small', 'small')).toBe(`small/${c} and small/${c} have the same packages\n`);
    expect(JSON.parse(await farm('diff', '--json', `small/${b}`, 'small')).files).toContainEqual({ path: 'etc/two', change: 'removed', what: [] });
  });
});

describe('farm image copy', () => {
  it('makes another image of the same files, whole and in no space', async () => {
    expect(await farm('copy', `small/${b}`, 'other')).toBe(`image other: ${b} is current\n`);
    expect(current('other')).toBe(b);
    const inode = (image: string): number => statSync(join(images, image, b, 'root/etc/issue')).ino;
    expect(inode('other')).toBe(inode('small'));
    expect(await farm('verify', 'other')).toBe(`other/${b}: every file is as it was built\n`);
    expect(readdirSync(join(images, 'other')).sort()).toEqual([b, 'current'].sort());
  });

  it('adds a version to an image that is there, which can go back', async () => {
    await makeImage(images, { name: 'other', files: {} });
    await farm('copy', 'small', 'other');
    expect(current('other')).toBe(c);
    await farm('rollback', 'other');
    expect(current('other')).not.toBe(c);
  });

  it('outlives its original', async () => {
    await farm('copy', `small/${a}`, 'other');
    await farm('remove', `small/${a}`);
    expect(readFileSync(join(images, 'other/current/root/etc/issue'), 'utf8')).toBe('one');
  });

  it.each([
    ['small', 'image.exists'],
    ['../x', 'image.name'],
    ['Other', 'image.name'],
  ])('refuses the name %s', async (name, code) => {
    await expect(farm('copy', 'small', name)).rejects.toMatchObject({ code });
    expect(readdirSync(images)).toEqual(['small']);
  });
});

describe('farm image remove', () => {
  it('removes one version, but not the current one', async () => {
    await expect(farm('remove', `small/${c}`)).rejects.toMatchObject({ code: 'image.used' });
    expect(await farm('remove', `small/${b}`)).toBe(`image small/${b} is removed\n`);
    await expect(farm('rollback', 'small')).rejects.toMatchObject({ code: 'image.previous' });
  });

  it('asks for --force where nodes need it', async () => {
    booted('n1', `small/${a}`);
    await expect(farm('remove', `small/${a}`)).rejects.toMatchObject({ code: 'image.used', message: `image small/${a} is needed: what n1 wrote is over it` });
    await farm('remove', `small/${a}`, '--force');
    expect(inSmall()).not.toContain(a);
  });

  it('removes a whole image that no profile names', async () => {
    await farm('copy', 'small', 'other');
    await expect(farm('remove', 'small', '--force')).rejects.toMatchObject({ code: 'image.used', message: expect.stringContaining('profile default') });
    expect(await farm('remove', 'other')).toBe('image other is removed\n');
    expect(existsSync(join(images, 'other'))).toBe(false);
  });

  it('leaves what is not its own, and says so', async () => {
    await farm('copy', 'small', 'other');
    writeFileSync(join(images, 'other/notes'), 'mine');
    await expect(farm('remove', 'other')).rejects.toMatchObject({ code: 'image.rest' });
    expect(readdirSync(join(images, 'other'))).toEqual(['notes']);
  });
});

describe('farm image rename', () => {
  it('gives another name, with versions and the way back', async () => {
    await farm('copy', `small/${a}`, 'other');
    await farm('copy', `small/${b}`, 'other');
    expect(await farm('rename', 'other', 'third')).toBe('image other is third now\n');
    expect(readdirSync(images).sort()).toEqual(['small', 'third']);
    expect(readdirSync(join(images, 'third')).sort()).toEqual([a, b, 'current', 'previous'].sort());
    await farm('rollback', 'third');
    expect(current('third')).toBe(a);
  });

  it('leaves an image that a profile names, one that nodes need, and one that has the name', async () => {
    await expect(farm('rename', 'small', 'third')).rejects.toMatchObject({ code: 'image.used' });
    await farm('copy', 'small', 'other');
    await expect(farm('rename', 'other', 'small')).rejects.toMatchObject({ code: 'image.exists' });
    booted('n1', `other/${c}`);
    await expect(farm('rename', 'other', 'third')).rejects.toMatchObject({ code: 'image.used', message: expect.stringContaining('what n1 wrote') });
    expect(readdirSync(images).sort()).toEqual(['other', 'small']);
    expect(readdirSync(join(images, 'other')).sort()).toEqual([c, 'current'].sort());
  });
});
