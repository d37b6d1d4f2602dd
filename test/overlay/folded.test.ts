// What farm render writes, read as a ClusterNFS-style server would, against what our own tree shows the same nodes.
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { FarmError } from '../../src/base/errors.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { tagClient } from '../../src/farm/farm.ts';
import { farmMap } from '../../src/farm/own-map.ts';
import { writeRendered } from '../../src/farm/rendered-directory.ts';
import { templateValues } from '../../src/farm/values.ts';
import { filesFor, foldOverlay } from '../../src/overlay/folded.ts';
import { renderOverlay } from '../../src/overlay/render.ts';
import { readOverlaySources } from '../../src/overlay/sources.ts';
import type { TagClient } from '../../src/overlay/tags.ts';
import type { BaseObject } from '../../src/tree/base.ts';
import { graft, type OverlayFile } from '../../src/tree/graft.ts';
import { top } from '../reference/logged.ts';
import { testImage } from '../tree/fixtures.ts';

const scratch = mkdtempSync(join(tmpdir(), 'farm-render-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let work: string;
beforeEach(() => {
  work = mkdtempSync(join(scratch, 'test-'));
});

const farm = parseFarm(readFileSync(new URL('./sample-farm.yaml', import.meta.url), 'utf8'), '/srv/sample');
const clients = farm.nodes.map((node) => tagClient(farm, node));
const values = templateValues(farm, Buffer.alloc(32, 7), farmMap(farm));

function own(files: Readonly<Record<string, string>>): readonly OverlayFile[] {
  const directory = mkdtempSync(join(scratch, 'own-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(directory, path, '..'), { recursive: true });
    if (text.startsWith('-> ')) symlinkSync(text.slice(3), join(directory, path));
    else writeFileSync(join(directory, path), text);
  }
  return renderOverlay(readOverlaySources([join(top, 'templates/root'), directory]), values);
}

const traps = own({
  'etc/motd': 'plain',
  'etc/motd$$GROUP=lab$$': 'lab',
  'etc/motd$$IP=10.11.0.10$$': 'address',
  'etc/motd$$HOST=n1$$': 'host, but the address goes before it',
  'etc/rack$$IP=10.11.0.0_28$$': 'small network',
  'etc/rack$$IP=10.11.0.0_24$$': 'network',
  'etc/rack$$HOST=n*$$': 'never',
  'etc/card$$MAC=52:54:00:12:34:58$$': 'by its card',
  'etc/same$$HOST=n1$$': 'alike',
  'etc/same$$HOST=n2$$': 'alike',
  'etc/same$$HOST=n3$$': 'alike',
  'etc/almost$$HOST=n1$$': 'alike',
  'etc/almost$$CLIENT$$': 'alike',
  'etc/almost$$HOST=n2$$': 'other',
  'etc/link$$HOST=n?$$': '-> motd',
  'etc/link$$HOST=n2$$': '-> hosts',
  'srv/set$$HOST=n2$$/a/one': 'only n2 has this directory',
  'srv/set/two': 'the others this one',
  'srv/kind$$GROUP=lab$$/file': 'a directory for one',
  'srv/kind': 'a file for others',
  'srv/all$$HOST=*$$/x': 'everybody by a pattern',
});

/** By path: what our tree gives a client over an image that has nothing. */
function ours(files: readonly OverlayFile[], client: TagClient): Record<string, string> {
  const base = graft(testImage('t/1', {}), files);
  const found: Record<string, string> = {};
  const walk = (directory: BaseObject | undefined, above: string): void => {
    for (const { name, id } of directory?.directory?.visible(client, 0) ?? []) {
      const object = base.object(id);
      if (object?.kind === 'directory') walk(object, `${above}${name}/`);
      else if (object?.kind === 'symlink') found[above + name] = `-> ${object.target}`;
      else if (object?.content?.kind === 'bytes') found[above + name] = `${object.mode.toString(8)} ${object.content.bytes.toString()}`;
    }
  };
  walk(base.object(base.root), '');
  return found;
}

/** The same, read from the directory by the order of unfs3's tags(7), as far as render uses it. */
function naive(directory: string, { address, host }: TagClient, above = ''): Record<string, string> {
  const names = readdirSync(directory).filter((name) => name !== '.farm-rendered');
  const plain = new Set(names.map((name) => name.replace(/\$\$(IP=[0-9.]+|HOST=[a-z0-9]+|CLIENT)\$\$$/, '')));
  const found: Record<string, string> = {};
  for (const name of plain) {
    const stored = [`$$IP=${address}$$`, `$$HOST=${host}$$`, '$$CLIENT$$', ''].map((tag) => name + tag).find((one) => names.includes(one));
    if (stored === undefined) continue;
    const path = join(directory, stored);
    const entry = readdirSync(directory, { withFileTypes: true }).find((one) => one.name === stored);
    if (entry?.isDirectory() === true) Object.assign(found, naive(path, { address, host } as TagClient, `${above}${name}/`));
    else if (entry?.isSymbolicLink() === true) found[above + name] = `-> ${readlinkSync(path)}`;
    else found[above + name] = `${(statSync(path).mode & 0o7777).toString(8)} ${readFileSync(path).toString()}`;
  }
  return found;
}

function treeText(directory: string): string {
  return readdirSync(directory, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((entry) => {
      const path = join(directory, entry.name);
      if (entry.isSymbolicLink()) return `${entry.name} -> ${readlinkSync(path)}\n`;
      const { mode, mtimeMs } = statSync(path);
      return `${entry.name} ${mode.toString(8)} ${mtimeMs}\n${entry.isDirectory() ? treeText(path) : readFileSync(path, 'base64')}`;
    })
    .join('');
}

describe('a rendered set', () => {
  const folded = foldOverlay(traps, clients);
  const names = folded.map(({ path }) => path);

  it.each(clients.map((client) => [client.host, client] as const))('shows %s what our tree does', (_host, client) => {
    writeRendered(join(work, 'out'), folded);
    const expected = ours(traps, client);
    expect(Object.keys(expected).length).toBeGreaterThan(25);
    expect(naive(join(work, 'out'), client)).toEqual(expected);
    expect(Object.fromEntries([...filesFor(traps, client).keys()].map((path) => [path, true]))).toEqual(
      Object.fromEntries(Object.keys(expected).map((path) => [path, true])),
    );
  });

  it('has one name for what all nodes get alike, and one for each node that gets something else', () => {
    const of = (plain: string): readonly string[] => names.filter((name) => name.startsWith(plain)).map((name) => name.slice(plain.length));
    expect(of('etc/same')).toEqual(['$$CLIENT$$']);
    expect(of('etc/almost')).toEqual(['$$CLIENT$$', '$$HOST=n2$$']);
    expect(of('etc/motd')).toEqual(['$$CLIENT$$', '$$IP=10.11.0.10$$', '$$IP=10.11.0.11$$']);
    expect(of('srv/all')).toEqual(['$$CLIENT$$/x$$CLIENT$$']);
    expect(of('etc/card')).toEqual(['$$IP=10.11.0.20$$']);
    expect(of('etc/hostname')).toEqual(['$$HOST=n1$$', '$$HOST=n2$$', '$$HOST=n3$$']);
    expect(of('etc/ssh/ssh_host_ed25519_key$')).toEqual(['$HOST=n1$$', '$HOST=n2$$', '$HOST=n3$$']);
    expect(names.filter((name) => !/\$\$(IP=[0-9.]+|HOST=n[0-9]|CLIENT)\$\$$/.test(name))).toEqual([]);
  });

  it('is the same bytes, modes and times each time, also over an older one', () => {
    writeRendered(join(work, 'a'), folded);
    writeRendered(join(work, 'b'), foldOverlay([...traps].reverse(), clients));
    writeRendered(join(work, 'c'), folded.slice(5));
    writeRendered(join(work, 'c'), folded);
    expect(treeText(join(work, 'b'))).toBe(treeText(join(work, 'a')));
    expect(treeText(join(work, 'c'))).toBe(treeText(join(work, 'a')));
    expect(readdirSync(work).filter((name) => /\.(new|old)-/.test(name))).toEqual([]);
  });

  it('writes anew what has lost its time, and leaves one copy of each file', () => {
    const out = join(work, 'out');
    writeRendered(join(work, 'a'), folded);
    writeRendered(out, folded);
    utimesSync(join(out, 'etc/hosts$$CLIENT$$'), 1, 1);
    writeRendered(out, folded);
    expect(treeText(out)).toBe(treeText(join(work, 'a')));
    expect(statSync(join(out, 'etc/fstab$$CLIENT$$')).nlink).toBe(1);
  });

  it('is left as it is where it has just these files, and is mended where it has not', () => {
    const out = join(work, 'out');
    const number = (): number => statSync(out).ino;
    writeRendered(join(work, 'a'), folded);
    writeRendered(out, folded);
    const first = number();
    writeRendered(out, folded);
    expect(number()).toBe(first);
    const [some] = folded;
    for (const spoil of [
      () => chmodSync(join(out, 'etc'), 0o700),
      () => rmSync(join(out, some?.path ?? '')),
      () => mkdirSync(join(out, 'empty')),
      () => writeRendered(out, folded.slice(1)),
    ]) {
      spoil();
      writeRendered(out, folded);
      expect(treeText(out)).toBe(treeText(join(work, 'a')));
    }
  });

  it('does not take the place of anything else', () => {
    const out = join(work, 'out');
    const refusal = (): string => {
      try {
        writeRendered(out, folded);
      } catch (error) {
        return `${(error as FarmError).code}: ${(error as FarmError).message.replace(out, 'OUT')}`;
      }
      return 'written';
    };
    mkdirSync(out);
    expect(refusal()).toBe('written');
    writeFileSync(join(out, 'etc/mine'), 'mine');
    expect(refusal()).toBe('render.foreign: OUT is not overwritten: etc/mine was put there or changed since');
    rmSync(join(out, 'etc/mine'));
    writeFileSync(join(out, 'etc/hosts$$CLIENT$$'), 'changed by hand');
    expect(refusal()).toContain('etc/hosts$$CLIENT$$ was put there or changed since');
    rmSync(join(out, '.farm-rendered'));
    expect(refusal()).toContain('farm render did not write it');
    rmSync(out, { recursive: true });
    writeFileSync(out, 'a file');
    expect(refusal()).toContain('it is a file');
    expect(readFileSync(out, 'utf8')).toBe('a file');
  });

  it('keeps for a node what it alone has, when it is rendered alone', () => {
    const paths = foldOverlay(traps, clients.slice(0, 1)).map(({ path }) => path);
    expect(paths.filter((path) => /host_ed25519|hostname|hosts/.test(path))).toEqual([
      'etc/hostname$$HOST=n1$$',
      'etc/hosts$$CLIENT$$',
      'etc/ssh/ssh_host_ed25519_key$$HOST=n1$$',
      'etc/ssh/ssh_known_hosts$$CLIENT$$',
    ]);
  });

  it('cannot have versions for users', () => {
    expect(() => foldOverlay(own({ 'etc/x$$UID=1$$': 'x' }), clients)).toThrow('versions for users');
    expect(() => foldOverlay(own({ 'etc/x$$HOST=n1$$/y$$GID=1$$': 'x' }), clients)).toThrow('versions for users');
  });
});
