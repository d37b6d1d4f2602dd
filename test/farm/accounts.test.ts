// People in farm.yaml: what becomes of them, and what is refused.
import { describe, expect, it } from 'vitest';
import type { FarmError } from '../../src/base/errors.ts';
import { parseFarm } from '../../src/farm/config.ts';

const farm = (text: string) => parseFarm(`name: lab\nnetworks: { main: { interface: eth1, address: 10.11.0.1/24 } }\n${text}`, '/f');

function complaint(text: string): string {
  try {
    farm(text);
  } catch (error) {
    return (error as FarmError).message.replaceAll('/f/farm.yaml:', '');
  }
  throw new Error('accepted');
}

describe('users of farm.yaml', () => {
  it('have a group of their own, a home and a shell if nothing else is said', () => {
    const { users, groups } = farm(
      'users: { bob: { uid: 1002, group: students, groups: [video, video] }, ann: { uid: 1001 } }\ngroups: { students: { gid: 2000 } }\n',
    );
    expect(users).toEqual([
      { name: 'ann', uid: 1001, gid: 1001, fullName: undefined, home: '/home/ann', shell: '/bin/bash', groups: [], sshKeys: [], password: undefined },
      { name: 'bob', uid: 1002, gid: 2000, fullName: undefined, home: '/home/bob', shell: '/bin/bash', groups: ['video'], sshKeys: [], password: undefined },
    ]);
    expect(groups).toEqual([
      { name: 'ann', gid: 1001 },
      { name: 'students', gid: 2000 },
    ]);
    expect([farm('users:\n').users, farm('').users]).toEqual([[], []]);
  });

  it.each([
    ['users: { ann: {} }', '3:15: users.ann.uid: it is missing: expected a number'],
    ['users: { Ann: { uid: 1001 } }', 'expected an account name'],
    ['users: { ann: { uid: 33 } }', 'users.ann.uid: expected a number of at least 1000'],
    ['users: { ann: { uid: 65534 } }', 'outside 60001 to 65535'],
    ['users: { ann: { uid: 1001, passwort: x } }', 'there is no such key (did you mean password?)'],
    ['users: { ann: { uid: 1001, password: secret } }', 'not the password itself'],
    ['users: { ann: { uid: 1001, full_name: "a:b" } }', 'expected a name without colons'],
    ['users: { ann: { uid: 1001, home: ../x } }', 'expected a path such as /home/ann'],
    ['users: { ann: { uid: 1001, home: /home/../etc } }', 'expected a path without . and ..'],
    ['users: { ann: { uid: 1001, ssh_keys: [nonsense] } }', 'users.ann.ssh_keys.0: expected a public key'],
    ['users: { ann: { uid: 1001 }, bob: { uid: 1001 } }', 'users.bob.uid: uid 1001 belongs to ann already'],
    ['users: { ann: { uid: 1001, group: studens } }\ngroups: { students: { gid: 2000 } }', 'there is no group studens in `groups` (did you mean students?)'],
    ['users: { ann: { uid: 1001, group: constructor } }', 'there is no group constructor'],
    ['users: { ann: { uid: 1001 } }\ngroups: { ann: { gid: 2000 } }', 'users.ann: there is a group ann, and ann has one of its own: name another with `group`'],
    ['users: { ann: { uid: 1001 } }\ngroups: { all: { gid: 1001 } }', 'users.ann: gid 1001 belongs to group all already'],
    ['groups: { a: { gid: 2000 }, b: { gid: 2000 } }', 'groups.b.gid: gid 2000 belongs to group a already'],
  ])('%s is refused', (text, message) => {
    expect(complaint(text)).toContain(message);
  });
});

describe('openmosix of farm.yaml', () => {
  it('is inherited value by value', () => {
    const { nodes } = farm(`profiles:
  base: { openmosix: { migrate: false, speed: 5000 } }
  default: { inherit: base, openmosix: { speed: 9000 } }
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10 }
  n2: { id: 2, mac: "52:54:00:00:00:02", ip: 10.11.0.11, openmosix: { migrate: true } }
`);
    expect(nodes.map(({ profile }) => [profile.openmosix, profile.origins['openmosix']])).toEqual([
      [{ migrate: false, speed: 9000 }, 'profile default'],
      [{ migrate: true, speed: 9000 }, 'node n2'],
    ]);
  });

  it.each([
    ['{ migrate: no }', 'expected true or false, not "no"'],
    ['{ gateways: 3 }', 'at most 2'],
    ['{ sped: 1 }', '(did you mean speed?)'],
  ])('%s is refused', (value, message) => {
    expect(complaint(`profiles: { default: { openmosix: ${value} } }`)).toContain(message);
  });
});
