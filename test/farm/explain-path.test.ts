import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { mac } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import { pathText } from '../../src/cli/explain.ts';
import { privateDirectory } from '../../src/farm/directory.ts';
import { explainNode } from '../../src/farm/explain-node.ts';
import type { PathWhy } from '../../src/farm/explain-path.ts';
import { tagClient } from '../../src/farm/farm.ts';
import { Images } from '../../src/farm/images.ts';
import { initFarm } from '../../src/farm/init.ts';
import { LiveFarm, type Published } from '../../src/farm/live.ts';
import { addNodes } from '../../src/farm/nodes.ts';
import { formatMtree, type ManifestEntry } from '../../src/image/mtree.ts';
import { OpenFiles } from '../../src/tree/files.ts';
import { LayeredTree } from '../../src/tree/layered.ts';
import { PrivateStore } from '../../src/tree/private.ts';
import type { ObjectId, Tree } from '../../src/tree/tree.ts';
import { testDisk } from '../tree/fixtures.ts';

const directories = ['.', 'etc', 'srv', 'srv/d$$HOST=n1$$', 'usr', 'usr/bin', 'var'];
const regular = [
  'etc/issue',
  'etc/motd',
  'etc/motd$$CLIENT$$',
  'etc/motd$$IP=10.11.0.0_24$$',
  'etc/motd$$HOST=n2$$',
  'etc/none$$HOST=n2$$',
  'etc/plain$$ALWAYS=IP$$',
  'etc/plain',
  'etc/who$$UID=5$$',
  'etc/who',
  'srv/d$$HOST=n1$$/f',
  'usr/bin/dash',
  'var/a',
  'var/b',
  'var/c',
];

let directory: string;
let published: Published;

function image(): void {
  const version = join(directory, 'images', 'debian-13', '0123456789ab');
  const common = { mode: 0o755, uid: 0, gid: 0, size: 0, mtime: { seconds: 1, nanoseconds: 0 }, target: undefined, device: undefined, inode: undefined };
  const entries: ManifestEntry[] = [
    ...directories.map((path) => ({ ...common, path, kind: 'directory' as const, sha256: undefined })),
    ...regular.map((path) => ({ ...common, path, kind: 'file' as const, size: path.length, sha256: 'ab'.repeat(32) })),
    ...Object.entries({ bin: 'usr/bin', 'usr/bin/sh': 'dash', 'etc/loop': 'loop', 'etc/away': '/usr/../etc/issue' }).map(([path, target]) => ({
      ...common,
      path,
      kind: 'symlink' as const,
      target,
      sha256: undefined,
    })),
  ];
  for (const path of directories) mkdirSync(join(version, 'root', path), { recursive: true });
  for (const path of regular) writeFileSync(join(version, 'root', path), path);
  writeFileSync(join(version, 'root.mtree'), formatMtree(entries));
  symlinkSync('0123456789ab', join(directory, 'images', 'debian-13', 'current'));
}

/** A node's tree as the server opens it. */
function served(name: string): { readonly tree: LayeredTree; readonly store: PrivateStore } {
  const base = new Images(directory, published.overlay).base('debian-13/0123456789ab');
  const node = published.byName.get(name);
  if (base === undefined || node === undefined) throw new Error(`no ${name}`);
  const store = PrivateStore.open(privateDirectory(directory, name), base, tagClient(published.farm, node));
  const options = {
    store,
    client: tagClient(published.farm, node),
    imageFiles: new OpenFiles(),
    clock: systemClock,
    disk: testDisk(),
  };
  return { store, tree: new LayeredTree(options) };
}

function why(path: string, node = 'n1', more: Partial<Parameters<typeof explainNode>[2]> = {}): PathWhy {
  return explainNode(directory, published, { node, path, ...more });
}

/** What the answer says without the way to it. */
function answer(path: string, node = 'n1'): string {
  const { verdict, object, leads, missing } = why(path, node);
  return verdict === 'absent' ? `absent: ${missing}` : `${object?.layer} ${object?.stored} at ${leads}`;
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-test-'));
  initFarm(directory, { name: 'lab', interface: 'eth1', address: '10.11.0.1/24', range: '10.11.0.11-10.11.0.99' }, []);
  addNodes(directory, [{ mac: mac('52:54:00:00:00:01') }, { mac: mac('52:54:00:00:00:02') }]);
  image();
  const root = join(directory, 'overlays', 'root', 'etc');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'issue'), 'of the farm\n');
  writeFileSync(join(root, 'name$$HOST={{node.name}}$$.hbs'), '{{node.name}}\n');
  published = new LiveFarm({ directory, builtinOverlay: join(directory, 'nothing'), programFiles: [], log: () => {} }).published;
});

