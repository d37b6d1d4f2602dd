// Accounts of the server on nodes: which of passwd, group and shadow are taken, what is refused, and that a change of the files is seen.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { LiveFarm } from '../../src/farm/live.ts';
import { withAccounts } from '../../src/farm/server-account-files.ts';
import { type ServerUsers, serverAccounts, withServerAccounts } from '../../src/farm/server-accounts.ts';

const head = 'name: lab\nnetworks: { main: { interface: eth1, address: 10.11.0.1/24 } }\n';
const farm = (text: string) => parseFarm(`${head}${text}`, '/f');
const people: ServerUsers = { first: 1000, last: 59_999, passwords: false, groups: [], except: [] };
const hash = '$6$farmfarm$0123456789abcdefghijklmnopqrstuv';

const passwd = `root:x:0:0:root:/root:/bin/bash
games:x:5:60:games:/usr/games:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
bob:x:1002:100:Bob "B" Example,Room 1,,:/home/bob:
ann:x:1001:1001:Ann Example:/home/ann:/bin/zsh
+@lab::::::
nonsense
`;
const group = `root:x:0:
sudo:x:27:ann
video:x:44:ann,bob
users:x:100:
ann:x:1001:
students:x:2000:ann,bob,root
far:x:70000:ann
nogroup:x:65534:
`;
const shadow = `root:${hash}:19000:0:99999:7:::\nann:${hash}:19000:0:99999:7:::\nbob:!${hash}:19000:0:99999:7:::\n`;
const texts = { passwd, group, shadow };

const ann = {
  name: 'ann',
  uid: 1001,
  gid: 1001,
  fullName: 'Ann Example',
  home: '/home/ann',
  shell: '/bin/zsh',
  groups: ['students'],
  sshKeys: [],
  password: undefined,
};
const bob = {
  name: 'bob',
  uid: 1002,
  gid: 100,
  fullName: 'Bob B Example',
  home: '/home/bob',
  shell: '/bin/sh',
  groups: ['students'],
  sshKeys: [],
  password: undefined,
};

describe('accounts of the server', () => {
  it("are those of the range, with groups of it, and not the system's", () => {
    expect(serverAccounts(people, texts)).toEqual({
      users: [ann, bob],
      groups: [
        { name: 'ann', gid: 1001 },
        { name: 'students', gid: 2000 },
      ],
      warnings: [],
    });
  });

  it.each<[string, Partial<ServerUsers>, object]>([
    ['a name under except is left out', { except: ['bob'] }, { users: [ann] }],
    ['a narrower range', { first: 1002 }, { users: [{ ...bob }], groups: [{ name: 'students', gid: 2000 }] }],
    [
      'a primary group beyond the range comes with its user',
      { first: 1001, last: 1001 },
      { users: [{ ...ann, groups: [] }], groups: [{ name: 'ann', gid: 1001 }] },
    ],
    [
      'memberships of system groups that are named',
      { groups: ['video'] },
      {
        users: [
          { ...ann, groups: ['video', 'students'] },
          { ...bob, groups: ['video', 'students'] },
        ],
      },
    ],
    ['passwords if asked for, of who is not locked', { passwords: true }, { users: [{ ...ann, password: hash }, bob] }],
    ['nobody never', { first: 60_000, last: 2 ** 31 - 1 }, { users: [] }],
  ])('%s', (_, terms, expected) => {
    expect(serverAccounts({ ...people, ...terms }, texts)).toMatchObject(expected);
  });

  it.each([
    ['Ann:x:1003:1001::/home/a:/bin/sh', 'Ann (uid 1003) is left out: its name is none that nodes can have'],
    ['ann:x:1003:1001::/home/a:/bin/sh', 'ann (uid 1003) is left out: another account has its name or number'],
    ['eve:x:1001:1001::/home/a:/bin/sh', 'eve (uid 1001) is left out: another account has its name or number'],
    ['eve:x:1003:0::/home/a:/bin/sh', 'its group 0 is no group of people'],
    ['eve:x:1003:1003::/home/../etc:/bin/sh', 'its home /home/../etc is no plain path'],
    ['eve:x:1003:1003::/home/a b:/bin/sh', 'its home /home/a b is no plain path'],
    ['eve:x:1003:1003::/home/eve:sh"', 'its shell sh\\" is no plain path'],
  ])('%s is left out, and said', (line, message) => {
    const found = serverAccounts(people, { ...texts, passwd: `${passwd}${line}\n` });
    expect(found.users).toEqual([ann, bob]);
    expect(found.warnings).toEqual([expect.stringContaining(message)]);
  });

  it.each([
    [`ann:${hash}:19000:0:99999:7::20000:`, 'the account expires (chage -l ann)'],
    ['ann:abJnggxhB/yWI:19000:0:99999:7:::', 'its hash is of an old kind'],
  ])('%s gives no password, and a warning', (line, message) => {
    const found = serverAccounts({ ...people, passwords: true }, { ...texts, shadow: `${line}\n` });
    expect(found.users[0]?.password).toBeUndefined();
    expect(found.warnings).toEqual([expect.stringContaining(message)]);
  });

  it('whatever the files say: names, numbers and paths are such as farm.yaml could have', () => {
    const field = fc.oneof(fc.constantFrom('ann', 'x', '1000', '1001', '2000', '/home/a', '/bin/sh', '', '-1', '1e3'), fc.string({ maxLength: 8 }));
    const file = fc.array(fc.array(field, { minLength: 1, maxLength: 9 }).map((parts) => parts.join(':'))).map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(file, file, file, (...[passwdText, groupText, shadowText]) => {
        const { users, groups } = serverAccounts({ ...people, passwords: true }, { passwd: passwdText, group: groupText, shadow: shadowText });
        for (const { name, uid, home, shell } of users) {
          expect(uid).toBeGreaterThanOrEqual(1000);
          expect(`${name}${home}${shell}`).toMatch(/^[\w.@+/-]+$/);
        }
        for (const key of ['name', 'uid'] as const) expect(new Set(users.map((user) => user[key])).size).toBe(users.length);
        for (const key of ['name', 'gid'] as const) expect(new Set(groups.map((one) => one[key])).size).toBe(groups.length);
      }),
      { numRuns: 200 },
    );
  });
});

