// farm power in a network: tcpdump sees the magic packet on the node's side of the wire; what cannot be done is told with what to do.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { standIn } from '../support/on-path.ts';
import { ip, makeSpaces, removeSpaces } from './namespaces.ts';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const directory = mkdtempSync(join(tmpdir(), 'farm-power-'));
const [here, there] = [`hpow${process.pid % 10_000}a`, `hpow${process.pid % 10_000}b`] as const;
const tool = standIn('ipmitool', "console.log('Chassis Power is off');");

beforeAll(() => {
  makeSpaces([here, there]);
  ip('-n', here, 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', there);
  ip('-n', here, 'addr', 'add', '10.11.0.1/24', 'dev', 'eth1');
  ip('-n', here, 'link', 'set', 'eth1', 'up');
  ip('-n', there, 'link', 'set', 'eth0', 'up');
  execFileSync(command, ['init', directory, '--name', 'lab', '--interface', 'eth1', '--address', '10.11.0.1/24']);
  execFileSync(command, ['-C', directory, 'add-node', '52:54:00:12:34:56', '52:54:00:12:34:57']);
  writeFileSync(join(directory, 'bmc'), 'geheim\n', { mode: 0o600 });
  const config = join(directory, 'farm.yaml');
  const text = readFileSync(config, 'utf8').replace(/^( +n2: \{.*?) \}/m, '$1, power: { ipmi: { address: 10.9.0.2, user: admin, password_file: bmc } } }');
  writeFileSync(config, text);
});
afterAll(() => {
  tool.remove();
  removeSpaces([here, there]);
  rmSync(directory, { recursive: true });
});

function power(...args: readonly string[]): { readonly stdout: string; readonly stderr: string; readonly status: number | null } {
  return spawnSync('ip', ['netns', 'exec', here, command, '-C', directory, 'power', ...args], { encoding: 'utf8', timeout: 30_000 });
}

it('wakes a node: the packet reaches its card as a broadcast to UDP port 9', async () => {
  const dump = spawn('ip', ['netns', 'exec', there, 'tcpdump', '-lxnei', 'eth0', '-c', '1', 'udp', 'port', '9'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let seen = '';
  dump.stdout.setEncoding('utf8').on('data', (text: string) => {
    seen += text;
  });
  try {
    await new Promise((resolve) => dump.stderr.on('data', (text) => String(text).includes('listening') && resolve(undefined)));
    expect(power('on', 'n1')).toMatchObject({ stdout: 'n1  wol  told  magic packet to 52:54:00:12:34:56 on eth1\n', stderr: '', status: 0 });
    await once(dump, 'close');
  } finally {
    dump.kill('SIGKILL');
  }
  expect(seen).toContain('> ff:ff:ff:ff:ff:ff');
  expect(seen).toMatch(/10\.11\.0\.1\.\d+ > 255\.255\.255\.255\.9: UDP, length 102/);
  const bytes = [...seen.matchAll(/0x[0-9a-f]+: +([0-9a-f ]+)/g)].map(([, hex = '']) => hex.replaceAll(' ', '')).join('');
  expect(bytes).toContain(`ffffffffffff${'525400123456'.repeat(16)}`);
});

it('says what Wake-on-LAN cannot do, and does the rest', () => {
  const { stdout, stderr, status } = power('cycle', 'all');
  expect(stdout).toBe('n2  ipmi  told  Chassis Power is off\n');
  expect(stderr).toContain('n1: Wake-on-LAN can only switch on\n  shut it down from within, farm ssh n1 -- reboot');
  expect(status).toBe(1);
  expect(tool.calls().map((args) => args.at(-1))).toEqual(['status', 'on']); // it was off
});

it('shows which are on, for programs too', () => {
  expect(power('status', 'all').stdout).toBe('n1  wol   unknown  its agent does not report\nn2  ipmi  off\n');
  expect(JSON.parse(power('status', 'n2', '--json').stdout)).toEqual([{ node: 'n2', by: 'ipmi', outcome: { kind: 'state', state: 'off' } }]);
});
