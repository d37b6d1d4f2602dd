// Changing images beside a farm that serves them: nodes go on with the version that they booted.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { collectGarbage, useVersion } from '../../src/farm/change-images.ts';
import { imageUses } from '../../src/farm/image-uses.ts';
import { Images } from '../../src/farm/images.ts';
import { LiveFarm } from '../../src/farm/live.ts';
import { recordedVersions } from '../../src/farm/private-trees.ts';
import { NodeViews } from '../../src/farm/views.ts';
import { makeImage } from '../support/made-image.ts';

const n1 = ipv4('10.11.0.10');
let directory: string;
let images: Images;
let views: NodeViews;
let live: LiveFarm;
let [a, b, c] = ['', '', ''];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'farm-change-'));
  for (const name of ['state', 'templates']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'state/key'), 'ab'.repeat(32));
  writeFileSync(
    join(directory, 'farm.yaml'),
    'name: lab\nnetworks: { main: { interface: eth1, address: 10.11.0.1/24 } }\nprofiles: { default: { image: test } }\nnodes: { n1: { id: 1, mac: "52:54:00:12:34:56", ip: 10.11.0.10 } }\n',
  );
  const version = (content: string, built: number) => makeImage(join(directory, 'images'), { name: 'test', files: { issue: content }, built });
  [a, b, c] = [await version('one', 1000), await version('two', 2000), await version('three', 3000)];
  live = new LiveFarm({ directory, builtinOverlay: join(directory, 'templates'), programFiles: [], log: () => {} });
  images = new Images(directory, live.published.overlay);
  views = new NodeViews(live, images, { now: () => 1_800_000_000_000 }, () => {});
});
afterEach(async () => {
  live.close();
  await views.close();
  rmSync(directory, { recursive: true });
});

function issue(path: string): string {
  const tree = views.mount(n1, path)?.tree;
  if (tree === undefined) throw new Error(`${path} was refused`);
  const bytes = Buffer.alloc(16);
  return bytes.toString('latin1', 0, tree.read(tree.lookup(tree.root, 'issue'), 0, bytes));
}

const collect = (): readonly string[] =>
  collectGarbage(directory, 'test', imageUses(recordedVersions(directory), [{ name: 'n1', stage: 'up' }]), 0)
    .filter(({ why }) => why.length === 0)
    .map(({ version }) => version);

describe('a node that runs', () => {
  it('keeps the version that it booted while others become current, and gc leaves it', () => {
    useVersion(directory, `test/${a}`);
    expect(issue(`/${images.current('test')}`)).toBe('one');
    useVersion(directory, `test/${b}`);
    useVersion(directory, `test/${c}`);
    expect(collect()).toEqual([]);
    expect(issue('/')).toBe('one');
  });

  it('has the new version when it boots again, and then gc takes the old one', () => {
    useVersion(directory, `test/${a}`);
    issue(`/${images.current('test')}`);
    useVersion(directory, `test/${b}`);
    useVersion(directory, `test/${c}`);
    expect(images.current('test')).toBe(`test/${c}`);
    expect(issue(`/${images.current('test')}`)).toBe('three');
    expect(collect()).toEqual([a]);
    expect(issue('/')).toBe('three');
    expect(readdirSync(join(directory, 'images/test')).sort()).toEqual([b, c, 'current', 'previous'].sort());
  });
});
