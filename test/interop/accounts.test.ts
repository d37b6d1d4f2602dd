// The users of farm.yaml as glibc sees them on a node: the rendered overlay laid over /etc in a mount namespace of its own, asked through nss-systemd.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const top = fileURLToPath(new URL('../..', import.meta.url));
const command = join(top, 'bin', 'farm');
const directory = mkdtempSync(join(tmpdir(), 'farm-accounts-'));
afterAll(() => rmSync(directory, { recursive: true }));

const hash = execFileSync('openssl', ['passwd', '-6', '-salt', 'farmfarm', 'correct horse'], { encoding: 'utf8' }).trim();

beforeAll(() => {
  execFileSync(command, ['init', directory, '--name', 'lab', '--interface', 'eth1', '--address', '10.11.0.1/24']);
  const file = join(directory, 'farm.yaml');
  const accounts = `users:
  zannx: { uid: 31001, full_name: Ann Example, groups: [zstudents, video], password: '${hash}' }
  zbobx: { uid: 31002, group: zstudents, shell: /bin/sh }
groups: { zstudents: { gid: 32000 } }
`;
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^nodes:.*$/m, `${accounts}nodes:\n  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10 }`));
  execFileSync(command, ['-C', directory, 'render', '--out', join(directory, 'out')]);
});

/** What `script` says where /etc has the rendered userdb and asks systemd after the files. */
function asked(script: string): string {
  const setup = `set -e
mount --make-rprivate /
mount -t tmpfs none /mnt
mkdir -p /mnt/up/userdb /mnt/work
for file in "$1"/etc/userdb/*; do
  name=\${file##*/}
  cp -P "$file" "/mnt/up/userdb/\${name%\\$\\$CLIENT\\$\\$}"
done
printf 'passwd: files systemd\\ngroup: files systemd\\nshadow: files systemd\\n' > /mnt/up/nsswitch.conf
mount -t overlay none -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work /etc
mount -t tmpfs none /run
`;
  const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', `${setup}${script}`, 'sh', join(directory, 'out')], { encoding: 'utf8', timeout: 30_000 });
  expect(stderr).toBe('');
  return stdout;
}

it('knows users and groups by name and number', () => {
  expect(asked('getent passwd zannx 31002; getent group zannx 32000')).toBe(`zannx:x:31001:31001:Ann Example:/home/zannx:/bin/bash
zbobx:x:31002:32000:zbobx:/home/zbobx:/bin/sh
zannx:x:31001:
zstudents:x:32000:zannx
`);
});

it("counts a user to his groups, the farm's and the image's", () => {
  expect(asked('id -Gn zannx; id -gn zbobx')).toBe('zannx video zstudents\nzstudents\n');
});

it('has the password of who has one, and lets nobody in without', () => {
  expect(asked('getent shadow zannx')).toContain(`zannx:${hash}:`);
  expect(asked('getent shadow zbobx || echo none')).toMatch(/^(none|zbobx:[!*]+.*)\n$/);
});

it('shows the password to nobody but root', () => {
  expect(asked('setpriv --reuid 65534 --clear-groups getent shadow zannx || echo no').includes(hash)).toBe(false);
});
