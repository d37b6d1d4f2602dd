import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Fields } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { startTftpServer } from '../../src/tftp/server.ts';
import { openUpload } from '../../src/tftp/upload.ts';
import { Client } from './client.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-tftp-upload-'));
afterAll(() => rmSync(place, { recursive: true }));

const noise = (size: number) => Buffer.from(Array.from({ length: size }, (_, at) => (at * 31) & 255));

describe('a file that arrives', () => {
  const inside = (directory: string) => readdirSync(join(place, directory));
  const at = (directory: string, more: object = {}) => ({ directory: join(place, directory), name: 'log', limit: 1000, replace: true, ...more });

  it('is in its place when it is whole, and not before', async () => {
    const file = await openUpload(at('whole'));
    await file.write(Buffer.from('hel'));
    expect(inside('whole')).toEqual([expect.stringMatching(/^\.upload-/)]);
    await file.write(Buffer.from('lo'));
    await file.commit();
    expect(inside('whole')).toEqual(['log']);
    expect(readFileSync(join(place, 'whole/log'), 'utf8')).toBe('hello');
  });

  it('leaves nothing behind when it is given up', async () => {
    const file = await openUpload(at('given-up'));
    await file.write(Buffer.from('hello'));
    await file.discard();
    await file.discard();
    expect(inside('given-up')).toEqual([]);
  });

  it('replaces one of the same name only if that is allowed, even if both came at once', async () => {
    const [first, second] = [await openUpload(at('same', { replace: false })), await openUpload(at('same', { replace: false }))];
    await first.write(Buffer.from('first'));
    await first.commit();
    await expect(second.commit()).rejects.toMatchObject({ code: 'upload.exists' });
    await expect(openUpload(at('same', { replace: false }))).rejects.toMatchObject({ code: 'upload.exists' });
    const third = await openUpload(at('same'));
    await third.write(Buffer.from('third'));
    await third.commit();
    expect([inside('same'), readFileSync(join(place, 'same/log'), 'utf8')]).toEqual([['log'], 'third']);
  });

  it('counts with all that is there, and with what comes at the same time', async () => {
    mkdirSync(join(place, 'full'));
    writeFileSync(join(place, 'full/old'), Buffer.alloc(600));
    const file = await openUpload(at('full'));
    expect(file.limit).toBe(400);
    const other = await openUpload(at('full', { name: 'other' }));
    await file.write(Buffer.alloc(300));
    await expect(other.write(Buffer.alloc(200))).rejects.toMatchObject({ code: 'upload.full' });
    await other.discard();
    await file.write(Buffer.alloc(100));
    await file.commit();
    await expect(openUpload(at('full', { name: 'third' }))).rejects.toMatchObject({ code: 'upload.full' });
    expect((await openUpload(at('full'))).limit).toBe(400);
  });

  it('clears away what a crash has left, but not what is still being written', async () => {
    mkdirSync(join(place, 'crashed'));
    writeFileSync(join(place, 'crashed/.upload-0123456789abcdef'), 'half');
    const file = await openUpload(at('crashed'));
    const other = await openUpload(at('crashed', { name: 'other' }));
    expect(inside('crashed').length).toBe(2);
    expect(inside('crashed')).not.toContain('.upload-0123456789abcdef');
    await file.discard();
    await other.discard();
  });

  it('does not follow a link that lies in its place', async () => {
    mkdirSync(join(place, 'linked'));
    writeFileSync(join(place, 'victim'), 'untouched');
    symlinkSync('../victim', join(place, 'linked/log'));
    const file = await openUpload(at('linked'));
    await file.write(Buffer.from('new'));
    await file.commit();
    expect([readFileSync(join(place, 'victim'), 'utf8'), readFileSync(join(place, 'linked/log'), 'utf8')]).toEqual(['untouched', 'new']);
  });

  it.each(['', '.', '..', '.hidden', 'a/b', 'a\0b', 'x'.repeat(201)])('cannot be called %j', async (name) => {
    await expect(openUpload(at('names', { name }))).rejects.toMatchObject({ code: 'upload.name' });
  });
});

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
    ['more than there is room for, announced', 'log', 10_000, { tsize: 10_000 }, 'error 3: Only 5000 more bytes may be stored', 'tftp.refused'],
    ['more than there is room for', 'log', 10_000, {}, 'error 3: More than the 5000 bytes that may be stored', 'tftp.failed'],
  ])('%s is refused', async (_, file, size, options, message, event) => {
    const client = await serve(5000);
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
