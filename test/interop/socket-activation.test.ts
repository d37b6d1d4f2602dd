// farm unit --sockets: with what these units have systemd open and pass, a server without the right to open any of it serves a node.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeImage } from '../support/made-image.ts';
import { inside, ip, makeSpaces, removeSpaces } from './namespaces.ts';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const top = mkdtempSync(join(tmpdir(), 'farm-sockets-'));
const directory = join(top, 'lab');
const units = join(top, 'units');
const unique = process.pid % 10_000;
const [host, node] = [`hps${unique}`, `hpn${unique}`];
const mac = '52:54:00:11:00:01';

/** Nobody's number; root's, without any of its rights, where a checkout is closed to all but root. */
const user = isOpenToAll(command) ? 64_123 : 0;

function isOpenToAll(path: string): boolean {
  return path === '/' || ((statSync(path).mode & 0o005) === 0o005 && isOpenToAll(dirname(path)));
}

// What systemd does with socket units (systemd.socket(5), sd_listen_fds(3)): NAME|KIND|ADDRESS|PORT|CARD of each socket, then -- and the server's command line.
const asSystemd = `
use POSIX;
my (@open, @names);
while ((my $each = shift) ne "--") {
  my ($name, $kind, $address, $port, $card) = split /\\|/, $each, -1;
  socket(my $socket, 2, $kind eq "Stream" ? 1 : 2, 0) or die "socket: $!";
  setsockopt($socket, 1, 2, pack("i", 1)) or die "SO_REUSEADDR: $!";
  $card eq "" or setsockopt($socket, 1, 25, "$card\\0") or die "SO_BINDTODEVICE: $!";
  bind($socket, pack("S n C4 x8", 2, $port, split(/\\./, $address))) or die "$each: $!";
  $kind eq "Stream" and (listen($socket, 128) or die "listen: $!");
  push @open, $socket;
  push @names, $name;
}
POSIX::dup2(fileno($open[$_]), 100 + $_) // die "dup2: $!" for 0 .. $#open;
close($_) for @open;
for (0 .. $#open) { POSIX::dup2(100 + $_, 3 + $_) // die "dup2: $!"; POSIX::close(100 + $_); }
@ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$, scalar @open, join(":", @names));
exec @ARGV or die "exec: $!";
`;

/** The sockets of the units, as `asSystemd` takes them. */
function listed(): readonly string[] {
  return readdirSync(units)
    .filter((name) => name.endsWith('.socket'))
    .sort()
    .flatMap((name) => {
      const text = readFileSync(join(units, name), 'utf8');
      const value = (key: string): string | undefined => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1];
      return [...text.matchAll(/^Listen(Stream|Datagram)=(.*):(\d+)$/gm)].map(([, kind, address, port]) =>
        [value('FileDescriptorName') ?? name, kind, address, port, value('BindToDevice') ?? ''].join('|'),
      );
    });
}

interface Served {
  readonly child: ChildProcess;
  readonly lines: readonly Record<string, unknown>[];
  readonly ready: boolean;
  readonly errors: string;
}

/** The command line of a server with the rights that the unit gives. */
function limited(): readonly string[] {
  const [, names = ''] = /^AmbientCapabilities=(.*)$/m.exec(readFileSync(join(units, 'farm.service'), 'utf8')) ?? [];
  const list = names
    .split(' ')
    .map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)
    .join(',');
  const rights = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', `--bounding-set=-all,${list}`, `--inh-caps=-all,${list}`, `--ambient-caps=${list}`];
  return ['setpriv', ...rights, '--no-new-privs', process.execPath, command, '-C', directory, 'serve'];
}

/** `farm serve` with the rights that the unit gives, until it is ready or has ended. */
async function serve(sockets: readonly string[], ...options: readonly string[]): Promise<Served> {
  const server = [...limited(), '--log-format', 'json', ...options];
  const child = spawn('ip', ['netns', 'exec', host, 'perl', '-e', asSystemd, '--', ...sockets, '--', ...server], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const lines: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(JSON.parse(line));
    if (lines.at(-1)?.['event'] !== 'serve.ready') continue;
    child.stdout.resume();
    return { child, lines, ready: true, errors };
  }
  return { child, lines, ready: false, errors };
}

