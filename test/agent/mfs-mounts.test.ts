// Which mounts of a node the others see: tables of mountinfo(5) as nodes have it.
import { expect, test } from 'vitest';
import { parseMounts, shownMounts } from '../../src/agent/mfs/mounts.ts';

/** A diskless node, with its own /hpc and /mfs, and the root of a guest. */
const node = [
  '21 1 0:20 / / rw,relatime shared:1 - nfs 10.11.0.1:/node/n1 rw,vers=3,nolock,addr=10.11.0.1',
  '22 21 0:5 / /dev rw,nosuid - devtmpfs udev rw',
  '23 21 0:21 / /proc rw - proc proc rw',
  '24 21 0:22 / /sys rw - sysfs sysfs rw',
  '25 24 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw',
  '26 21 0:24 / /run rw,nosuid - tmpfs tmpfs rw,mode=755',
  '27 21 0:25 / /tmp rw - tmpfs tmpfs rw',
  '28 21 0:26 / /home rw - nfs 10.11.0.1:/home rw,vers=3,addr=10.11.0.1',
  '29 21 0:27 / /srv/nas rw - nfs 10.9.0.9:/vol rw,vers=3,addr=10.9.0.9',
  '30 21 0:28 / /hpc rw - nfs 127.0.0.1:/hpc rw,vers=3,addr=127.0.0.1',
  '31 21 0:29 / /mfs rw - nfs 127.0.0.1:/mfs rw,vers=3,addr=127.0.0.1',
  '32 26 0:30 / /run/farm-agent/roots/2 rw - nfs 127.0.0.1:/root/2 rw,vers=3,addr=127.0.0.1',
  '33 21 0:31 / /mnt/a\\040b rw - ext4 /dev/vda rw',
  '34 23 0:32 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw',
].join('\n');

const shown = (mountinfo: string, top = '/') => shownMounts(parseMounts(mountinfo), top).map(({ at, content, parent }) => `${at} ${content} ${parent ?? '-'}`);

test('a diskless node shows its root, tmpfs, disks and what comes from the same server; the rest is empty directories', () => {
  expect(shown(node)).toEqual([
    '/ files -',
    '/dev nothing 0',
    '/home files 0',
    '/hpc nothing 0',
    '/mfs nothing 0',
    '/mnt/a b files 0',
    '/proc nothing 0',
    '/run files 0',
    '/run/farm-agent/roots/2 nothing 7',
    '/srv/nas nothing 0',
    '/sys nothing 0',
    '/tmp files 0',
  ]);
});

test('what is mounted in something that shows nothing is not looked at', () => {
  expect(shown(node).join('\n')).not.toMatch(/cgroup|binfmt/);
});

test('a node with a root on a disk takes no NFS for its own: nobody knows whether that server gives numbers twice', () => {
  const mountinfo = ['21 1 8:1 / / rw - ext4 /dev/sda1 rw', '28 21 0:26 / /home rw - nfs 10.11.0.1:/home rw,addr=10.11.0.1'].join('\n');
  expect(shown(mountinfo)).toEqual(['/ files -', '/home nothing 0']);
});

test.each([
  [
    'the upper of two mounts in one place',
    ['21 1 8:1 / / rw - ext4 a rw', '22 21 0:2 / /a rw - proc p rw', '23 22 0:3 / /a rw - tmpfs t rw'],
    ['/ files -', '/a files 0'],
  ],
  [
    'not what lies below another mount',
    ['21 1 8:1 / / rw - ext4 a rw', '22 21 0:2 / /a/b rw - tmpfs p rw', '23 21 0:3 / /a rw - tmpfs t rw'],
    ['/ files -', '/a files 0'],
  ],
  [
    'nor what was mounted in that',
    ['21 1 8:1 / / rw - ext4 a rw', '22 21 0:2 / /a/b rw - tmpfs p rw', '24 22 0:4 / /a/b/c rw - tmpfs p rw', '23 21 0:3 / /a rw - tmpfs t rw'],
    ['/ files -', '/a files 0'],
  ],
])('%s', (_, lines, expected) => {
  expect(shown(lines.join('\n'))).toEqual(expected);
});

test('a directory as top has only what is mounted below it', () => {
  expect(shown(node, '/mnt')).toEqual(['/mnt files -', '/mnt/a b files 0']);
  expect(shown(node, '/home')).toEqual(['/home files -']);
});

test('nothing is shown of a system without a root', () => {
  expect(shown('')).toEqual([]);
});

test('a mount that was replaced has another stamp', () => {
  const stamp = (line: string) => shownMounts(parseMounts(`21 1 8:1 / / rw - ext4 a rw\n${line}`), '/')[1]?.stamp;
  expect(stamp('22 21 0:2 / /a rw - tmpfs p rw')).not.toBe(stamp('23 21 0:2 / /a rw - tmpfs p rw'));
});
