// farm unit: systemd reads the service without complaint, and its capabilities are enough for a server that is not root's.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ip, makeSpaces, removeSpaces } from './namespaces.ts';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const top = mkdtempSync(join(tmpdir(), 'farm-unit-'));
const directory = join(top, 'my 50% $farm');
const space = `hpow${process.pid % 10_000}u`;
/** Nobody's of this machine. */
/** Nobody's number; root's, with the same capabilities and no others, where a checkout is closed to all but root. */
const user = isOpenToAll(command) ? 64_123 : 0;

function isOpenToAll(path: string): boolean {
  return path === '/' || ((statSync(path).mode & 0o005) === 0o005 && isOpenToAll(dirname(path)));
}

beforeAll(() => {
  execFileSync(command, ['init', directory, '--name', 'lab', '--interface', 'eth1', '--address', '10.11.0.1/24']);
  makeSpaces([space]);
  ip('-n', space, 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth2');
  ip('-n', space, 'addr', 'add', '10.11.0.1/24', 'dev', 'eth1');
  for (const card of ['eth1', 'eth2']) ip('-n', space, 'link', 'set', card, 'up');
});
afterAll(() => {
  removeSpaces([space]);
  rmSync(top, { recursive: true });
});

/** Takes one message as systemd would: sd_notify(3). */
const asManager = `
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un($ARGV[0])) or die "bind: $!";
chmod 0777, $ARGV[0];
$| = 1;
print "bound\\n";
recv($socket, my $message, 4096, 0);
print $message;
`;

function unit(...options: readonly string[]): string {
  return execFileSync(command, ['-C', directory, 'unit', ...options], { encoding: 'utf8' });
}

function verify(text: string): { readonly said: string; readonly status: number | null } {
  const path = join(top, 'farm-lab.service');
  writeFileSync(path, text);
  const { stdout, stderr, status } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
  // Of the units of this machine, which it reads too, others may be wrong.
  const own = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('farm-lab'));
  return { said: own.join('\n'), status };
}

describe('farm unit', () => {
  it.each([[[]], [['--user', 'daemon']]])('systemd understands every line of it: %j', (options) => {
    expect(verify(unit(...options))).toEqual({ said: '', status: 0 });
  });

  it('which is no matter of course', () => {
    expect(verify(unit().replace('ProtectSystem=strict', 'ProtectSystem=stricter')).said).toContain('stricter');
    expect(verify(unit().replace(/^ExecStart=\S+/m, 'ExecStart=/nowhere')).status).not.toBe(0);
  });

  it('has the capabilities that a server needs whose user is not root, who tells systemd when it is ready', async () => {
    const [, names = ''] = /^AmbientCapabilities=(.*)$/m.exec(unit('--user', 'daemon')) ?? [];
    const list = names
      .split(' ')
      .map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)
      .join(',');
    giveAway(directory);
    chmodSync(top, 0o755);
    const rights = [
      `--reuid=${user}`,
      `--regid=${user}`,
      '--clear-groups',
      `--bounding-set=-all,${list}`,
      `--inh-caps=${list}`,
      `--ambient-caps=${list}`,
      '--no-new-privs',
    ];
    const serve = [process.execPath, command, '-C', directory, 'serve', '--log-format', 'json'];
    const socket = join(top, 'notify');
    const manager = spawn('perl', ['-MSocket', '-e', asManager, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [bound] = await once(manager.stdout.setEncoding('utf8'), 'data');
    expect(bound).toBe('bound\n');
    const told = once(manager.stdout, 'data');
    const env = { ...process.env, NOTIFY_SOCKET: socket };
    const server = spawn('ip', ['netns', 'exec', space, 'setpriv', ...rights, ...serve], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(server, 'close');
    const lines: string[] = [];
    server.stderr.setEncoding('utf8').on('data', (text: string) => lines.push(text));
    try {
      for await (const line of createInterface({ input: server.stdout })) {
        lines.push(line);
        if (line.includes('"serve.ready"')) break;
      }
      expect(lines.filter((line) => !/"level":"(info|debug)"/.test(line) && !line.includes('"image.missing"'))).toEqual([]);
      expect(lines.at(-1)).toContain('"serve.ready"');
      const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
      expect(status).toMatch(new RegExp(`^Uid:\\t${user}\\t`, 'm'));
      expect((await told)[0]).toMatch(/^READY=1\nSTATUS=ready, on \d+ sockets$/m);
    } finally {
      server.kill('SIGTERM');
      await closed;
      manager.kill();
    }
  });
});

function giveAway(path: string): void {
  for (const entry of readdirSync(path, { recursive: true, encoding: 'utf8' })) chownSync(join(path, entry), user, user);
  chownSync(path, user, user);
}
