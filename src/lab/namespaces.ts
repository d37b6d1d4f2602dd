// The namespaces a lab lives in (unshare(1), nsenter(1)): nothing it does reaches the host's network, and all of it ends with its first process.
import { accessSync, constants, existsSync, readlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { run } from '../base/processes.ts';
import type { Card } from './plan.ts';

const tunDevice = '/dev/net/tun';

/** The programs of a lab, each with the Debian package that has it. */
const programs = [
  ['unshare', 'util-linux'],
  ['nsenter', 'util-linux'],
  ['ip', 'iproute2'],
  ['qemu-system-x86_64', 'qemu-system-x86'],
] as const;

/** Where distributions put the boot ROMs that QEMU gives its network cards (`qemu-system-x86_64 -L help`). */
const romDirectories = ['/usr/lib/ipxe/qemu', '/usr/share/qemu', '/usr/share/ipxe/qemu', '/usr/share/ipxe', '/usr/local/share/qemu'];
const roms: Readonly<Record<Card, string>> = { e1000: 'efi-e1000.rom', 'virtio-net-pci': 'efi-virtio.rom' };

function installed(program: string): boolean {
  const { PATH = '' } = process.env;
  return PATH.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function requireTun(): Promise<void> {
  try {
    await (await open(tunDevice, 'r+')).close();
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENODEV' || systemCode(error) === 'ENXIO') {
      throw new FarmError('lab.tun', `this kernel has no ${tunDevice}`, 'as root: modprobe tun (in a container: start it with --device /dev/net/tun)', error);
    }
    throw new FarmError('lab.tun', `${tunDevice} cannot be opened: ${sentence(error)}`, `as root: chmod 666 ${tunDevice}, or run the lab as root`, error);
  }
}

const common = ['--net', '--pid', '--mount', '--mount-proc', '--fork', '--kill-child'];

/**
 * The arguments of unshare(1) for a lab, tried out: those of root, or else of a user namespace. Throws `FarmError` with one sentence about
 * what this machine lacks.
 */
export async function requireNamespaces(cards: readonly Card[]): Promise<readonly string[]> {
  if (process.platform !== 'linux') throw new FarmError('lab.platform', 'the lab needs Linux', 'run it on the server of the farm, or in a virtual machine');
  const packages = new Set<string>(programs.filter(([program]) => !installed(program)).map(([, from]) => from));
  const missing = programs.filter(([program]) => !installed(program)).map(([program]) => program as string);
  for (const rom of new Set(cards.map((card) => roms[card]))) {
    if (romDirectories.some((directory) => existsSync(join(directory, rom)))) continue;
    missing.push(`${rom} (the network card's boot ROM)`);
    packages.add('ipxe-qemu');
  }
  if (missing.length > 0) {
    throw new FarmError('lab.programs', `the lab needs ${missing.join(', ')}, not installed here`, `apt-get install ${[...packages].join(' ')}`);
  }
  await requireTun();
  const attempts = process.geteuid?.() === 0 ? [common, ['--user', '--map-root-user', ...common]] : [['--user', '--map-root-user', ...common]];
  let reason: unknown;
  for (const attempt of attempts) {
    try {
      await run('unshare', [...attempt, 'true']);
      return attempt;
    } catch (error) {
      reason = error;
    }
  }
  throw new FarmError(
    'lab.namespaces',
    `this machine does not let the lab have a network of its own: ${sentence(reason).replace(/\s+/g, ' ')}`,
    'run it as root, or as root allow it: sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 (whichever exists)',
    reason,
  );
}

/**
 * The nsenter(1) call that runs `command` inside the lab whose unshare(1) process is `pid`, in `directory`. That process has the lab's
 * namespaces; its children's pid namespace is the lab's (pid_namespaces(7)).
 */
export function enterCommand(pid: number, directory: string, command: string, args: readonly string[]): [string, string[]] {
  const namespaces = `/proc/${pid}/ns`;
  const foreign = readlinkSync(`${namespaces}/user`) !== readlinkSync('/proc/self/ns/user');
  // With --user, nsenter would drop groups, which a user namespace made without root forbids (user_namespaces(7), setgroups).
  const user = foreign ? [`--user=${namespaces}/user`, '--preserve-credentials'] : [];
  const rest = [`--net=${namespaces}/net`, `--mount=${namespaces}/mnt`, `--pid=${namespaces}/pid_for_children`];
  // Entering a mount namespace moves to its root, so the shell goes back to where the caller is.
  return ['nsenter', [...user, ...rest, '--', 'sh', '-c', 'cd "$0" && exec "$@"', directory, command, ...args]];
}
