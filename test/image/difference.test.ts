// In what two versions of images differ.
import { describe, expect, it } from 'vitest';
import { packageChanges, pathChanges } from '../../src/image/difference.ts';
import { parseMtree } from '../../src/image/mtree.ts';

describe('the packages of two images', () => {
  it('are compared by version, those of the kernel and the loaders too', () => {
    const old = { packages: { bash: '5.2', dash: '0.5', login: '4.1' }, bootPackages: { ipxe: '1' } };
    const now = { packages: { bash: '5.3', dash: '0.5', zsh: '5.9' }, bootPackages: { ipxe: '2' } };
    expect(packageChanges(old, now)).toEqual([
      { name: 'bash', before: '5.2', after: '5.3' },
      { name: 'ipxe', before: '1', after: '2' },
      { name: 'login', before: '4.1', after: undefined },
      { name: 'zsh', before: undefined, after: '5.9' },
    ]);
    expect(packageChanges(old, old)).toEqual([]);
  });
});

describe('the paths of two images', () => {
  const file = 'type=file mode=0644 uid=0 gid=0 time=1.0 size=3 sha256digest=aa';
  const changes = (a: string, b: string): readonly string[] =>
    pathChanges(parseMtree(Buffer.from(a)), parseMtree(Buffer.from(b))).map(({ path, change, what }) => [change, path, ...what].join(' '));

  it.each([
    ['nothing', file, file, []],
    ['content', file, file.replace('=aa', '=ab'), ['changed x content']],
    ['length', file, file.replace('=3', '=4'), ['changed x content']],
    ['mode and owner', file, file.replace('0644', '0755').replace('gid=0', 'gid=5'), ['changed x mode owner']],
    ['the time only', file, file.replace('time=1.0', 'time=2.0'), []],
    ['kind', file, 'type=link mode=0777 uid=0 gid=0 time=1.0 link=y', ['changed x kind']],
    ['target', 'type=link mode=0777 uid=0 gid=0 time=1.0 link=y', 'type=link mode=0777 uid=0 gid=0 time=1.0 link=z', ['changed x target']],
    ['device', 'type=char mode=0600 uid=0 gid=0 time=1.0 device=linux,1,3', 'type=char mode=0600 uid=0 gid=0 time=1.0 device=linux,1,5', ['changed x device']],
  ])('differ in %s', (_what, a, b, expected) => {
    expect(changes(`./x ${a}\n`, `./x ${b}\n`)).toEqual(expected);
  });

  it('are those of one or the other', () => {
    expect(changes(`./a ${file}\n./b ${file}\n`, `./b ${file}\n./c ${file}\n`)).toEqual(['added c', 'removed a']);
  });
});
