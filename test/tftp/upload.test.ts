import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Fields } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { startTftpServer } from '../../src/tftp/server.ts';
import { Client } from './client.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-tftp-upload-'));
afterAll(() => rmSync(place, { recursive: true }));

const noise = (size: number) => Buffer.from(Array.from({ length: size }, (_, at) => (at * 31) & 255));

describe.each([false, true])('writing to the server, single port %s', (singlePort) => {
  let service: Service | undefined;
  let port = 0;
  let events: { readonly event: string; readonly fields: Fields }[] = [];
  const waiting: (() => void)[] = [];
  const clients: Client[] = [];
  const area = join(place, `server-${singlePort}`);

  async function serve(limit = 1_000_000): Promise<Client> {
    events = [];
    service = await startTftpServer({
      address: ipv4('127.0.0.1'),
      port: 0,
      source: async () => undefined,
      upload: async (path) => (path.startsWith('secret') ? undefined : { directory: area, name: path, limit, replace: true }),
      singlePort,
      clock: systemClock,
      limits: { closing: 1 },
      log: (_, event, fields = {}) => {
        events.push({ event, fields });
        for (const wake of waiting.splice(0)) wake();
      },
    });
    port = Number(service.sockets[0]?.split(':')[1]);
    const client = await Client.open(port);
    clients.push(client);
    return client;
  }

  async function logged(event: string): Promise<Fields> {
    for (;;) {
      const found = events.find((entry) => entry.event === event);
      if (found !== undefined) return found.fields;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  }

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await service?.close();
    rmSync(area, { recursive: true, force: true });
  });

  it.each([0, 1, 511, 512, 1024, 100_000])('%i bytes arrive as they are', async (size) => {
    const client = await serve();
    for (const options of [{}, { blksize: 1468, tsize: size }, { blksize: 600, windowsize: 8 }]) {
      const bytes = noise(size);
      await client.store('log', bytes, options);
      expect(readFileSync(join(area, 'log')).equals(bytes)).toBe(true);
    }
    expect(await logged('tftp.stored')).toMatchObject({ client: '127.0.0.1', file: 'log', bytes: size, into: area });
  });

  it('netascii is stored as text of this system', async () => {
    const client = await serve();
    await client.store('text', Buffer.from('a\r\nb\r\0c'), {}, 'netascii');
    expect(readFileSync(join(area, 'text'), 'utf8')).toBe('a\nb\rc');
  });

  it.each([
    ['a place that is not the client’s', 'secret/log', 10, {}, 'error 2: You may not write here', 'tftp.refused'],
    ['a path that climbs', '../log', 10, {}, 'error 2: You may not write here', 'tftp.refused'],
    ['a hidden name', '.bashrc', 10, {}, 'error 2: A file name without directories is needed', 'tftp.refused'],
    ['more than there is room for, announced', 'log', 10_000, { tsize: 10_000 }, 'may have 12288 bytes on disk together', 'tftp.refused'],
    ['more than there is room for', 'log', 10_000, {}, 'error 3: More than the 8192 bytes that may be stored', 'tftp.failed'],
  ])('%s is refused', async (_, file, size, options, message, event) => {
    const client = await serve(12_288);
    await expect(client.store(file, noise(size), options)).rejects.toThrow(message);
    await logged(event);
    await service?.close();
    expect(existsSync(area) ? readdirSync(area) : []).toEqual([]);
  });

  it('an upload that the client breaks off leaves nothing behind', async () => {
    const client = await serve();
    client.send({ op: 'write', file: 'log', mode: 'octet', options: [] });
    const { port: transfer } = await client.next();
    client.send({ op: 'data', block: 1, bytes: noise(512) }, transfer);
    await client.next();
    expect(readdirSync(area).length).toBe(1);
    client.send({ op: 'error', code: 0, message: 'out of ideas' }, transfer);
    expect(await logged('tftp.failed')).toMatchObject({ bytes: 512, reason: 'client: error 0, out of ideas' });
    expect(readdirSync(area)).toEqual([]);
  });
});
