// /mfs between two real nodes: their kernels mount what their agents' part for files serves, over the link; and a root of one is one for programs on the other.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lab } from '../../src/lab/lab.ts';
import { bundle } from '../interop/namespaces.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

const bootSeconds = 300;

let directory: string;
let lab: Lab;
const n1 = (line: string) => onConsole(lab, 'n1', line);
const n2 = (line: string) => onConsole(lab, 'n2', line);

/** At other places and ports than the node's own agent has. Its orders come through a FIFO. */
function starting(self: number, other: number): string {
  const settings = JSON.stringify({
    ...{ self, host: `10.11.0.1${self}`, peers: { [other]: `10.11.0.1${other}` }, top: '/', scratch: '/run/test-mfs', mountPoint: '/test-mfs' },
    ...{ linkPort: 4700, mfsPort: 4702 },
  });
  return [
    'mkdir -p /run/test-mfs',
    '[ -p /run/test-mfs/in ] || mkfifo /run/test-mfs/in',
    'exec 9<> /run/test-mfs/in',
    `node /root/mfs-node.mjs '${settings}' <&9 > /run/test-mfs/out 2>&1 & echo $! > /run/test-mfs/pid`,
    'until grep -q ready /run/test-mfs/out; do sleep 0.5; done',
    'grep -q mfs.mounted /run/test-mfs/out',
  ].join('\n');
}
const order = (line: string) => `: > /run/test-mfs/out; echo ${line} > /run/test-mfs/in; until grep -q . /run/test-mfs/out; do sleep 0.2; done`;

beforeAll(async () => {
  directory = makeFarm('mfs-test');
  for (const mac of ['52-54-00-AB-00-01', '52-54-00-AB-00-02']) farm(directory, 'add-node', mac);
  const root = join(directory, 'overlays', 'root', 'root');
  mkdirSync(root, { recursive: true });
  await bundle(new URL('../support/mfs-node.ts', import.meta.url), join(root, 'mfs-node.mjs'));
  for (const [self, other] of [
    [1, 2],
    [2, 1],
  ] as const)
    writeFileSync(join(root, `mfs-${self}.sh`), starting(self, other));
  lab = await labOf(directory);
  await until(directory, ['n1', 'n2'], ({ stage }) => stage === 'up', bootSeconds);
  await Promise.all([n1('. /root/mfs-1.sh'), n2('. /root/mfs-2.sh')]);
});

afterAll(async () => {
  await lab?.down();
});