async function end({ child }: Served): Promise<void> {
  if (child.exitCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

function makeUnits(): void {
  execFileSync(command, ['-C', directory, 'unit', '--sockets', '--user', 'daemon', '--out', units]);
}

beforeAll(async () => {
  execFileSync(command, ['init', directory, '--name', 'lab', '--interface', 'eth1', '--address', '10.11.0.1/24']);
  execFileSync(command, ['-C', directory, 'add-node', mac]);
  const [, image = ''] = /^\s+image: (\S+)/m.exec(readFileSync(join(directory, 'farm.yaml'), 'utf8')) ?? [];
  await makeImage(join(directory, 'images'), { name: image, files: { 'etc/issue': 'image\n' } });
  makeUnits();
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (!statSync(join(directory, path), { throwIfNoEntry: false })?.isCharacterDevice()) spawnSync('chown', ['-h', `${user}:${user}`, join(directory, path)]);
  }
  chownSync(directory, user, user);
  chmodSync(top, 0o755);
  makeSpaces([host, node]);
  ip('-n', host, 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', node);
  ip('-n', host, 'addr', 'add', '10.11.0.1/24', 'dev', 'eth1');
  ip('-n', host, 'link', 'set', 'eth1', 'up');
  ip('-n', node, 'link', 'set', 'eth0', 'address', mac, 'up');
  ip('-n', node, 'addr', 'add', '10.11.0.10/24', 'dev', 'eth0');
});
afterAll(() => {
  removeSpaces([host, node]);
  rmSync(top, { recursive: true });
});

describe('farm unit --sockets', () => {
  it('systemd understands every line of its units', () => {
    const paths = readdirSync(units).map((name) => join(units, name));
    expect(paths.length).toBe(4);
    const { stdout, stderr, status } = spawnSync('systemd-analyze', ['verify', ...paths], { encoding: 'utf8' });
    // Of the units of this machine, which it reads too, others may be wrong.
    const said = `${stdout}${stderr}`.split('\n').filter((line) => line.includes(units));
    expect({ said, status }).toEqual({ said: [], status: 0 });
    const wrong = join(units, 'farm-portmap.socket');
    const text = readFileSync(wrong, 'utf8');
    writeFileSync(wrong, text.replace('FreeBind=', 'FreeBindd='));
    expect(spawnSync('systemd-analyze', ['verify', wrong], { encoding: 'utf8' }).stderr).toContain('FreeBindd');
    writeFileSync(wrong, text);
  });

  it('without the sockets the server has not the rights for its ports', async () => {
    const served = await serve([]);
    expect(served.ready).toBe(false);
    expect(served.errors).toMatch(/UDP port 67 on eth1 may not be opened by this user/);
  });

  it('with them a node has DHCP, TFTP, HTTP and NFS', async () => {
    const served = await serve(listed());
    try {
      expect(served.errors).toBe('');
      expect(served.lines.filter(({ level }) => level !== 'info')).toEqual([]);
      expect(served.lines.at(-1)?.['sockets']).toEqual(
        expect.arrayContaining([
          'udp 0.0.0.0:67 on eth1',
          'udp 0.0.0.0:4011 on eth1',
          'udp 10.11.0.1:69',
          'tcp 10.11.0.1:80',
          'tcp 10.11.0.1:2049',
          'udp 10.11.0.1:111',
        ]),
      );
      const status = readFileSync(`/proc/${served.child.pid}/status`, 'utf8');
      expect(status).toMatch(new RegExp(`^Uid:\\t${user}\\t`, 'm'));
      // CAP_NET_RAW, 13, and nothing else: capability.h
      expect(status).toMatch(/^CapEff:\t0{12}2000$/m);

      expect(await inside(node, 'udhcpc', ['-i', 'eth0', '-n', '-q', '-t', '5', '-T', '1', '-s', '/bin/true'])).toContain('lease of 10.11.0.10 obtained');
      expect(await inside(node, 'curl', ['-s', 'tftp://10.11.0.1/ipxe.efi'])).toBe('a loader\nstatus 0\n');
      expect(await inside(node, 'curl', ['-s', 'http://10.11.0.1/boot/n1.ipxe'])).toContain('#!ipxe');
      // The port mapper says where MOUNT and NFS are.
      expect(await inside(node, 'nfs-cat', ['nfs://10.11.0.1/etc/issue?version=3'])).toBe('image\n\nstatus 0\n');
      expect(await inside(node, 'nfs-cat', ['nfs://10.11.0.1/etc/hostname?version=3'])).toBe('n1\n\nstatus 0\n');
      writeFileSync(join(top, 'note'), 'of n1\n');
      await inside(node, 'nfs-cp', [join(top, 'note'), 'nfs://10.11.0.1/etc/note?version=3']);
      expect(await inside(node, 'nfs-cat', ['nfs://10.11.0.1/etc/note?version=3'])).toBe('of n1\n\nstatus 0\n');
      expect(await inside(node, 'rpcinfo', ['-T', 'udp', '10.11.0.1', 'nlockmgr', '4'])).toContain('ready and waiting');
    } finally {
      await end(served);
    }
  });

  it('and shared paths, whose files belong to whom the nodes say', async () => {
    const config = join(directory, 'farm.yaml');
    const before = readFileSync(config, 'utf8');
    writeFileSync(config, before.replace(/^ {2}default:$/m, '  default:\n    shared: [/home]'));
    makeUnits();
    const home = join(directory, 'shared/home/user');
    mkdirSync(home, { recursive: true });
    for (const path of [dirname(dirname(home)), dirname(home)]) chownSync(path, user, user);
    chownSync(home, 1000, 1000);
    chmodSync(home, 0o700);
    const served = await serve(listed());
    try {
      expect(served.lines.filter(({ level }) => level !== 'info')).toEqual([]);
      writeFileSync(join(top, 'letter'), 'dear all\n');
      const url = 'nfs://10.11.0.1/home/user/letter?version=3&uid=1000&gid=1000';
      expect(await inside(node, 'nfs-cp', [join(top, 'letter'), url])).toContain('status 0');
      expect(await inside(node, 'nfs-cat', [url])).toBe('dear all\n\nstatus 0\n');
      const { uid, gid } = statSync(join(home, 'letter'));
      expect({ uid, gid }).toEqual({ uid: 1000, gid: 1000 });
      expect(await inside(node, 'nfs-cat', [url.replaceAll('1000', '1001')])).toContain('ACCES');
    } finally {
      await end(served);
      writeFileSync(config, before);
      makeUnits();
    }
  });

  it("systemd's own program passes a socket, and the first client starts the server", async () => {
    const activate = ['systemd-socket-activate', '-l', '10.11.0.1:80', '--fdname=farm.socket', ...limited(), '--only', 'http'];
    const child = spawn('ip', ['netns', 'exec', host, ...activate], { stdio: ['ignore', 'ignore', 'pipe'] });
    try {
      for await (const line of createInterface({ input: child.stderr })) if (line.startsWith('Listening on 10.11.0.1:80')) break;
      expect(await inside(node, 'curl', ['-s', '-m', '20', 'http://10.11.0.1/boot/n1.ipxe'])).toContain('#!ipxe');
      expect(readFileSync(`/proc/${child.pid}/status`, 'utf8')).toMatch(/^CapEff:\t0{12}2000$/m);
    } finally {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    }
  });

  it('says which sockets nobody wants', async () => {
    const served = await serve(listed(), '--only', 'http');
    try {
      const told = served.lines.find(({ event }) => event === 'serve.sockets-untaken');
      expect(told?.['sockets']).toEqual(expect.arrayContaining(['udp 0.0.0.0:67 on eth1', 'udp 10.11.0.1:69']));
      expect(told?.['sockets']).not.toContain('tcp 10.11.0.1:80');
    } finally {
      await end(served);
    }
  });
});
