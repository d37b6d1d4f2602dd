// Programs that show whether they were disturbed: each prints 1, 2, 3 ... and is made of other things. For the boot test of moving jobs.
import type { JobSpec } from '../../src/agent/jobs/types.ts';

const counter = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done';

const threads = `const { Worker } = require('node:worker_threads');
let n = 0;
new Worker("setInterval(() => require('node:worker_threads').parentPort.postMessage(0), 100)", { eval: true }).on('message', () => console.log(++n));`;

const shared = `$| = 1; $id = shmget(0, 64, 0600 | 01000); shmwrite($id, pack("N", 0), 0, 4);
if (!fork) { while (1) { shmread($id, $v, 0, 4); shmwrite($id, pack("N", unpack("N", $v) + 1), 0, 4); select(undef, undef, undef, 0.1) } }
$l = 0; while (1) { shmread($id, $v, 0, 4); $n = unpack("N", $v); while ($l < $n) { $l++; print "$l\\n" } select(undef, undef, undef, 0.05) }`;

/** 64 MiB, of which it changes ten pages a second. */
const memory = `$| = 1; $x = "a" x (64 << 20); $x .= "b"; while (1) { print ++$i, "\\n"; substr($x, ($i * 4096) % (64 << 20), 1) = "c"; select(undef, undef, undef, 0.1) }`;

const scenes: Readonly<Record<string, Partial<JobSpec> & { readonly args: readonly string[] }>> = {
  plain: { args: ['sh', '-c', counter] },
  /** Of a user, and not in one process. */
  user: {
    args: [
      'sh',
      '-c',
      `echo "$(id -u):$(id -g):$(id -G):$(umask):$(ulimit -n):$(pwd -P):$(hostname):$WORD" >&2; { ${counter}; } | sed -u s/^/x/ | while read -r x; do echo "\${x#x}"; done`,
    ],
    uid: 33,
    gid: 33,
    groups: [33, 50],
    umask: 0o27,
  },
  tree: { args: ['sh', '-c', '(while sleep 0.1; do echo tick; done) | { (sleep 1000 & sleep 1000) & n=0; while read -r t; do n=$((n+1)); echo $n; done; }'] },
  threads: { args: ['node', '-e', threads] },
  shared: { args: ['perl', '-e', shared] },
  files: {
    args: [
      'sh',
      '-c',
      'seq 1 20000 > in; exec 3< in 4> out; while read -r n <&3; do echo $n >&4; echo $n > /dev/shm/n; read -r m < /dev/shm/n; echo $m; sleep 0.1; done',
    ],
    directory: '/home/jobs',
    mounts: ['/tmp', '/home'],
    image: '',
  },
  memory: { args: ['perl', '-e', memory] },
};

export function specOf(scene: string, number: number, hostname: string): JobSpec {
  const chosen = scenes[scene];
  if (chosen === undefined) throw new Error(`there is no scene ${scene}`);
  return { ...plainSpec(number, hostname), ...chosen };
}

export function plainSpec(number: number, hostname: string): JobSpec {
  return {
    id: `1-${number}-${Math.round(process.hrtime()[0])}`,
    home: 1,
    hostname,
    deputy: number,
    args: ['true'],
    name: undefined,
    environment: ['PATH=/usr/bin:/bin', 'HOME=/tmp', 'TERM=dumb', "WORD=it's", 'BASH_FUNC_f%%=() { :; }'],
    directory: '/tmp',
    umask: 0o22,
    uid: 0,
    gid: 0,
    groups: [],
    niceness: 0,
    limits: [{ resource: 'nofile', soft: 100, hard: 200 }],
    streams: 'separate',
    window: undefined,
    mounts: ['/tmp'],
    image: '',
  };
}