describe('/mfs between two nodes', () => {
  it('has both, as one file system that takes no room, and nothing below what is no place for files', async () => {
    expect(await n1('ls -1 /test-mfs; readlink /test-mfs/here /test-mfs/home')).toBe('1\n2\nhere\nhome\nlastexec\nmagic\nselected\n1\n/');
    expect(await n1('stat -f -c %b /test-mfs; [ $(stat -f -c %b /test-mfs/2) -gt 0 ] && echo room')).toBe('0\nroom');
    expect(await n1('ls -A /test-mfs/2/proc /test-mfs/2/sys /test-mfs/2/test-mfs | grep -cv :; cat /test-mfs/2/etc/hostname')).toBe('2\nn2');
    expect(await n1('ls -la /test-mfs/2/ /test-mfs/2/dev > /dev/null && echo listed; grep -c " /test-mfs" /proc/self/mountinfo')).toBe('listed\n1');
  });

  it('shows each what the other writes, with its next call', async () => {
    await n2('mkdir -m 777 /tmp/d; echo first > /tmp/d/f');
    expect(await n1('cat /test-mfs/2/tmp/d/f; echo second, from n1 > /test-mfs/2/tmp/d/f; cat /test-mfs/2/tmp/d/f')).toBe('first\nsecond, from n1');
    expect(await n2('cat /tmp/d/f; echo third, longer than that > /tmp/d/f; mv /tmp/d/f /tmp/d/g')).toBe('second, from n1');
    expect(await n1('ls /test-mfs/2/tmp/d; cat /test-mfs/2/tmp/d/g')).toBe('g\nthird, longer than that');
    expect(
      await n1('cd /test-mfs/2/tmp/d; mv g h; ln h i; ln -s h j; mkdir k; chown 1000:1000 h; stat -c "%h %u" h; rmdir k; cd /; ls -1A /test-mfs/2/tmp/d'),
    ).toBe('2 1000\nh\ni\nj');
    expect(await n2('ls -1 /tmp/d; cat /tmp/d/j; rm -r /tmp/d')).toBe('h\ni\nj\nthird, longer than that');
  });

  it('carries large files both ways, and mv from node to node copies', async () => {
    const sum = await n1('dd if=/dev/urandom of=/tmp/large bs=64k count=64 2> /dev/null; cp /tmp/large /test-mfs/2/tmp/large; sha256sum < /tmp/large');
    expect(await n2('sha256sum < /tmp/large; mv /tmp/large /test-mfs/1/tmp/back; ls /tmp/large 2>&1 | grep -c "No such"')).toBe(`${sum}\n1`);
    expect(await n1('sha256sum < /tmp/back')).toBe(sum);
  });

  it('has writers of both nodes in one file, each where it writes', async () => {
    const writer = (which: number, path: string) =>
      `i=0; while [ $i -lt 20 ]; do printf "%07d\\n" $((i + 100 * ${which})) | dd of=${path} bs=8 seek=$((i * 2 + ${which})) conv=notrunc 2> /dev/null; i=$((i + 1)); done`;
    await n2(': > /tmp/both');
    await Promise.all([n1(writer(1, '/test-mfs/2/tmp/both')), n2(writer(0, '/tmp/both'))]);
    const expected = Array.from({ length: 20 }, (_, i) => [`${i}`.padStart(7, '0'), `${100 + i}`.padStart(7, '0')])
      .flat()
      .join('\n');
    expect(await n2('cat /tmp/both')).toBe(expected);
    expect(await n1('cat /test-mfs/2/tmp/both')).toBe(expected);
  });

  it('leads each process to the node that it or an ancestor of it has selected, and says why nobody knows lastexec', async () => {
    const selecting = (node: number, line: string) => `bash -c 'exec 511< /test-mfs/${node}; exec sh -c "${line}"'`;
    expect(await n1(`${selecting(2, 'cat /test-mfs/selected/etc/hostname')}; ${selecting(1, 'cat /test-mfs/selected/etc/hostname')}`)).toBe('n2\nn1');
    expect(await n1(`${selecting(2, 'echo kept > /test-mfs/selected/tmp/s')}; cat /test-mfs/2/tmp/s; rm /test-mfs/2/tmp/s`)).toBe('kept');
    expect(await n1('cat /test-mfs/selected/etc/hostname 2>&1; ls /test-mfs/lastexec/ 2>&1; true')).toMatch(
      /No such file or directory\n.*No such file or directory$/,
    );
    expect(await n1('readlink /test-mfs/lastexec; echo x 2>&1 > /test-mfs/lastexec; true')).toMatch(/^unknown: .*\n.*(?:not permitted|cannot create)/);
    expect(await n1('echo made > /test-mfs/magic/tmp/m; cat /tmp/m; rm /test-mfs/magic/tmp/m; ls /tmp/m 2>&1 | grep -c "No such"')).toBe('made\n1');
  });

  it('refuses when its node does not want, at once', async () => {
    await n2(order('nomfs 1'));
    expect(await n1('ls /test-mfs/2 2>&1; cat /test-mfs/1/etc/hostname')).toMatch(/Permission denied\nn1$/);
    await n2(order('nomfs 0'));
    expect(await n1('cat /test-mfs/2/etc/hostname')).toBe('n2');
  });
});

describe("another node's tree as a root", () => {
  it('has programs that run, and shows their home', async () => {
    await n1(order('root 2'));
    expect(await n1('cat /run/test-mfs/out')).toMatch(/"at":"\/run\/test-mfs\/roots\/2"/);
    await n1('mount --bind /dev /run/test-mfs/roots/2/dev'); // as a job has one, on the empty directory that is there for it
    const inRoot = (line: string) => `chroot /run/test-mfs/roots/2 /bin/sh -c '${line}'`;
    expect(await n1(inRoot('cat /etc/hostname; ls -l /bin/sh | wc -l; awk "BEGIN { print 6 * 7 }"; perl -e "print 1 + 1, chr(10)"'))).toBe('n2\n1\n42\n2');
    expect(await n1(inRoot('dd if=/dev/zero of=/tmp/x bs=1k count=3 2>&1 | tail -n 1; echo home > /tmp/x; ls -A /proc; ls -A /sys'))).toMatch(/^3072 bytes.*$/);
    expect(await n2('cat /tmp/x')).toBe('home');
  });

  it('goes when no job needs it', async () => {
    await n1('umount /run/test-mfs/roots/2/dev');
    await n1(order('sweep'));
    expect(await n1('grep -c test-mfs/roots /proc/self/mountinfo; ls -A /run/test-mfs/roots')).toBe('0');
  });
});

describe('a node whose agent is killed', () => {
  it('is EIO in bounded time, and its files are good again with the next agent', async () => {
    await n2('echo kept > /tmp/kept');
    await n1('exec 8< /test-mfs/2/tmp/kept');
    await n2('kill -9 $(cat /run/test-mfs/pid)');
    const took = Number(
      await n1(
        's=$(date +%s); cat /test-mfs/2/etc/hostname 2>&1 | grep -q "Input/output" && cat /test-mfs/1/etc/hostname > /dev/null; echo $(( $(date +%s) - s ))',
      ),
    );
    expect(took).toBeLessThan(20);
    await n2('. /root/mfs-2.sh');
    expect(await n1('cat <&8; exec 8<&-; cat /test-mfs/2/etc/hostname')).toBe('kept\nn2');
  });
});
