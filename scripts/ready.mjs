// Makes a fresh clone ready: npm packages, Debian packages, compiled program. Plain JavaScript without dependencies, for it runs before them.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const top = fileURLToPath(new URL('..', import.meta.url));

/** What building an image and booting virtual machines takes. */
export const bootPackages = [
  'qemu-system-x86',
  'ipxe-qemu',
  'seabios',
  'iproute2',
  'util-linux',
  'mmdebstrap',
  'xz-utils',
  'zstd',
  'perl-base',
  'ovmf',
  'squashfs-tools',
  'kmod',
];

/** Other people's clients, which the interop tests let loose on our servers. */
export const interopPackages = [
  'isc-dhcp-client',
  'udhcpc',
  'busybox-static',
  'bootpc',
  'dhcping',
  'atftp',
  'tftp-hpa',
  'curl',
  'libnfs-utils',
  'dnsmasq-base',
  'libnss-systemd',
  'cpio',
  'libarchive-tools',
  'isc-dhcp-relay',
  'tcpdump',
  'systemd',
  'nginx-light',
  'ndisc6',
  'nfs-common',
  'openssl',
  'procps',
  'rpcbind',
  'strace',
  'groff-base',
  'man-db',
  'skopeo',
  'umoci',
  'docker-registry',
  'attr',
  'iproute2',
  'kmod',
  'mmdebstrap',
  'perl-base',
  'squashfs-tools',
  'zstd',
];

/** The servers that bench/ compares ours with. */
export const benchPackages = [
  'dnsmasq-base',
  'nfs-ganesha',
  'nfs-ganesha-vfs',
  'rpcbind',
  'busybox-static',
  'nginx-light',
  'openssl',
  'kea-dhcp4-server',
  'kea-admin',
];

/** Installs what is missing. Without root it prints the one command that does, and ends with status 2. */
export function ready(packages) {
  npmPackages();
  debianPackages(packages);
  build();
}

function npmPackages() {
  const installed = join(top, 'node_modules', '.package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(top, 'package-lock.json')).mtimeMs) return;
  step('npm install');
  // Not `npm ci`: it refuses a lock file without the packages of foreign platforms, which a partial registry cannot record.
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts']);
}

function debianPackages(packages) {
  const missing = packages.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  if (process.getuid() !== 0) {
    // A user namespace needs the sub-uids of newuidmap as well (mmdebstrap(1), --mode=unshare).
    const all = isInstalled('uidmap') || !missing.includes('mmdebstrap') ? missing : [...missing, 'uidmap'];
    fail(`Debian packages are missing. Install them with:\n\n  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${all.join(' ')}\n`);
  }
  step(`apt-get install ${missing.join(' ')}`);
  run('apt-get', ['update', '-q']);
  run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...missing], { DEBIAN_FRONTEND: 'noninteractive' });
}

function isInstalled(name) {
  const { status, stdout, error } = spawnSync('dpkg', ['-s', name], { encoding: 'utf8' });
  if (error) fail('This is not Debian (dpkg is missing). farm runs on Debian 12 and 13.\n');
  return status === 0 && stdout.includes('\nStatus: install ok installed\n');
}

/** Compiles the program if its sources are newer. */
export function build() {
  // Made last.
  const built = join(top, 'dist', 'licences.txt');
  if (existsSync(built) && statSync(built).mtimeMs > newest(join(top, 'src'))) return;
  step('npm run build');
  run(process.execPath, [join(top, 'scripts', 'build.mjs')]);
}

function newest(directory) {
  return Math.max(...readdirSync(directory, { withFileTypes: true, recursive: true }).map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs));
}

function step(text) {
  process.stderr.write(`> ${text}\n`);
}

/** stdout is kept for the program that is made ready. */
function run(command, args, environment = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: top, stdio: ['inherit', 2, 'inherit'], env: { ...process.env, ...environment } });
  if (error) fail(`${command} cannot be started: ${error.message}\n`);
  if (status !== 0) fail(`${command} ${args.join(' ')} ended with ${signal ?? status}\n`);
}

function fail(message) {
  process.stderr.write(message);
  process.exit(2);
}
