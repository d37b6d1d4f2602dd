// Dynamic leases with other people's clients: taken, renewed, given back, given to another, kept through kill -9. The wires are those of dhcp.test.ts.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { closeServices, folder, inside, ip, isRoot, layWires, pool, removeWires, serve, space, tryWith, udhcpc } from './dhcp-wires.ts';

const servePool = (first: number, last: number, more: object = {}) => serve('sa', '10.77.1.1', {}, { pools: [pool('1', first, last)], ...more });

/** dhclient with lease file and identifier of its own: two of them are two machines. */
function dhclient(who: string, ...args: string[]): Promise<string> {
  const files = ['-lf', join(folder, `${who}.leases`), '-pf', join(folder, `${who}.pid`), '-cf', join(folder, `${who}.conf`)];
  return inside(space.a, 'dhclient', ['-v', '-1', '-sf', join(folder, 'dhclient-print'), ...files, ...args, 'a0']);
}

const addressIn = (said: string) => /new_ip_address=(\S+)/.exec(said)?.[1];

beforeAll(async () => {
  if (!isRoot) return;
  await layWires();
  for (const who of ['one', 'two']) writeFileSync(join(folder, `${who}.conf`), `send dhcp-client-identifier "${who}";\ntimeout 12;\n`);
});

afterEach(async () => {
  await closeServices();
  rmSync(join(folder, 'journal'), { force: true });
  for (const who of ['one', 'two']) {
    rmSync(join(folder, `${who}.leases`), { force: true });
    if (isRoot) await inside(space.a, 'sh', ['-c', `test ! -e ${folder}/${who}.pid || kill $(cat ${folder}/${who}.pid); rm -f ${folder}/${who}.pid`]);
  }
  if (isRoot) ip('-n', space.a, 'addr', 'flush', 'dev', 'a0');
});

afterAll(() => {
  if (isRoot) removeWires();
  rmSync(folder, { recursive: true, force: true });
});

describe('a range of one address', () => {
  tryWith(['dhclient'], 'is one client’s until it gives it back, and then another’s', async () => {
    const service = await servePool(50, 50);
    expect(addressIn(await dhclient('one'))).toBe('10.77.1.50');
    expect(addressIn(await dhclient('two'))).toBeUndefined();
    expect(await service.heard('dhcp.ignore', ({ reason }) => reason === 'pool-full')).toMatchObject({ asked: 'DISCOVER' });

    ip('-n', space.a, 'addr', 'add', '10.77.1.50/24', 'dev', 'a0');
    await dhclient('one', '-r');
    ip('-n', space.a, 'addr', 'flush', 'dev', 'a0');
    expect(await service.heard('dhcp.release')).toMatchObject({ address: '10.77.1.50' });
    expect(addressIn(await dhclient('two'))).toBe('10.77.1.50');
  });
});

describe('a range of several', () => {
  tryWith(['dhclient'], 'two clients at once get two addresses, and keep them when they come back', async () => {
    await servePool(50, 59);
    const first = (await Promise.all([dhclient('one'), dhclient('two')])).map(addressIn);
    expect(new Set(first).size).toBe(2);
    expect(first).not.toContain(undefined);
    for (const who of ['one', 'two']) await dhclient(who, '-x');
    const again = [await dhclient('one'), await dhclient('two')];
    expect(again.map(addressIn)).toEqual(first);
    expect(again[0]).toContain('reason=REBOOT');
  });

  tryWith(['dhclient'], 'a server that is killed and started again knows its leases', async () => {
    const service = await servePool(50, 59);
    const one = addressIn(await dhclient('one'));
    await dhclient('one', '-x');
    await service.kill();

    const again = await servePool(50, 59);
    const said = await dhclient('one');
    expect(said).toContain('reason=REBOOT');
    expect(addressIn(said)).toBe(one);
    expect(await again.heard('dhcp.ack')).toMatchObject({ address: one });
    expect(addressIn(await dhclient('two'))).not.toBe(one);
  });

  tryWith(['udhcpc'], 'a lease is renewed at half its time, by unicast', async () => {
    const service = await servePool(50, 59, { pools: [pool('1', 50, 59, { leaseSeconds: 4 })] });
    // In the foreground and for good, with the script of the system in miniature: without the address it could not renew.
    const script = join(folder, 'configure');
    writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] && ip addr replace $ip/24 dev $interface\n[ "$1" = renew ] && kill $PPID\nexit 0\n', { mode: 0o755 });
    await inside(space.a, 'udhcpc', ['-i', 'a0', '-f', '-n', '-s', script]);
    const renewed = await service.heard('dhcp.ack', ({ route }) => route === 'unicast');
    expect(renewed).toMatchObject({ asked: 'REQUEST', address: expect.stringMatching(/^10\.77\.1\.5/) });
  });

  tryWith(['udhcpc'], 'an address that somebody uses already is not given', async () => {
    ip('-n', space.a, 'addr', 'add', '10.77.1.50/24', 'dev', 'a0');
    await servePool(50, 51);
    expect(await udhcpc(space.a, 'a0', '-t', '8')).toContain('bound ip=10.77.1.51');
  });
});
