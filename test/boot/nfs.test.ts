// Linux' own NFS client, versions 3 and 2, on a node's root as `farm serve` serves it: every kind of operation, and a server that is killed under it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ip, makeSpaces, removeSpaces } from '../interop/namespaces.ts';
import { command, farm, makeFarm } from '../support/farm-under-test.ts';
import { Guest } from '../support/guest.ts';

const space = `nfsboot${process.pid % 10_000}`;
const mac = '52:54:00:dd:00:01';

let directory: string;
let server: ChildProcess;
let guest: Guest;

async function serve(): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', space, process.execPath, command, '-C', directory, 'serve', '--log-format', 'json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).event === 'serve.ready') {
      child.stdout.resume();
      return child;
    }
  }
  throw new Error('farm serve ended');
}

async function kill(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

beforeAll(async () => {
  directory = makeFarm('nfs-test');
  farm(directory, 'add-node', mac);
  makeSpaces([space]);
  ip('-n', space, 'link', 'add', 'farm0', 'type', 'bridge');
  ip('-n', space, 'addr', 'add', '10.11.0.1/24', 'dev', 'farm0');
  ip('-n', space, 'tuntap', 'add', 'tap0', 'mode', 'tap');
  ip('-n', space, 'link', 'set', 'tap0', 'master', 'farm0', 'up');
  ip('-n', space, 'link', 'set', 'farm0', 'up');
  server = await serve();
  const scratch = join(directory, 'guest');
  mkdirSync(scratch);
  guest = await Guest.start({ image: join(directory, 'images/debian-13/current'), space, tap: 'tap0', mac, address: '10.11.0.11/24', scratch });
});

afterAll(async () => {
  await guest?.off();
  if (server !== undefined) await kill(server);
  removeSpaces([space]);
});

/** Makes the client forget what it has read and seen: what follows is the server's. */
const forget = 'sync; echo 3 > /proc/sys/vm/drop_caches';

/** perl: shares the file's second page with the kernel and lets read(2) write into it. System calls by their numbers on x86-64. */
const mapped = `perl -e 'open F, "+<", "mapped"; my $at = syscall 9, 0, 8192, 3, 1, fileno F, 0; pipe R, W; syswrite W, "through memory"; syscall 0, fileno R, $at + 5000, 14'`;

/** What is done, in a directory of its own, and what it prints. */
const operations: readonly (readonly [sentence: string, lines: string, says: string])[] = [
  ['a file is created, renamed over another and read', 'echo new > a; echo old > b; mv a b; ls; cat b', 'b\nnew'],
  ['a hard link is the same file, and outlives its first name', 'echo x > a; ln a b; stat -c %h a; [ a -ef b ] && rm a; cat b; stat -c %h b', '2\nx\n1'],
  ['a symlink says where it goes, however strange', "ln -s 'no/such place' l; readlink l; stat -c %s l", 'no/such place\n13'],
  [
    'devices, a FIFO and a socket are what they are',
    `mknod c c 10 200; mknod b b 8 17; mkfifo p; perl -MSocket -e 'socket S, AF_UNIX, SOCK_STREAM, 0; bind S, pack_sockaddr_un "s"'
     ${forget}; stat -c '%F %Hr:%Lr' c b; stat -c %F p s`,
    'character special file 10:200\nblock special file 8:17\nfifo\nsocket',
  ],
  [
    'a file with holes reads as zeros where nothing was written',
    `truncate -s 1G f; printf end | dd of=f bs=1 seek=1073741821 conv=notrunc status=none; ${forget}
     stat -c %s f; tail -c 3 f; head -c 1000000 f | tr -d '\\0' | wc -c`,
    '1073741824\nend0',
  ],
  [
    'a file is cut and grown with zeros',
    `printf 0123456789 > f; truncate -s 4 f; truncate -s 8 f; ${forget}; od -An -c f`,
    '0   1   2   3  \\0  \\0  \\0  \\0',
  ],
  // Times are unsigned in both versions and the client knows it: what is before 1970 becomes 1970 (fs/nfs/super.c, s_time_min).
  [
    'a time after 2038 is kept, one before 1970 becomes 1970',
    `touch -d @4102444800 late; touch -d @-9 early; ${forget}; stat -c %Y late early`,
    '4102444800\n0',
  ],
  [
    'a name has 255 bytes and no more',
    `long=$(printf '%0255d' 7); echo long > $long; cat $long; ls | wc -c; touch 0$long 2>&1 | grep -o 'name too long'`,
    'long\n256\nname too long',
  ],
  ['a name is any bytes', `touch "$(printf 'a\\377\\001\\nx')"; ${forget}; ls | od -An -tx1 | tr -d ' \\n'`, '61ff010a780a'],
  ['a file that is open is there after its last name is gone', 'echo still > f; exec 5< f; rm f; cat <&5; exec 5<&-; ls -A', 'still'],
  [
    'a directory of 500 names is listed whole, and emptied while it is read',
    `mkdir many; perl -e 'for (1..500) { open F, ">", sprintf "many/%04d-%s", $_, "n" x ($_ % 90) }'; ${forget}
     ls many | wc -l; ls many | cut -c 1-4 | sort -u | wc -l; rm -r many; ls`,
    '500\n500',
  ],
  [
    'two that append lose nothing',
    'for i in 1 2; do (for j in 1 2 3 4 5 6 7 8 9; do echo $i >> f; done) & done; wait; sort f | uniq -c | tr -s " "',
    '9 1\n 9 2',
  ],
  ['only one creates exclusively', '(set -C; echo 1 > f && echo first; echo 2 > f) 2>/dev/null || echo refused; cat f', 'first\nrefused\n1'],
  [
    'what is written through a mapping arrives',
    `head -c 8192 /dev/zero > mapped; ${mapped}; ${forget}; dd if=mapped bs=1 skip=5000 count=14 status=none; stat -c %s mapped`,
    'through memory8192',
  ],
  [
    'owners and modes are set, and set-id bits go with the owner',
    `touch f; chmod 6755 f; stat -c %a f; chown 12:34 f; stat -c '%u:%g %a' f; mkdir d; chmod 3777 d; ${forget}; stat -c %a d`,
    '6755\n12:34 755\n3777',
  ],
  ['what is not empty is not removed', 'mkdir -p d/e; rmdir d 2>&1 | grep -o "not empty"; rm -r d; ls', 'not empty'],
  ['free space is told', 'set -- $(stat -f -c "%b %f" .); [ $1 -gt 1000 ] && [ $2 -gt 100 ] && [ $1 -ge $2 ] && echo plausible', 'plausible'],
];

describe.each([3, 2])("Linux' client of version %i", (version) => {
  const root = `/mnt/v${version}`;

  it('mounts', async () => {
    await guest.run(`mkdir -p ${root}; mount -i -t nfs -o addr=10.11.0.1,vers=${version},proto=tcp,nolock,hard 10.11.0.1:/ ${root}`);
    expect(await guest.run(`grep ${root} /proc/mounts`)).toContain(`vers=${version}`);
    expect(await guest.run(`cat ${root}/etc/hostname; mkdir ${root}/root/${version}`)).toBe('n1');
  });

  it.each(operations)('%s', async (_, lines, says) => {
    const own = `${root}/root/${version}/operation`;
    expect(await guest.run(`mkdir ${own} && cd ${own}; ${lines}\ncd /; rm -r ${own}`)).toBe(says);
  });

  it('notices of a server that is killed only that it waits', async () => {
    const from = '/usr/lib/x86_64-linux-gnu/perl-base';
    const copied = guest.run(`cp -av ${from} ${root}/root/${version} && echo copied | tail -n 1`, 120);
    await guest.printed(/(.*' -> '.*\r?\n){60}/);
    await kill(server);
    server = await serve();
    expect(await copied).toMatch(/copied$/);
    expect(await guest.run(`${forget}; diff -r ${from} ${root}/root/${version}/perl-base && echo the same`)).toBe('the same');
  });
});
