import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import { FarmError } from '../../src/base/errors.ts';
import type { Fields } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { type TftpFile, tftpBytes, tftpFileBelow } from '../../src/tftp/files.ts';
import { encode } from '../../src/tftp/packet.ts';
import { startTftpServer, type TftpLimits } from '../../src/tftp/server.ts';
import { Client } from './client.ts';
import { random } from './network.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-tftpd-'));
afterAll(() => rmSync(place, { recursive: true }));

let service: Service | undefined;
let port = 0;
const clients: Client[] = [];
let events: { readonly event: string; readonly fields: Fields }[] = [];
const waiting: (() => void)[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await service?.close();
  service = undefined;
});

type Source = (path: string) => Promise<TftpFile | undefined>;

async function serve(source: Source, limits: Partial<TftpLimits> = {}): Promise<void> {
  events = [];
  service = await startTftpServer({
    address: ipv4('127.0.0.1'),
    port: 0,
    source,
    clock: systemClock,
    limits: { closing: 300, ...limits },
    log: (_, event, fields = {}) => {
      events.push({ event, fields });
      for (const wake of waiting.splice(0)) wake();
    },
  });
  port = Number(service.sockets[0]?.split(':')[1]);
}

async function client(): Promise<Client> {
  const opened = await Client.open(port);
  clients.push(opened);
  return opened;
}

