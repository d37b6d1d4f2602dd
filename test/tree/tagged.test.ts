// What clients see of a disk tree with tagged names, against a model that looks at all names each time.
import { mkdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Ipv4, Mac } from '../../src/base/addresses.ts';
import { fitOf, parseDirective, parseTaggedName, type TagClient } from '../../src/overlay/tags.ts';
import { taggedDisk } from '../../src/tree/tagged.ts';
import { type ObjectId, type Tree, TreeError } from '../../src/tree/tree.ts';
import { at, openWorld, refusal, text, type World } from './disk-world.ts';

const one: TagClient = { address: '10.0.0.7' as Ipv4, host: 'n1', fqdn: 'n1.farm.lan', mac: '52:54:00:00:00:01' as Mac, groups: ['lab'] };
const two: TagClient = { address: '10.0.1.8' as Ipv4, host: 'n2', fqdn: 'n2.farm.lan', mac: undefined, groups: ['hpc', 'gpu'] };

let world: World;
beforeEach(() => {
  world = openWorld();
});
afterEach(() => world.end());

function write(name: string, content = name): void {
  writeFileSync(join(world.directory, name), content);
}

/** What a client reads under a name, or why it cannot. */
function seen(tree: Tree, name: string, directory: ObjectId = tree.root): string {
  try {
    return text(tree, tree.lookup(directory, name));
  } catch (error) {
    if (error instanceof TreeError) return error.code;
    throw error;
  }
}

function listed(tree: Tree): string[] {
  return [...tree.entries(tree.root, 0)].map(({ name }) => name).toSorted();
}

const tags = [
  '',
  '$$IP=10.0.0.7$$',
  '$$IP=10.0.0.0_24$$',
  '$$IP=10.0.0.0_16$$',
  '$$HOST=n1$$',
  '$$HOST=n2.farm.lan$$',
  '$$HOST=n*$$',
  '$$HOST=*.farm.lan$$',
  '$$GROUP=gpu$$',
  '$$MAC=52:54:00:00:00:01$$',
  '$$CLIENT$$',
  '$$ALWAYS=IP$$',
];

/** The rules, as one reads them. */
function naive(stored: ReadonlySet<string>, name: string, client: TagClient): string | undefined {
  const versions = [...stored].flatMap((raw) => {
    const tagged = parseTaggedName(raw);
    const fit = tagged?.plain === name ? fitOf(tagged.tag, client) : undefined;
    return fit === undefined ? [] : [{ raw, fit }];
  });
  versions.sort((a, b) => a.fit.row - b.fit.row || a.fit.within - b.fit.within || (a.raw < b.raw ? -1 : 1));
  if (versions[0] !== undefined) return versions[0].raw;
  const hasAlways = [...stored].some((raw) => {
    const directive = parseDirective(raw);
    return directive?.rule === 'ALWAYS' && directive.plain === name;
  });
  return stored.has(name) && !hasAlways ? name : undefined;
}

/** Removes what is there, makes what is not. */
function toggle(raw: string, stored: Set<string>, by: 'hand' | 'tree'): void {
  const { tree, directory } = world;
  if (stored.delete(raw)) {
    if (by === 'hand') unlinkSync(join(directory, raw));
    else tree.remove(tree.root, raw);
    return;
  }
  stored.add(raw);
  if (by === 'hand') write(raw);
  else tree.write(tree.create(tree.root, raw, { kind: 'file' }, { mode: 0o644 }), 0, Buffer.from(raw));
}

function compare(view: Tree, client: TagClient, stored: ReadonlySet<string>): void {
  for (const name of ['a', 'b']) expect([name, seen(view, name)]).toEqual([name, naive(stored, name, client) ?? 'NOENT']);
  const shown = listed(view).filter((name) => !name.startsWith('filler'));
  expect(shown).toEqual(['a', 'b'].filter((name) => naive(stored, name, client) !== undefined));
}