describe('users_from_server of farm.yaml', () => {
  it('is a range of numbers, or one with terms', () => {
    expect(farm('').usersFromServer).toBeUndefined();
    expect(farm('users_from_server: 1000-59999').usersFromServer).toEqual(people);
    expect(farm('users_from_server: { uids: 2000-2999, passwords: true, groups: [video], except: [admin] }').usersFromServer).toEqual({
      first: 2000,
      last: 2999,
      passwords: true,
      groups: ['video'],
      except: ['admin'],
    });
  });

  it.each([
    ['users_from_server: true', 'expected numbers of users such as 1000-59999'],
    ['users_from_server: 0-59999', 'not below 1000'],
    ['users_from_server: 2000-1000', 'the lower first'],
    ['users_from_server: 1000', 'expected numbers of users'],
    ['users_from_server: { uid: 1000-2000 }', '(did you mean uids?)'],
  ])('%s is refused', (text, message) => {
    expect(() => farm(text)).toThrow(message);
  });

  it.each([
    ['users: { ann: { uid: 1500 } }', 'user ann (uid 1001) of this server, and user ann (uid 1500) of farm.yaml'],
    ['users: { carl: { uid: 1002 } }', 'user bob (uid 1002) of this server, and user carl (uid 1002) of farm.yaml'],
    ['groups: { students: { gid: 2001 } }', 'group students (gid 2000) of this server, and group students (gid 2001) of farm.yaml'],
    ['groups: { staff: { gid: 1001 } }', 'group ann (gid 1001) of this server, and group staff (gid 1001) of farm.yaml'],
  ])('%s is in conflict with the server', (text, message) => {
    let error: unknown;
    try {
      withServerAccounts(farm(`${text}\nusers_from_server: 1000-59999`), serverAccounts(people, texts));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(FarmError);
    expect(error).toMatchObject({ code: 'users.conflict', message: expect.stringContaining(message), hint: expect.stringContaining('`except`') });
  });

  it('goes with users of farm.yaml, who may be in a group that both have', () => {
    const merged = withServerAccounts(
      farm('users: { zoe: { uid: 1500, groups: [students] } }\ngroups: { students: { gid: 2000 } }'),
      serverAccounts(people, texts),
    );
    expect(merged.users.map(({ name }) => name)).toEqual(['ann', 'bob', 'zoe']);
    expect(merged.groups).toEqual([
      { name: 'ann', gid: 1001 },
      { name: 'zoe', gid: 1500 },
      { name: 'students', gid: 2000 },
    ]);
  });
});

describe('the files of the server', () => {
  const directory = mkdtempSync(join(tmpdir(), 'farm-server-accounts-'));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('are rendered for nodes, and followed', async () => {
    const etc = join(directory, 'etc');
    for (const made of [etc, join(directory, 'state'), join(directory, 'images')]) mkdirSync(made, { recursive: true });
    writeFileSync(join(directory, 'state/key'), 'ab'.repeat(32));
    writeFileSync(join(directory, 'farm.yaml'), `${head}users_from_server: { uids: 1000-59999, passwords: true, groups: [video] }\n`);
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(etc, name), text);
    const builtinOverlay = fileURLToPath(new URL('../../templates/root', import.meta.url));
    const events: string[] = [];
    const live = new LiveFarm({ directory, builtinOverlay, programFiles: [], log: (_, event) => events.push(event), accounts: etc });
    const records = (): string =>
      live.published.overlay
        .filter(({ path }) => path.startsWith('etc/userdb/'))
        .map(({ path, mode, body }) => {
          const text = body.kind === 'bytes' ? `${mode.toString(8)} ${body.bytes.toString()}` : body.kind === 'symlink' ? `-> ${body.target}\n` : '';
          return `${path.slice('etc/userdb/'.length)} ${text.trimEnd()}\n`;
        })
        .sort()
        .join('');
    await expect(records()).toMatchFileSnapshot('../golden/server-accounts.txt');
    try {
      live.watch();
      const published = new Promise<void>((resolve) => live.onPublish(() => resolve()));
      writeFileSync(join(etc, 'passwd+'), `${passwd}carl:x:1003:1003:Carl:/home/carl:/bin/bash\n`);
      renameSync(join(etc, 'passwd+'), join(etc, 'passwd')); // as useradd(8) does
      await published;
      expect(records()).toContain('carl.user 644 { "userName": "carl", "uid": 1003, "gid": 1003, "realName": "Carl"');
      expect(live.published.farm.users.map(({ name }) => name)).toEqual(['ann', 'bob', 'carl']);
    } finally {
      live.close();
    }
    expect(events).toEqual(['config.loaded']);
  });

  it('are an error when they cannot be read, with the remedy for passwords', () => {
    mkdirSync(directory, { recursive: true });
    for (const name of ['passwd', 'group'] as const) writeFileSync(join(directory, name), texts[name]);
    expect(withAccounts(farm('users_from_server: 1000-59999'), directory).users.map(({ name }) => name)).toEqual(['ann', 'bob']);
    expect(() => withAccounts(farm('users_from_server: { uids: 1000-59999, passwords: true }'), directory)).toThrow(
      expect.objectContaining({ code: 'users.unreadable', hint: expect.stringContaining('group shadow') }),
    );
  });
});