async function logged(event: string): Promise<Fields> {
  for (;;) {
    const found = events.find((entry) => entry.event === event);
    if (found !== undefined) return found.fields;
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
}

/** A file that exists only as a rule: byte n is a hash of n. */
function virtual(size: number): TftpFile {
  const read = async (offset: number, target: Buffer) => {
    const length = Math.max(0, Math.min(target.length, size - offset));
    for (let at = 0; at < length; at += 1) target[at] = byteAt(offset + at);
    return length;
  };
  return { size, open: async () => ({ read, close: async () => {} }) };
}

const byteAt = (offset: number) => (Math.imul(offset, 2_654_435_761) >>> 24) & 255;

function isVirtual(bytes: Buffer): boolean {
  return bytes.every((byte, at) => byte === byteAt(at));
}

describe('the TFTP server', () => {
  const edges = [0, 1, 511, 512, 513, 1023, 1024, 1467, 1468, 1469, 2936, 65_536, 100_000];
  it.each(edges)('sends %i bytes as they are, in every way of asking', async (size) => {
    await serve(async () => virtual(size));
    for (const options of [{}, { blksize: 8 }, { blksize: 1468 }, { blksize: 1468, windowsize: 4, tsize: 0 }, { blksize: 600, windowsize: 64 }]) {
      if (size > 10_000 && options.blksize === 8) continue;
      const { bytes } = await (await client()).fetch('file', options);
      expect(bytes.length).toBe(size);
      expect(isVirtual(bytes)).toBe(true);
    }
  });

  it.each([-2, -1, 0, 1, 2])('sends 65535 blocks and %i bytes: the block number goes on from 65535 with 0', async (more) => {
    const size = 65_535 * 8 + more;
    await serve(async () => virtual(size));
    const { bytes } = await (await client()).fetch('file', { blksize: 8, windowsize: 16 });
    expect(bytes.length).toBe(size);
    expect(isVirtual(bytes)).toBe(true);
  });

  it('serves a file on disk, by any spelling of its path, and logs one event', async () => {
    writeFileSync(join(place, 'menu'), 'hello\n');
    await serve((path) => tftpFileBelow(place, path));
    const { bytes, agreed } = await (await client()).fetch('\\\\.\\menu\xff', { tsize: 0 });
    expect([bytes.toString(), agreed]).toEqual(['hello\n', { tsize: '6' }]);
    expect(await logged('tftp.done')).toEqual({
      client: '127.0.0.1',
      file: '\\\\.\\menu\ufffd',
      bytes: 6,
      seconds: expect.any(Number),
      blksize: 512,
      window: 1,
      retransmits: 0,
      confirmed: undefined,
    });
    expect(events.length).toBe(1);
  });

  it('converts text for a client that asks for netascii, and tells the converted size', async () => {
    await serve(async () => tftpBytes(Buffer.from('a\nb\n')));
    const { bytes, agreed } = await (await client()).fetch('text', { tsize: 0 }, 'NetASCII');
    expect([bytes.toString(), agreed]).toEqual(['a\r\nb\r\n', { tsize: '6' }]);
  });

  it('ends a size probe without a word of failure, and serves the request that follows', async () => {
    await serve(async () => virtual(5000));
    const uefi = await client();
    uefi.read('ipxe.efi', { tsize: 0, blksize: 1468, windowsize: 4 });
    const { packet, port: transfer } = await uefi.next();
    expect(packet).toMatchObject({ op: 'oack', options: [{ name: 'tsize', value: '5000' }, {}, {}] });
    uefi.send({ op: 'error', code: 8, message: 'User aborted the transfer' }, transfer);
    await logged('tftp.probe');
    expect((await uefi.fetch('ipxe.efi', { blksize: 1468, windowsize: 4 })).bytes.length).toBe(5000);
    await logged('tftp.done');
    expect(events.map(({ event }) => event)).toEqual(['tftp.probe', 'tftp.done']);
  });

  it('sends again what was lost, from the lost block on', async () => {
    await serve(async () => virtual(512 * 6));
    const loser = await client();
    loser.read('file', { windowsize: 4 });
    const { port: transfer } = await loser.next();
    loser.send({ op: 'ack', block: 0 }, transfer);
    for (let count = 0; count < 4; count += 1) await loser.next();
    loser.send({ op: 'ack', block: 2 }, transfer);
    const blocks: number[] = [];
    for (let count = 0; count < 4; count += 1) {
      const { packet } = await loser.next();
      if (packet.op === 'data') blocks.push(packet.block);
    }
    expect(blocks).toEqual([3, 4, 5, 6]);
    loser.send({ op: 'ack', block: 6 }, transfer);
    const last = await loser.next();
    expect(last.packet).toMatchObject({ op: 'data', block: 7 });
    loser.send({ op: 'ack', block: 7 }, transfer);
    expect(await logged('tftp.done')).toMatchObject({ retransmits: 2, window: 4 });
  });

  it('sends again by itself when no answer comes', async () => {
    await serve(async () => virtual(10));
    const silent = await client();
    silent.read('file');
    const first = await silent.next();
    const again = await silent.next();
    expect(again).toEqual(first);
    silent.send({ op: 'ack', block: 1 }, again.port);
    expect(await logged('tftp.done')).toMatchObject({ retransmits: 1 });
  });

  it('is not disturbed by others who write to a transfer', async () => {
    await serve(async () => virtual(1000));
    const honest = await client();
    honest.read('file');
    const { port: transfer } = await honest.next();
    const intruder = await client();
    intruder.send({ op: 'error', code: 0, message: 'stop it' }, transfer);
    intruder.send({ op: 'ack', block: 1 }, transfer);
    honest.send({ op: 'ack', block: 1 }, transfer);
    expect((await honest.next()).packet).toMatchObject({ op: 'data', block: 2 });
    honest.send({ op: 'ack', block: 2 }, transfer);
    expect(await logged('tftp.done')).toMatchObject({ retransmits: 0 });
  });

  it('takes a repeated request for the same one', async () => {
    await serve(async () => virtual(10));
    const nervous = await client();
    for (let count = 0; count < 5; count += 1) nervous.read('file', { tsize: 0 });
    const { port: transfer } = await nervous.next();
    nervous.send({ op: 'ack', block: 0 }, transfer);
    expect((await nervous.next()).port).toBe(transfer);
    nervous.send({ op: 'ack', block: 1 }, transfer);
    await logged('tftp.done');
    expect(nervous.received).toBe(2);
  });

  it('begins anew, without a word to the client, when its port asks for something else', async () => {
    await serve(async (path) => virtual(path.length));
    const rebooted = await client();
    rebooted.read('long-name');
    const old = await rebooted.next();
    rebooted.read('short');
    const { packet, port: transfer } = await rebooted.next();
    expect(transfer).not.toBe(old.port);
    expect(packet).toMatchObject({ op: 'data', block: 1, bytes: { length: 5 } });
    rebooted.send({ op: 'ack', block: 1 }, transfer);
    await logged('tftp.done');
    expect(rebooted.received).toBe(2);
  });

  it.each([
    ['a file that is not there', 'none', 'octet', 'error 1: File not found', 'tftp.missing'],
    ['a path that climbs', '../etc/passwd', 'octet', 'error 1: File not found', 'tftp.missing'],
    ['mode mail', 'file', 'mail', 'error 4: Use mode octet or netascii', 'tftp.refused'],
    ['a file that cannot be read', 'broken', 'octet', 'error 0: The server cannot read this file; see its log', 'tftp.failed'],
  ])('answers a request for %s with a plain error', async (_, file, mode, message, event) => {
    await serve(async (path) => {
      if (path === 'broken') throw new FarmError('file.unreadable', 'secret details', 'chmod it');
      return path === 'file' ? virtual(1) : undefined;
    });
    await expect((await client()).fetch(file, {}, mode)).rejects.toThrow(message);
    expect(await logged(event)).toMatchObject({ client: '127.0.0.1', file });
  });

  it('refuses to be written to', async () => {
    await serve(async () => virtual(1));
    const writer = await client();
    writer.send({ op: 'write', file: 'x', mode: 'octet', options: [] });
    expect((await writer.next()).packet).toEqual({ op: 'error', code: 2, message: 'This server is read-only' });
  });

  it('tells the client when reading fails in the middle', async () => {
    const file: TftpFile = {
      size: 200_000,
      open: async () => ({
        read: async (offset, target) => {
          if (offset > 0) throw new Error('EIO: i/o error, read');
          return target.length;
        },
        close: async () => {},
      }),
    };
    await serve(async () => file);
    await expect((await client()).fetch('file')).rejects.toThrow('error 0: EIO: i/o error, read');
    expect(await logged('tftp.failed')).toMatchObject({ bytes: 65_536, reason: 'EIO: i/o error, read' });
  });

  it('notices a client whose port is closed', async () => {
    await serve(async () => virtual(100_000));
    const leaving = await Client.open(port);
    leaving.read('file');
    const { port: transfer } = await leaving.next();
    leaving.send({ op: 'ack', block: 1 }, transfer);
    await leaving.next();
    leaving.close();
    expect(await logged('tftp.failed')).toMatchObject({ reason: expect.stringContaining('closed its port') });
  });

  it.each([
    ['one client', { transfersPerClient: 2 }],
    ['all clients', { transfers: 2 }],
  ])('lets requests over the limit of %s wait for their turn', async (_, limits) => {
    await serve(async () => virtual(10), limits);
    const held = [await client(), await client()];
    for (const each of held) each.read('file');
    const transfers = await Promise.all(held.map((each) => each.next()));
    const late = await client();
    late.read('file');
    expect(await logged('tftp.busy')).toMatchObject({ transfers: 2, turnedAway: 1 });
    held[0]?.send({ op: 'ack', block: 1 }, transfers[0]?.port);
    await logged('tftp.done');
    late.read('file');
    expect((await late.next()).packet).toMatchObject({ op: 'data', block: 1 });
    expect(late.received).toBe(1);
    for (const [at, each] of held.entries()) each.send({ op: 'error', code: 0, message: '' }, transfers[at]?.port);
  });

  it('lets a transfer under way end when it closes, and takes no new one', async () => {
    await serve(async () => virtual(600), { closing: 10_000 });
    const early = await client();
    early.read('file');
    const { port: transfer } = await early.next();
    const closed = service!.close();
    early.send({ op: 'ack', block: 1 }, transfer);
    expect((await early.next()).packet).toMatchObject({ block: 2 });
    early.send({ op: 'ack', block: 2 }, transfer);
    await closed;
    await service!.close();
    expect(events.map(({ event }) => event)).toEqual(['tftp.done']);
  });

  it('tells a transfer that does not end in time', async () => {
    await serve(async () => virtual(600), { closing: 1 });
    const slow = await client();
    slow.read('file');
    await slow.next();
    await service!.close();
    expect((await slow.next()).packet).toEqual({ op: 'error', code: 0, message: 'The server is shutting down' });
  });

  it('says who is in the way when its port is taken', async () => {
    const other = createSocket('udp4').bind(0, '127.0.0.1');
    await once(other, 'listening');
    const options = { address: ipv4('127.0.0.1'), port: other.address().port, source: async () => undefined, log: () => {}, clock: systemClock };
    await expect(startTftpServer(options)).rejects.toMatchObject({ code: 'port.taken' });
    other.close();
  });

  it('survives any bytes, on its port and within a transfer, and serves the next client', async () => {
    await serve(async (path) => (path.length % 2 === 0 ? virtual(3000) : undefined), { transfersPerClient: 1000, transfers: 1000 });
    const descriptors = readdirSync('/proc/self/fd').length;
    const dice = random(Number(process.env['FUZZ_SEED'] ?? 1));
    const until = Date.now() + 1000 * Number(process.env['FUZZ_SECONDS'] ?? 1);
    while (Date.now() < until) {
      const rude = await Client.open(port);
      rude.socket.removeAllListeners('message');
      const answered = once(rude.socket, 'message');
      const noise = () => {
        const bytes = Buffer.from(Array.from({ length: dice() * 60 }, () => dice() * 256));
        if (bytes.length > 1 && dice() < 0.8) bytes.writeUInt16BE(Math.floor(dice() * 7), 0);
        return bytes;
      };
      for (let count = 0; count < 20; count += 1) rude.send(noise());
      rude.read('even', { windowsize: 3 });
      const peer: { port: number } = (await answered)[1];
      for (let count = 0; count < 20; count += 1) rude.send(noise(), peer.port);
      const last = encode({ op: 'error', code: 0, message: '' });
      await new Promise<void>((resolve) => rude.socket.send(last, peer.port, '127.0.0.1', () => resolve()));
      rude.close();
    }
    expect((await (await client()).fetch('even')).bytes.length).toBe(3000);
    await service!.close();
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(descriptors + 5);
  });
});
