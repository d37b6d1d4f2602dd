import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ipv4, mac } from '../../src/base/addresses.ts';
import { leasesCommand, leasesText } from '../../src/cli/leases.ts';
import type { LeaseView } from '../../src/dhcp/lease-slot.ts';
import { leasesFile } from '../../src/dhcp/lease-store.ts';

const farm = mkdtempSync(join(tmpdir(), 'farm-leases-'));
mkdirSync(join(farm, 'state'));
writeFileSync(join(farm, 'farm.yaml'), 'name: lab\n');
afterAll(() => rmSync(farm, { recursive: true }));

async function output(...args: string[]): Promise<string> {
  const written: string[] = [];
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0);
  const print = vi.spyOn(console, 'log').mockImplementation((text) => void written.push(`${text}\n`));
  try {
    await new Command('farm')
      .option('-C, --directory <dir>')
      .addCommand(leasesCommand())
      .parseAsync(['-C', farm, 'leases', ...args], { from: 'user' });
  } finally {
    out.mockRestore();
    print.mockRestore();
  }
  return written.join('');
}

describe('farm leases', () => {
  it('says that there are none', async () => {
    expect(await output()).toMatch(/^No dynamic leases\./);
    expect(JSON.parse(await output('--json'))).toEqual([]);
  });

  it('reads the journal that the server writes', async () => {
    const at = Date.now() - 60_000;
    const line = { lease: '10.11.0.100', net: 'main', key: '01525400123458', mac: '52:54:00:12:34:58', host: 'laptop', at, end: at + 43_260_000 };
    const infinite = { lease: '10.11.0.101', net: 'main', key: '06ff', at, end: null };
    writeFileSync(join(farm, 'state', leasesFile), `${JSON.stringify(line)}\n${JSON.stringify(infinite)}\n{"lease":"10.`);
    const [heading, first, second, ...more] = (await output()).split('\n');
    expect([heading, more]).toEqual(['ADDRESS      NETWORK  STATE   CLIENT             HOST NAME  START     END', ['']]);
    expect(first).toMatch(/^10\.11\.0\.100 {2}main {5}leased {2}52:54:00:12:34:58 {2}laptop {5}6\d s ago {2}in 12 h$/);
    expect(second).toMatch(/^10\.11\.0\.101 {2}main {5}leased {2}06ff {26}6\d s ago {2}never$/);
    expect(JSON.parse(await output('--json'))).toEqual([
      {
        address: '10.11.0.100',
        network: 'main',
        state: 'leased',
        mac: '52:54:00:12:34:58',
        clientId: '01525400123458',
        hostName: 'laptop',
        start: at,
        end: at + 43_260_000,
      },
      { address: '10.11.0.101', network: 'main', state: 'leased', clientId: '06ff', start: at, end: null },
    ]);
  });

  const now = 1_800_000_000_000;
  const lease: LeaseView = {
    address: ipv4('10.11.0.100'),
    network: 'main',
    state: 'leased',
    key: '01525400123458',
    mac: mac('52:54:00:12:34:58'),
    hostName: undefined,
    since: now - 7_200_000,
    until: now,
  };
  it.each([
    [{ until: now + 90_000 }, 'in 90 s'],
    [{ until: now + 20 * 60_000 }, 'in 20 min'],
    [{ until: now + 72 * 3_600_000 }, 'in 3 d'],
    [{ state: 'expired', until: now - 180_000 }, 'expired 3 min ago'],
    [{ state: 'released', until: now - 5_000 }, 'released 5 s ago'],
    [{ state: 'declined', until: now + 480_000, since: undefined }, 'not given for 8 min'],
    [{ until: Number.POSITIVE_INFINITY }, 'never'],
  ] as const)('tells the end in words: %o is "%s"', (more, words) => {
    expect(leasesText([{ ...lease, ...more }], now)).toContain(`  ${words}\n`);
  });
});
