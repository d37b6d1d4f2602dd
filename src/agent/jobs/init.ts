// The scripts around a job: its first process, which builds the namespaces' view of the home node, and the words that a user's program begins with. Pure text.
import { FarmError } from '../../base/errors.ts';
import { terminalWords } from './terminal.ts';
import type { JobSpec } from './types.ts';

/** One word of sh(1), whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * First process of a job, in new namespaces: $1 its cgroup, $2 the home's root as this node sees it, $3 where it is bound, $4 host name, $5 the node's
 * /dev for jobs, $6 how many mounts follow; then what is bound and where for each, and the words that lead to the user's program. Complaints go to descriptor 4, to the agent, and
 * `ready` once all is done; the program begins at its answer. /proc/1 is root's, and so are its descriptors: the status pipe is 3.
 */
export const initScript: string = `set -e
exec 5>&2 2>&4
echo 0 > "$1/cgroup.procs"
root=\${2%/} at=$3 name=$4 dev=$5 count=$6
shift 6
mount --bind "$root/" "$at"
cd "$at"
mount -t proc -o nosuid,nodev,noexec proc proc
echo "$name" > proc/sys/kernel/hostname
mount --bind "$dev" dev
mount -t devpts -o newinstance,nosuid,noexec,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
mount -t mqueue -o nosuid,nodev,noexec mqueue dev/mqueue
while [ $count -gt 0 ]; do
  mount --bind "$1" ".$2"
  shift 2
  count=$((count - 1))
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
pivot_root . .
umount -l .
cd /
exec sh -c "$FARM_MAIN" farm-job "$@"`;

/**
 * What the first process goes on as, out of the job's own root: it runs the program, waits for what is left behind, reaps, and tells the status. In a
 * subshell, not in the background: that would ignore SIGINT (POSIX 2.11). A group of its own in a session that goes on above it, or Ctrl-Z would not stop it.
 */
export const mainScript: string = `unset FARM_MAIN
echo 0 > /proc/self/oom_score_adj
echo ready >&4
read -r go <&4
exec 2>/dev/null 4>&-
(
  exec 2>&5 3>&- 5>&-
  exec perl -e 'setpgrp; exec {$ARGV[0]} @ARGV; die "mosrun: $ARGV[0]: $!\\n"' "$@"
)
status=$?
exec 0</dev/null 1>/dev/null 5>&-
while set -- /proc/[0-9]*; [ $# -gt 1 ]; do sleep 1; done
echo $status >&3`;

/**
 * Keeps what a job needs if the agent dies: 3 writes its input, 4 and 5 read what it writes, 6 is where its first process says the status; $1 gets it, $2 is
 * the cgroup. USR1: end of the input; USR2, HUP: nobody reads 4, 5 any more. It stays until the agent ends it: there may be output that nobody has read.
 */
export const holderScript: string = `echo 0 > "$2/cgroup.procs"
trap 'exec 3>&-; again=yes' USR1
trap 'exec 4<&-; again=yes' USR2
trap 'exec 5<&-; again=yes' HUP
again=yes
while [ "$again" ]; do
  again=
  read -r status <&6 && break
  status=137
done
trap '' USR1 USR2 HUP
echo "$status" > "$1/status"
exec sleep infinity`;

/** Names that are more than a variable to dash, which assigns or refuses them. */
const special = new Set(['OPTIND', 'LINENO', 'PPID', 'IFS', 'PS1', 'PS2', 'PS4', 'ENV']);

/** The limits that prlimit(1) knows. */
const resources = new Set('as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' '));

/** The programs between the first process and the user's: limits, niceness, identity, terminal. `niceness`: what the agent itself has. */
export function leadingWords(spec: JobSpec, niceness: number): readonly string[] {
  const limits = spec.limits.map(({ resource, soft, hard }) => {
    if (!resources.has(resource)) throw new FarmError('job.limit', `there is no limit "${resource}"`, 'see prlimit(1)');
    return `--${resource}=${soft ?? 'unlimited'}:${hard ?? 'unlimited'}`;
  });
  return [
    ...(spec.niceness === niceness ? [] : ['nice', '-n', String(spec.niceness - niceness)]),
    ...(limits.length === 0 ? [] : ['prlimit', ...limits]),
    'setpriv',
    `--reuid=${spec.uid}`,
    `--regid=${spec.gid}`,
    spec.groups.length === 0 ? '--clear-groups' : `--groups=${spec.groups.join(',')}`,
    ...(spec.streams === 'terminal' ? terminalWords(spec.args, spec.window) : []),
  ];
}

/** What the user's own shell does before it becomes the program. Not in anybody's arguments: an environment may hold secrets, and ps shows those. */
export function startScript(spec: JobSpec): string {
  const place = quoted(spec.directory);
  const variables = spec.environment.filter((entry) => entry.indexOf('=') > 0);
  const plain = variables.filter((entry) => /^[A-Za-z_][A-Za-z0-9_]*=/.test(entry) && !special.has(entry.slice(0, entry.indexOf('='))));
  const odd = variables.filter((entry) => !plain.includes(entry));
  const named = spec.name === undefined ? [] : [`--argv0=${spec.name}`];
  const through = odd.length + named.length === 0 ? [] : ['/usr/bin/env', ...named, ...odd];
  const command = [...through, ...spec.args].map(quoted).join(' ');
  return [
    `umask ${spec.umask.toString(8).padStart(4, '0')}`,
    `cd -P ${place} 2>/dev/null || { echo "mosrun: "${place}": there is no such directory, or it may not be entered" >&2; exit 126; }`,
    'unset PATH PWD OLDPWD',
    ...plain.map((entry) => `export ${entry.slice(0, entry.indexOf('='))}=${quoted(entry.slice(entry.indexOf('=') + 1))}`),
    `exec ${command}`,
  ].join('\n');
}

/** execve(2) takes 128 KiB a string. */
const pieceLength = 32 * 1024;

/** The environment of the first process: both scripts in pieces, and how to join them. */
export function scriptEnvironment(start: string): { readonly environment: Readonly<Record<string, string>>; readonly shell: readonly string[] } {
  const pieces: string[] = [];
  for (let at = 0; at < start.length; at += pieceLength) pieces.push(start.slice(at, at + pieceLength));
  const names = pieces.map((_, index) => `FARM_START_${index}`);
  return {
    environment: Object.fromEntries(names.map((name, index) => [name, pieces[index] ?? ''])),
    shell: ['sh', '-c', `set -- "${names.map((name) => `$${name}`).join('')}"; unset ${names.join(' ')}; eval "$1"`, 'mosrun'],
  };
}