describe('farm explain', () => {
  it('names the version, its layer, and where symlinks lead', () => {
    expect(answer('/etc/motd')).toBe('image etc/motd$$IP=10.11.0.0_24$$ at /etc/motd');
    expect(answer('/etc/name')).toBe('overlay etc/name$$HOST=n1$$ at /etc/name');
    expect(answer('etc//./issue/')).toBe('overlay etc/issue at /etc/issue');
    expect(answer('/bin/sh')).toBe('image usr/bin/dash at /usr/bin/dash');
    expect(answer('/etc/away')).toBe('overlay etc/issue at /etc/issue');
    expect(answer('/srv/d/f')).toBe('image srv/d$$HOST=n1$$/f at /srv/d/f');
    expect(answer('/../..')).toBe('image  at /');
    expect(answer('/etc/motd$$$$')).toBe('image etc/motd at /etc/motd$$$$');
  });

  it.each([
    ['/etc/nothing/x', 'n1', '/etc/nothing: no layer has that name'],
    ['/etc/none', 'n1', '/etc/none: all versions are for other nodes, and there is no plain file'],
    ['/srv/d/f', 'n2', '/srv/d: all versions are for other nodes, and there is no plain file'],
    ['/etc/plain', 'n1', '/etc/plain: ALWAYS hides the plain file, and the node has no version of its own'],
    ['/etc/motd$$HOST=n2$$', 'n1', '/etc/motd$$HOST=n2$$: a tagged name is never seen as it is stored: ask for the plain name'],
    ['/etc/issue/x', 'n1', '/etc/issue is no directory but a file'],
    ['/etc/loop', 'n1', '/etc/loop: more than 40 symlinks'],
  ])('says why there is no %s for %s', (path, node, reason) => {
    expect(answer(path, node)).toBe(`absent: ${reason}`);
  });

  it('shows every candidate with its rank, and why it was not taken', () => {
    expect(why('/etc/motd').components[1]?.versions).toEqual([
      {
        layer: 'image',
        stored: 'etc/motd$$IP=10.11.0.0_24$$',
        verdict: 'taken',
        says: 'rank 5, $$IP=a.b.c.d_n$$: the address is in the network, n = 0 to 32; longest prefix first',
      },
      { layer: 'image', stored: 'etc/motd$$CLIENT$$', verdict: 'lost', says: 'rank 10, $$CLIENT$$: every client; another goes first' },
      { layer: 'image', stored: 'etc/motd', verdict: 'lost', says: 'rank 11, the plain name; another goes first' },
      { layer: 'image', stored: 'etc/motd$$HOST=n2$$', verdict: 'other', says: 'not for this node' },
    ]);
    expect(why('/etc/issue').components[1]?.versions).toEqual([
      { layer: 'overlay', stored: 'etc/issue', from: join(directory, 'overlays/root/etc/issue'), verdict: 'taken', says: 'the only one' },
      { layer: 'image', stored: 'etc/issue', verdict: 'lost', says: 'an overlay has a file of the same name' },
    ]);
  });

  it('answers for a user', () => {
    expect(why('/etc/who').object?.stored).toBe('etc/who');
    expect(why('/etc/who').notes).toEqual(['some names have versions for users or groups: --uid and --gid ask for theirs']);
    expect(why('/etc/who', 'n1', { user: { uid: 5, gids: [] } }).object?.stored).toBe('etc/who$$UID=5$$');
  });

  it('crosses into shared paths, where names are resolved too if they are to be', () => {
    const config = join(directory, 'farm.yaml');
    const before = readFileSync(config, 'utf8');
    writeFileSync(
      config,
      before.replace('    image: debian-13\n', '    image: debian-13\n    shared: [{ path: /var/home, tags: true }, /srv/data, /var/later]\n'),
    );
    const farm = new LiveFarm({ directory, builtinOverlay: join(directory, 'nothing'), programFiles: [], log: () => {} }).published;
    for (const path of ['var/home', 'srv/data']) {
      const home = join(directory, 'shared', path);
      mkdirSync(home, { recursive: true });
      for (const name of ['f', 'f$$HOST=n1$$', 'g$$HOST=n2$$']) writeFileSync(join(home, name), name);
    }
    symlinkSync('/etc/issue', join(directory, 'shared', 'var/home', 'out'));
    const asked = (path: string, node = 'n1') => explainNode(directory, farm, { node, path });
    expect(asked('/var/home/f').object).toMatchObject({ layer: 'shared', stored: 'f$$HOST=n1$$' });
    expect(asked('/var/home/f', 'n2').object?.stored).toBe('f');
    expect(asked('/srv/data/f').object?.stored).toBe('f');
    expect(asked('/srv/data/g$$HOST=n2$$').object?.stored).toBe('g$$HOST=n2$$');
    expect(asked('/srv/data/g').missing).toBe('/srv/data/g: no layer has that name');
    expect(asked('/var/home/out').object).toMatchObject({ layer: 'overlay', stored: 'etc/issue' });
    expect(asked('/var/home/g').missing).toBe('/var/home/g: all versions are for other nodes, and there is no plain file');
    expect(asked('/var/home').components.at(-1)?.says).toBe('shared by all nodes of the profile');
    expect(asked('/var/later/f').missing).toBe('/var/later: it is shared, and made when the first node mounts it');
    writeFileSync(config, before);
  });

  it('refuses an unknown node', () => {
    expect(() => why('/', 'n9')).toThrow(expect.objectContaining({ code: 'node.unknown' }));
  });

  it('prints a page that people can read', () => {
    const text = pathText(why('/etc/motd')).replaceAll(directory, 'FARM');
    expect(text).toBe(
      [
        'n1 gets /etc/motd from image debian-13/0123456789ab: etc/motd$$IP=10.11.0.0_24$$',
        '  file, mode 0755, owner 0:0, 27 bytes, FARM/images/debian-13/0123456789ab/root/etc/motd$$IP=10.11.0.0_24$$',
        '  note: some names have versions for users or groups: --uid and --gid ask for theirs',
        '  /etc       image  etc                          taken: the only one',
        '  /etc/motd  image  etc/motd$$IP=10.11.0.0_24$$  taken: rank 5, $$IP=a.b.c.d_n$$: the address is in the network, n = 0 to 32; longest prefix first',
        '             image  etc/motd$$CLIENT$$           not taken: rank 10, $$CLIENT$$: every client; another goes first',
        '             image  etc/motd                     not taken: rank 11, the plain name; another goes first',
        '             image  etc/motd$$HOST=n2$$          not taken: not for this node',
        '',
      ].join('\n'),
    );
    expect(pathText(why('/etc/none'))).toContain('n1 finds nothing at /etc/none: all versions are for other nodes');
  });

  it('reads beside a running server, changes nothing, and agrees with what that serves', async () => {
    const { tree, store } = served('n1');
    const etc = tree.lookup(tree.root, 'etc');
    const variable = tree.lookup(tree.root, 'var');
    tree.write(tree.lookup(etc, 'motd'), 0, Buffer.from('a much longer text than there was'));
    tree.remove(etc, 'name');
    tree.remove(variable, 'a');
    tree.rename(variable, 'b', etc, 'moved');
    tree.create(etc, 'none', { kind: 'directory' }, {});
    tree.create(tree.lookup(etc, 'none'), 'inside', { kind: 'file' }, {});
    tree.change(tree.lookup(variable, 'c'), { mode: 0o600 });
    tree.create(etc, 'link', { kind: 'symlink', target: '../etc/none/inside' }, {});
    await store.stable();
    const before = snapshot(privateDirectory(directory, 'n1'));

    for (const { path, id } of everything(tree)) {
      const { object, verdict } = why(path);
      expect([path, verdict]).toEqual([path, 'found']);
      const { kind, mode, size } = tree.attributes(follow(tree, id));
      expect({ path, kind: object?.kind, mode: object?.mode, size: object?.size }).toEqual({ path, kind, mode, size });
    }
    expect(answer('/etc/motd')).toBe('private etc/motd$$IP=10.11.0.0_24$$ at /etc/motd');
    expect(readFileSync(why('/etc/motd').object?.at ?? '', 'utf8')).toContain('a much longer');
    expect(why('/etc/motd').components[1]?.versions[0]?.says).toMatch(/the node has written to it/);
    expect(why('/var/c').components[1]?.versions[0]?.says).toMatch(/the node has changed it/);
    expect(answer('/etc/name')).toBe('absent: /etc/name: the node removed it');
    expect(answer('/var/b')).toBe('absent: /var/b: the node removed it');
    expect(answer('/etc/moved')).toBe('image var/b at /etc/moved');
    expect(answer('/etc/link')).toBe('private etc/none/inside at /etc/none/inside');
    expect(answer('/etc/motd', 'n2')).toBe('image etc/motd$$IP=10.11.0.0_24$$ at /etc/motd');
    expect(snapshot(privateDirectory(directory, 'n1'))).toEqual(before);
    await store.close();
  });
});

function* everything(tree: Tree, id = tree.root, path = ''): Iterable<{ readonly path: string; readonly id: ObjectId }> {
  for (const entry of tree.entries(id, 0)) {
    const at = `${path}/${entry.name}`;
    if (at === '/etc/loop') continue;
    yield { path: at, id: entry.id };
    if (tree.attributes(entry.id).kind === 'directory') yield* everything(tree, entry.id, at);
  }
}

/** The targets of the test's symlinks, which all lead somewhere. */
function follow(tree: Tree, id: ObjectId): ObjectId {
  if (tree.attributes(id).kind !== 'symlink') return id;
  const places: Readonly<Record<string, string>> = {
    'usr/bin': 'usr/bin',
    dash: 'usr/bin/dash',
    '/usr/../etc/issue': 'etc/issue',
    '../etc/none/inside': 'etc/none/inside',
  };
  return (places[tree.readlink(id)] ?? '').split('/').reduce((at, name) => tree.lookup(at, name), tree.root);
}

function snapshot(path: string): unknown {
  return readdirSync(path, { recursive: true, withFileTypes: true }).map((entry) => {
    const { mtimeMs, ino, size } = statSync(join(entry.parentPath, entry.name));
    return [entry.name, mtimeMs, ino, size];
  });
}