describe('a client of a tagged tree', () => {
  it('sees what the rules say, after every change that anybody makes', async () => {
    const rawName = fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom(...tags)).map((parts) => parts.join(''));
    const step = fc.record({ raw: rawName, by: fc.constantFrom('hand' as const, 'tree' as const), filler: fc.boolean() });
    const until = Date.now() + 1500;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25, size: 'max' }), async (steps) => {
        const { tree, directory } = world;
        const views = [one, two].map((client) => ({ client, view: taggedDisk(tree, client) }));
        const stored = new Set<string>();
        for (const { raw, by, filler } of steps) {
          if (filler) mkdirSync(join(directory, `filler${stored.size}`), { recursive: true });
          toggle(raw, stored, by);
          for (const { client, view } of views) compare(view, client, stored);
        }
        for (const { name } of [...tree.entries(tree.root, 0)]) rmSync(join(directory, name), { recursive: true });
      }),
      { numRuns: 40, interruptAfterTimeLimit: until - Date.now(), markInterruptAsFailure: false },
    );
  });

  it('sees at once a version that somebody has put into a directory of 1000 names', () => {
    for (let index = 0; index < 1000; index += 1) write(`f${index}`);
    const view = taggedDisk(world.tree, one);
    expect(seen(view, 'f7')).toBe('f7');
    world.tree.tags(world.tree.root, 'anew');
    write('f7$$HOST=n1$$');
    // While the directory has not come to rest it is scanned for a fifth of the time only.
    const until = Date.now() + 2000;
    let now = seen(view, 'f7');
    while (now === 'f7' && Date.now() < until) now = seen(view, 'f7');
    expect(now).toBe('f7$$HOST=n1$$');
    unlinkSync(join(world.directory, 'f7$$HOST=n1$$'));
    expect(seen(view, 'f7')).toBe('f7');
  });

  it('has the same number for one object as all others', () => {
    write('f$$HOST=n1$$');
    write('f');
    const [mine, theirs] = [taggedDisk(world.tree, one), taggedDisk(world.tree, two)];
    expect(mine.lookup(mine.root, 'f')).toBe(world.tree.lookup(world.tree.root, 'f$$HOST=n1$$'));
    expect(theirs.lookup(theirs.root, 'f')).toBe(world.tree.lookup(world.tree.root, 'f'));
    expect(mine.lookup(mine.root, 'f$$$$')).toBe(theirs.lookup(theirs.root, 'f'));
  });

  it('cannot see, make, remove or rename to a name that is a tag', () => {
    write('f$$HOST=n2$$');
    write('g');
    const view = taggedDisk(world.tree, one);
    expect(listed(view)).toEqual(['g']);
    const name = 'f$$HOST=n2$$';
    expect(refusal(() => view.lookup(view.root, name))).toBe('NOENT');
    expect(refusal(() => view.remove(view.root, name))).toBe('NOENT');
    expect(refusal(() => view.create(view.root, 'h$$CLIENT$$', { kind: 'file' }, {}))).toBe('BADNAME');
    expect(refusal(() => view.rename(view.root, 'g', view.root, 'g$$CLIENT$$'))).toBe('BADNAME');
    expect(refusal(() => view.link(view.lookup(view.root, 'g'), view.root, '$$CREATE=IP$$'))).toBe('BADNAME');
  });

  it('makes its own versions where CREATE says so, of every kind of object', () => {
    write('$$CREATE=IP$$', '');
    write('f', 'for all');
    const view = taggedDisk(world.tree, one);
    const own = (name: string) => world.tree.lookup(world.tree.root, `${name}$$IP=10.0.0.7$$`);
    expect(seen(view, 'f')).toBe('for all');
    expect(refusal(() => view.create(view.root, 'f', { kind: 'file' }, {}))).toBe('EXIST');
    expect(view.create(view.root, 'file', { kind: 'file' }, {})).toBe(own('file'));
    expect(view.create(view.root, 'directory', { kind: 'directory' }, {})).toBe(own('directory'));
    expect(view.create(view.root, 'symlink', { kind: 'symlink', target: 'x' }, {})).toBe(own('symlink'));
    expect(view.create(view.root, 'fifo', { kind: 'fifo' }, {})).toBe(own('fifo'));
    view.link(own('file'), view.root, 'link');
    expect(own('link')).toBe(own('file'));
    view.rename(view.root, 'file', view.root, 'f');
    expect(own('f')).toBe(own('link'));
    expect(seen(view, 'f$$$$')).toBe('for all');
    expect(seen(taggedDisk(world.tree, two), 'f')).toBe('for all');
    expect(listed(view)).toEqual(['directory', 'f', 'fifo', 'link', 'symlink']);
    expect(listed(taggedDisk(world.tree, two))).toEqual(['f']);
    view.remove(view.root, 'f');
    expect(seen(view, 'f')).toBe('for all');
  });

  it('never sees the plain file where ALWAYS says so', () => {
    write('f', 'for all');
    write('f$$ALWAYS=CLIENT$$', '');
    const view = taggedDisk(world.tree, one);
    expect(seen(view, 'f')).toBe('NOENT');
    view.write(view.create(view.root, 'f', { kind: 'file' }, {}), 0, Buffer.from('clients'));
    expect(seen(taggedDisk(world.tree, two), 'f')).toBe('clients');
    expect(text(world.tree, at(world.tree, 'f'))).toBe('for all');
  });

  it('is refused a version whose name no file system takes', () => {
    write('$$CREATE=IP$$', '');
    const view = taggedDisk(world.tree, one);
    expect(refusal(() => view.create(view.root, 'x'.repeat(245), { kind: 'file' }, {}))).toBe('NAMETOOLONG');
  });

  it('sees what is for its user, as soon as that is there', () => {
    write('f', 'for all');
    const view = taggedDisk(world.tree, one);
    const user = view.forUser?.({ uid: 5, gids: [100, 200] }) ?? view;
    expect(seen(user, 'f')).toBe('for all');
    write('f$$GID=200$$');
    expect(seen(user, 'f')).toBe('f$$GID=200$$');
    write('f$$UID=5$$');
    expect(seen(user, 'f')).toBe('f$$UID=5$$');
    expect(seen(view, 'f')).toBe('for all');
  });
});
