// What is on the wire when a client clears the broadcast flag: a frame to its hardware address, or a broadcast where that cannot be (RFC 2131 4.1).
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { closeServices, folder, host, ip, isRoot, layWires, macs, removeWires, serve, space, tryWith, udhcpc } from './dhcp-wires.ts';

const file = join(folder, 'wire.pcap');
const mac = macs.a.replaceAll(':', '');

/** Everything on the client's wire from or to a DHCP server's port. */
async function capture(): Promise<() => Promise<readonly Buffer[]>> {
  const args = ['netns', 'exec', space.a, 'tcpdump', '-i', 'a0', '-U', '--immediate-mode', '-Z', 'root', '-w', file, 'udp port 67 or arp'];
  const child: ChildProcess = spawn('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  for await (const line of createInterface({ input: child.stderr! })) if (line.includes('listening on')) break;
  return async () => {
    child.kill('SIGINT');
    await exit;
    return [...frames(readFileSync(file))];
  };
}

function* frames(pcap: Buffer): Iterable<Buffer> {
  for (let at = 24; at < pcap.length; ) {
    const length = pcap.readUInt32LE(at + 8);
    yield pcap.subarray(at + 16, at + 16 + length);
    at += 16 + length;
  }
}

/** To which hardware and IP address the server's replies went. */
function replies(captured: readonly Buffer[]): readonly string[] {
  const isReply = (frame: Buffer) => frame.readUInt16BE(12) === 0x0800 && frame.readUInt16BE(34) === 67;
  return captured.filter(isReply).map((frame) => `${frame.toString('hex', 0, 6)} ${[...frame.subarray(30, 34)].join('.')}:${frame.readUInt16BE(36)}`);
}

function arps(captured: readonly Buffer[]): number {
  return captured.filter((frame) => frame.readUInt16BE(12) === 0x0806).length;
}

beforeAll(async () => {
  if (isRoot) await layWires();
});

afterEach(closeServices);

afterAll(() => {
  if (isRoot) removeWires();
  rmSync(folder, { recursive: true, force: true });
});

describe('a client without an address', () => {
  tryWith(['udhcpc', 'tcpdump'], 'that clears the broadcast flag gets frames of its own, without an ARP question', async () => {
    const service = await serve('sa', '10.77.1.1', { [macs.a]: host('1', 'n1') });
    const stop = await capture();
    expect(await udhcpc(space.a, 'a0')).toContain('bound ip=10.77.1.7');
    const captured = await stop();
    expect(replies(captured)).toEqual([`${mac} 10.77.1.7:68`, `${mac} 10.77.1.7:68`]);
    expect(arps(captured)).toBe(0);
    expect((await service.heard('dhcp.ack'))['route']).toBe('unconfigured');
  });

  tryWith(['udhcpc', 'tcpdump'], 'that sets it gets broadcasts', async () => {
    const service = await serve('sa', '10.77.1.1', { [macs.a]: host('1', 'n1') });
    const stop = await capture();
    expect(await udhcpc(space.a, 'a0', '-B')).toContain('bound ip=10.77.1.7');
    expect(replies(await stop())).toEqual(['ffffffffffff 255.255.255.255:68', 'ffffffffffff 255.255.255.255:68']);
    expect((await service.heard('dhcp.ack'))['route']).toBe('broadcast');
  });

  tryWith(['udhcpc', 'tcpdump'], 'gets broadcasts where no frames can be sent, and that is said once', async () => {
    // Without the right to packet sockets (CAP_NET_RAW) a socket cannot be tied either, so the interface itself is the obstacle: it is down at first.
    ip('-n', space.server, 'link', 'set', 'sa', 'down');
    const service = await serve('sa', '10.77.1.1', { [macs.a]: host('1', 'n1') });
    ip('-n', space.server, 'link', 'set', 'sa', 'up');
    const stop = await capture();
    expect(await udhcpc(space.a, 'a0')).toContain('bound ip=10.77.1.7');
    expect(replies(await stop())[0]).toBe('ffffffffffff 255.255.255.255:68');
    expect((await service.heard('dhcp.offer'))['route']).toBe('broadcast');
    expect(await service.heard('dhcp.unicast-lost')).toMatchObject({ interface: 'sa', reason: expect.stringContaining('down') });
    await service.heard('dhcp.unicast-ready');
    expect(service.lines.filter(({ event }) => event === 'dhcp.unicast-lost')).toHaveLength(1);
  });
});
