import { afterEach, describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Service } from '../../src/base/service.ts';
import { tftpBytes } from '../../src/tftp/files.ts';
import { startTftpServer } from '../../src/tftp/server.ts';
import { Client } from './client.ts';

let service: Service | undefined;
const clients: Client[] = [];
let events: string[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await service?.close();
});

const file = (name: string) => Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * name.length) & 255));

async function serve(limits = {}): Promise<number> {
  events = [];
  service = await startTftpServer({
    address: ipv4('127.0.0.1'),
    port: 0,
    source: async (path) => tftpBytes(file(path)),
    singlePort: true,
    clock: systemClock,
    limits: { closing: 100, ...limits },
    log: (_, event) => events.push(event),
  });
  return Number(service.sockets[0]?.split(':')[1]);
}

async function client(port: number): Promise<Client> {
  const opened = await Client.open(port);
  clients.push(opened);
  return opened;
}

describe('with a single port', () => {
  it('all that the server sends comes from it', async () => {
    const port = await serve();
    const one = await client(port);
    one.read('a', { tsize: 0 });
    const oack = await one.next();
    one.send({ op: 'ack', block: 0 }, oack.port);
    const data = await one.next();
    expect([oack.port, data.port]).toEqual([port, port]);
  });

  it('many clients at once get each their own file, in every way of asking', async () => {
    const port = await serve();
    const all = await Promise.all(
      Array.from({ length: 12 }, async (_, at) => {
        const options = [{}, { blksize: 700 }, { blksize: 100, windowsize: 8 }][at % 3];
        return (await (await client(port)).fetch('x'.repeat(at + 1), options)).bytes.equals(file('x'.repeat(at + 1)));
      }),
    );
    expect(all).toEqual(Array.from({ length: 12 }, () => true));
  });

  it('a client that reboots and asks from the same port gets the new file', async () => {
    const port = await serve();
    const rebooted = await client(port);
    rebooted.read('old name');
    await rebooted.next();
    rebooted.send({ op: 'ack', block: 1 });
    await rebooted.next();
    expect((await rebooted.fetch('new', { tsize: 0 })).bytes.equals(file('new'))).toBe(true);
    await service?.close();
    expect(events).toEqual(['tftp.failed', 'tftp.done']);
  });

  it('a repeated request starts no second transfer', async () => {
    const port = await serve();
    const nervous = await client(port);
    for (let count = 0; count < 5; count += 1) nervous.read('file', { blksize: 3500 });
    await nervous.next();
    nervous.send({ op: 'ack', block: 0 });
    await nervous.next();
    nervous.send({ op: 'ack', block: 1 });
    await service?.close();
    expect([events, nervous.received]).toEqual([['tftp.done'], 2]);
  });

  it('what belongs to no transfer is not answered', async () => {
    const port = await serve();
    const stray = await client(port);
    stray.send({ op: 'ack', block: 7 });
    stray.send({ op: 'data', block: 7, bytes: Buffer.alloc(3) });
    expect((await stray.fetch('file')).bytes.length).toBe(3000);
    expect(events.filter((event) => event === 'tftp.stray').length).toBe(2);
  });

  it('a transfer under way may end when the server closes', async () => {
    const port = await serve({ closing: 10_000 });
    const early = await client(port);
    early.read('file', { blksize: 2000 });
    await early.next();
    const closed = service?.close();
    early.send({ op: 'ack', block: 0 });
    await early.next();
    early.send({ op: 'ack', block: 1 });
    await early.next();
    early.send({ op: 'ack', block: 2 });
    await closed;
    expect(events).toEqual(['tftp.done']);
  });
});
