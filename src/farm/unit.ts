// The systemd service that runs `farm serve` for one farm: systemd.service(5), systemd.exec(5). With what it needs, and nothing else.
import type { Farm } from './farm.ts';

export interface UnitTerms {
  /** The program and its first arguments, absolute paths. */
  readonly program: readonly string[];
  /** undefined: root. */
  readonly user: string | undefined;
  /** Units of `farm unit --sockets`, which pass what the server listens on. */
  readonly sockets?: readonly string[];
  /** For `systemctl status`: where it is described. */
  readonly doc?: string;
}

/** Frames and ARP alone: nothing passes these, they are opened for each card as it comes and goes. */
const unboundNetwork = ['CAP_NET_RAW'];

/** Ports below 1024; frames, ARP and SO_BINDTODEVICE; receive buffers above net.core.rmem_max. */
const network = ['CAP_NET_BIND_SERVICE', 'CAP_NET_RAW', 'CAP_NET_ADMIN'];

/** Files of any owner and mode, set-id bits and device files: what nodes keep in shared paths is on the disk as it is. */
const ownership = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_MKNOD'];

export function unitText(farm: Pick<Farm, 'directory' | 'name' | 'profiles' | 'usersFromServer'>, { program, user, sockets = [], doc }: UnitTerms): string {
  const { directory, name } = farm;
  const isSharing = farm.profiles.some(({ shared }) => shared.length > 0);
  const open = sockets.length === 0 ? network : unboundNetwork;
  const capabilities = user === undefined || isSharing ? [...open, ...ownership] : open;
  const inTemporary = [directory, ...program].some((path) => /^\/(?:var\/)?tmp\//.test(path));
  const lines = [
    '# Made by: farm unit',
    '[Unit]',
    `Description=farm ${specifiers(name)}: DHCP, TFTP, HTTP and NFS for diskless nodes`,
    ...(doc === undefined ? [] : [`Documentation=${doc}`]),
    `AssertPathExists=${specifiers(directory)}/farm.yaml`,
    'Wants=network-online.target',
    'After=network-online.target',
    '',
    '[Service]',
    // farm serve tells when it answers, by systemd-notify: another process.
    'Type=notify',
    'NotifyAccess=all',
    `ExecStart=${[...program, '-C', directory, 'serve'].map(word).join(' ')}`,
    ...(sockets.length === 0 ? [] : [`Sockets=${sockets.join(' ')}`]),
    'Restart=always',
    'RestartSec=2',
    'LimitNOFILE=65536',
    ...(user === undefined ? [] : [`User=${specifiers(user)}`, `AmbientCapabilities=${capabilities.join(' ')}`]),
    // Who may read the hashes: Debian's base-passwd.
    ...(user !== undefined && farm.usersFromServer?.passwords === true ? ['SupplementaryGroups=shadow'] : []),
    `CapabilityBoundingSet=${capabilities.join(' ')}`,
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
    `ReadWritePaths=${quoted(specifiers(directory))}`,
    'ProtectHome=read-only',
    ...(inTemporary ? [] : ['PrivateTmp=yes']),
    // Both let no device be made, which nodes may in shared paths; so for a farm without any.
    ...(isSharing ? [] : ['PrivateDevices=yes', 'ProtectClock=yes']),
    'ProtectKernelTunables=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelLogs=yes',
    'ProtectControlGroups=yes',
    'ProtectHostname=yes',
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_PACKET AF_NETLINK',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'LockPersonality=yes',
    'SystemCallArchitectures=native',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ];
  return `${lines.join('\n')}\n`;
}

/** `%` begins a specifier everywhere in a unit: systemd.unit(5). */
function specifiers(text: string): string {
  return text.replaceAll('%', '%%');
}

/** One word of a command line, where `$` begins a variable besides: systemd.service(5), "Command lines". */
function word(text: string): string {
  return quoted(specifiers(text).replaceAll('$', '$$$$'));
}

function quoted(text: string): string {
  return /[\s"'\\;]/.test(text) ? `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"` : text;
}
