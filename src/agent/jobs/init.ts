// The scripts around a job: its first process, which builds the namespaces' view of the home node, and the words that a user's program begins with. Pure text.
import { FarmError } from '../../base/errors.ts';
import { terminalWords } from './terminal.ts';
import type { JobSpec } from './types.ts';

/** One word of sh(1), whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * First process of a job, in new namespaces: its cgroup, the home's root as this node sees it, where it is bound, host name, the node's /dev for
 * jobs, how many mounts follow; then what is bound and where for each, and the words that lead to the user's program. Complaints go to descriptor 4, to the agent, and
 * `ready` once all is done; the program begins at its answer. /proc/1 is root's, and so are its descriptors: the status pipe is 3.
 *
 * One Perl for all of it: mount(8) for each would be most of what it costs to start a job. Perl's base has no names for the system calls; their
 * numbers are of asm/unistd.h, for the machines that Debian calls amd64, i386 and arm64.
 */
export const initScript: string = String.raw`use strict;
use Config;
$^F = 9;
open(my $errors, ">&=", 4) or exit 1;
sub give_up { syswrite $errors, "$_[0]\n"; exit 1 }
my ($cgroup, $root, $at, $name, $dev, $count, @words) = @ARGV;
my %numbers = (x86_64 => [165, 155, 166, 112], i686 => [21, 217, 52, 66], aarch64 => [40, 41, 39, 157]);
my ($machine) = split /-/, $Config{archname};
my $calls = $numbers{$machine} or give_up("jobs cannot be started on a $machine");
my ($mount, $pivot, $unmount, $session) = @$calls;
my ($ro, $nosuid, $nodev, $noexec, $bind, $detach) = (1, 2, 4, 8, 4096, 2);
sub mount_at {
  my ($source, $target, $kind, $flags, $data) = map { "$_" } @_;
  syscall($mount, $source, $target, $kind, $flags + 0, $data) == 0 or give_up("mount $source at $target: $!");
}
sub put_into {
  my ($path, $text) = @_;
  open(my $file, ">", $path) or give_up("$path: $!");
  syswrite($file, $text) or give_up("$path: $!");
}
syscall($session) != -1 or give_up("setsid: $!");
put_into("$cgroup/cgroup.procs", "0");
$root =~ s{/$}{};
mount_at("$root/", $at, "none", $bind, "");
chdir $at or give_up("$at: $!");
mount_at("proc", "proc", "proc", $nosuid | $nodev | $noexec, "");
put_into("proc/sys/kernel/hostname", $name);
mount_at($dev, "dev", "none", $bind, "");
mount_at("devpts", "dev/pts", "devpts", $nosuid | $noexec, "newinstance,ptmxmode=0666,mode=0620,gid=5");
mount_at("shm", "dev/shm", "tmpfs", $nosuid | $nodev, "mode=1777");
mount_at("mqueue", "dev/mqueue", "mqueue", $nosuid | $nodev | $noexec, "");
mount_at(shift @words, "." . shift @words, "none", $bind, "") while $count-- > 0;
mount_at("sysfs", "sys", "sysfs", $ro | $nosuid | $nodev | $noexec, "");
my $here = ".";
syscall($pivot, $here, $here) == 0 or give_up("pivot_root: $!");
syscall($unmount, $here, $detach) == 0 or give_up("umount of the node's root: $!");
chdir "/" or give_up("/: $!");
exec {"/bin/sh"} "sh", "-c", $ENV{FARM_MAIN}, "farm-job", @words;
give_up("/bin/sh: $!");`;

/**
 * What the first process goes on as, out of the job's own root: it runs the program, waits for what is left behind, reaps, and tells the status. In a
 * subshell, not in the background: that would ignore SIGINT (POSIX 2.11). A group of its own in a session that goes on above it, or Ctrl-Z would not stop it.
 */
export const mainScript: string = `exec 5>&2 2>&4
unset FARM_MAIN
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
