// A relay that adds option 82 (ISC dhcrelay) in front of another network, and nodes known by the relay's port.
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { closeServices, folder, host, inside, ip, isRoot, layWires, macs, pool, removeWires, serve, space, tryWith, udhcpc } from './dhcp-wires.ts';

let relay: ChildProcess | undefined;

/** Between c0 and the server; appends agent information: the circuit is the interface's name. */
async function startRelay(): Promise<void> {
  const args = ['netns', 'exec', space.relay, 'dhcrelay', '-4', '-d', '--no-pid', '-a', '-i', 'r1', '-i', 'r0', '10.77.3.1'];
  relay = spawn('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  for await (const line of createInterface({ input: relay.stderr! })) if (line.includes('Sending on   Socket/')) break;
}

beforeAll(async () => {
  if (isRoot) await layWires();
});

afterEach(async () => {
  const { exit } = { exit: new Promise((resolve) => (relay === undefined ? resolve(0) : relay.once('exit', resolve))) };
  relay?.kill();
  await exit;
  relay = undefined;
  await closeServices();
  if (isRoot) ip('-n', space.c, 'addr', 'flush', 'dev', 'c0');
});

afterAll(() => {
  if (isRoot) removeWires();
  rmSync(folder, { recursive: true, force: true });
});

describe('behind dhcrelay', () => {
  tryWith(['dhcrelay', 'udhcpc'], 'a registered machine gets the address it has there', async () => {
    const service = await serve('sr', '10.77.3.1', { [macs.c]: host('4', 'n4') });
    await startRelay();
    expect(await udhcpc(space.c, 'c0')).toContain('bound ip=10.77.4.7');
    expect(await service.heard('dhcp.ack')).toMatchObject({ relay: '10.77.4.1', route: 'relay', node: 'n4' });
  });

  tryWith(['dhcrelay', 'udhcpc'], 'a stranger gets one of the range of its network, and what goes with it', async () => {
    const service = await serve('sr', '10.77.3.1', {}, { pools: [pool('3', 50, 59), pool('4', 60, 69)] });
    await startRelay();
    const said = await udhcpc(space.c, 'c0', '-t', '6');
    expect(said).toMatch(/bound ip=10\.77\.4\.6\d\n/);
    expect(said).toContain('bound router=10.77.4.1');
    expect(await service.heard('dhcp.ack')).toMatchObject({ relay: '10.77.4.1', route: 'relay' });
  });

  tryWith(['dhcrelay', 'udhcpc', 'dhcping'], 'a renewal comes straight from the client and is answered there', async () => {
    const service = await serve('sr', '10.77.3.1', { [macs.c]: host('4', 'n4') });
    await startRelay();
    await udhcpc(space.c, 'c0');
    ip('-n', space.c, 'addr', 'add', '10.77.4.7/24', 'dev', 'c0');
    ip('-n', space.c, 'route', 'add', 'default', 'via', '10.77.4.1');
    await inside(space.relay, 'sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
    expect(await inside(space.c, 'dhcping', ['-s', '10.77.3.1', '-c', '10.77.4.7', '-h', macs.c])).toContain('Got answer from: 10.77.3.1');
    expect(await service.heard('dhcp.ack', ({ route }) => route === 'unicast')).toMatchObject({ address: '10.77.4.7' });
  });
});
