import { describe, expect, test } from 'vitest';
import { findShared, firstSharedOwner, sharedComplaints, sharedOwner, sharedPathFault } from '../../src/farm/shared.ts';
import { everything } from '../support/nfs-farm.ts';

describe('a path', () => {
  test.each(['/home', '/srv/data', '/opt', '/usr/local', '/usr/local/bin', '/var/spool/slurm', '/var/lib/slurm', '/root', '/etcetera', '/a.b/c+d@e_f-g'])(
    'like %s can be shared',
    (path) => expect(sharedPathFault(path)).toBeUndefined(),
  );

  test.each([
    ['home', 'expected a path such as /home'],
    ['', 'expected a path such as /home'],
    ['/home/', 'expected a path such as /home'],
    ['//home', 'expected a path such as /home'],
    ['/srv/../etc', 'expected a path such as /home'],
    ['/srv/./a', 'expected a path such as /home'],
    ['/my home', 'expected a path such as /home'],
    ['/home\n', 'expected a path such as /home'],
    [`/${'n'.repeat(256)}`, 'expected at most'],
    ['/', 'expected a directory below the root'],
    ['/etc', '/etc cannot be shared: a node needs what is there before it mounts anything'],
    ['/etc/slurm', '/etc/slurm cannot be shared'],
    ['/usr', '/usr cannot be shared'],
    ['/usr/share', '/usr/share cannot be shared'],
    ['/proc/1', '/proc/1 cannot be shared: Linux mounts its own there'],
    ['/tmp', '/tmp cannot be shared: each node needs its own'],
    ['/var', '/var cannot be shared: /var/lib/dbus is in it, and each node needs its own'],
    ['/var/lib/nfs', '/var/lib/nfs cannot be shared'],
  ])('like %j cannot', (path, why) => expect(sharedPathFault(path)).toMatch(new RegExp(`^${why.replace(/[+]/g, '\\+')}`)));
});

describe('the shared paths of all profiles', () => {
  const complaints = (shared: Record<string, readonly string[]>) =>
    sharedComplaints(Object.fromEntries(Object.entries(shared).map(([name, paths]) => [name, { shared: paths.map((path) => ({ path })) }])));

  test('may be the same, and next to each other', () => {
    expect(complaints({ one: ['/home', '/homes'], two: ['/home', '/srv/a', '/srv/b'] })).toEqual([]);
  });

  test.each<[string, Record<string, readonly string[]>, string]>([
    ['twice in one', { one: ['/home', '/home'] }, '/home is here twice'],
    [
      'the place of checkpoints',
      { one: ['/var/lib/farm/checkpoints'] },
      "/var/lib/farm/checkpoints cannot be shared: /var/lib/farm/checkpoints is the farm's own, for checkpoints of jobs",
    ],
    ['what that is in', { one: ['/var/lib/farm'] }, "/var/lib/farm cannot be shared: /var/lib/farm/checkpoints is the farm's own, for checkpoints of jobs"],
    ['one in another', { one: ['/srv', '/srv/a'] }, '/srv/a and /srv, which profile one shares, lie in one another'],
    ['one around another', { one: ['/srv/a', '/srv'] }, '/srv and /srv/a, which profile one shares, lie in one another'],
    ['one in another of another profile', { one: ['/srv'], two: ['/opt', '/srv/a'] }, '/srv/a and /srv, which profile one shares'],
  ])('not %s', (_, shared, message) => {
    const found = complaints(shared);
    expect(found).toHaveLength(1);
    expect(found[0]?.message).toContain(message);
  });

  test('not two with one number: by chance, one pair in two thousand million', () => {
    // sharedOwner keeps 31 bits.
    const [one, other] = ['/srv/54622', '/srv/98261'] as const;
    expect(sharedOwner(one)).toBe(sharedOwner(other));
    expect(complaints({ one: [one], two: [other] })[0]?.message).toContain('have one number in file handles');
  });
});

describe('a mount', () => {
  const of = (path: string) => ({ path, owner: sharedOwner(path), access: everything, tags: false });
  const shared = [of('/home'), of('/srv/data')];

  test.each([
    ['/home', '/home', ''],
    ['/home/', '/home', ''],
    ['home', '/home', ''],
    ['//home//alice/src', '/home', 'alice/src'],
    ['/srv/data/x', '/srv/data', 'x'],
    ['/home/../etc', '/home', '../etc'],
  ])('of %s is of %s', (path, found, within) => {
    expect(findShared(shared, path)).toMatchObject({ shared: { path: found }, within });
  });

  test.each(['/', '', '/homes', '/srv', '/srv/database', '/x/home'])('of %s is of none', (path) => expect(findShared(shared, path)).toBeUndefined());
});

test('owners of shared trees are no node ids', () => {
  for (const path of ['/home', '/opt', '/srv/data']) {
    expect(sharedOwner(path)).toBeGreaterThanOrEqual(firstSharedOwner);
    expect(sharedOwner(path)).toBeLessThan(2 ** 32);
  }
});
