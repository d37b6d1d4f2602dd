// farm doctor on a wire on which dnsmasq gives addresses, and on one where nobody does.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const directory = mkdtempSync(join(tmpdir(), 'farm-doctor-'));
const [here, there] = [`fo${process.pid % 10_000}a`, `fo${process.pid % 10_000}b`];
const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

beforeAll(() => {
  for (const space of [here, there]) ip('netns', 'add', space);
  ip('-n', here, 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', there);
  ip('-n', here, 'addr', 'add', '10.11.0.1/24', 'dev', 'eth1');
  ip('-n', there, 'addr', 'add', '10.11.0.254/24', 'dev', 'eth0');
  for (const [space, card] of [
    [here, 'eth1'],
    [there, 'eth0'],
  ] as const)
    ip('-n', space, 'link', 'set', card, 'up');
  execFileSync(command, ['init', directory, '--name', 'lab', '--interface', 'eth1', '--address', '10.11.0.1/24']);
});
afterAll(() => {
  for (const space of [here, there]) spawnSync('ip', ['netns', 'delete', space]);
  rmSync(directory, { recursive: true });
});

interface Found {
  readonly check: string;
  readonly state: string;
  readonly says: string;
}

/** The namespace has its own /sys only with a mount of its own: `ip netns exec` makes it. */
function doctor(): { readonly findings: readonly Found[]; readonly status: number | null } {
  const { stdout, status } = spawnSync('ip', ['netns', 'exec', here, command, '-C', directory, 'doctor', '--json'], { encoding: 'utf8', timeout: 30_000 });
  return { findings: JSON.parse(stdout), status };
}
const stateOf = (findings: readonly Found[], check: string): string | undefined => findings.find((finding) => finding.check === check)?.state;

it('hears nobody where nobody is, and says that there is nothing to boot', () => {
  const { findings, status } = doctor();
  expect(stateOf(findings, 'network main')).toBe('ok');
  expect(findings).toContainEqual({ check: 'other DHCP, main', state: 'ok', says: 'none' });
  expect(stateOf(findings, 'ports')).toBe('ok');
  expect(stateOf(findings, 'image debian-13')).toBe('bad');
  expect(status).toBe(1);
});

it('hears dnsmasq, which would fight with it for every machine', async () => {
  const dnsmasq = spawn(
    'ip',
    [
      'netns',
      'exec',
      there,
      'dnsmasq',
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--port=0',
      '--interface=eth0',
      '--dhcp-range=10.11.0.100,10.11.0.150',
      '--dhcp-leasefile=/dev/null',
      '--no-ping',
      '--log-facility=-',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  try {
    await new Promise((resolve) => dnsmasq.stderr.on('data', (text) => String(text).includes('DHCP, IP range') && resolve(undefined)));
    const found = doctor().findings.find(({ check }) => check === 'other DHCP, main');
    expect(found).toMatchObject({ state: 'bad', says: expect.stringContaining('10.11.0.254 gives addresses here too') });
  } finally {
    dnsmasq.kill('SIGKILL');
  }
});
