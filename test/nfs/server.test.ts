import { afterEach, describe, expect, test } from 'vitest';
import type { Level } from '../../src/base/log.ts';
import { type NfsServerOptions, type NfsService, startNfsServer } from '../../src/nfs/server.ts';
import { statusNumbers as nfs } from '../../src/nfs/status.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { loopback, singleExport, testKey } from '../support/nfs-farm.ts';
import { Nfs2Client } from '../support/nfs2-client.ts';
import { Nfs3Client, nfsProgram } from '../support/nfs3-client.ts';
import { decodeReply, encodeCall, tcpExchange, udpExchange } from '../support/rpc-client.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(tree: MemoryTree, more: Partial<NfsServerOptions> = {}) {
  const lines: [Level, string, unknown][] = [];
  const service: NfsService = await startNfsServer({
    address: loopback,
    port: 0,
    portmap: false,
    privileged: false,
    exports: singleExport(tree),
    key: testKey,
    log: (level, event, fields) => lines.push([level, event, fields]),
    clock: { now: () => 0 },
    ...more,
  });
  closers.push(() => service.close());
  return { service, lines, connect: () => dial(service.port) };
}

async function dial(port: number) {
  const { exchange, close } = await tcpExchange(port);
  closers.push(close);
  return { exchange, client: new Nfs3Client(exchange) };
}

describe('the NFS server', () => {
  test('serves NFS and MOUNT on one port over TCP and UDP, and says where', async () => {
    const { service, lines, connect } = await serve(new MemoryTree());
    expect(service.sockets).toEqual([`tcp 127.0.0.1:${service.port}`, `udp 127.0.0.1:${service.port}`]);
    const { client } = await connect();
    const { handle } = await client.mount('/');
    expect((await client.getattr(handle!)).attributes?.kind).toBe(2);
    expect(lines).toEqual([['info', 'nfs.mount', { client: '127.0.0.1', path: '/', owner: 7 }]]);
  });

  test('has no version but 2 and 3', async () => {
    const { connect } = await serve(new MemoryTree());
    const { exchange } = await connect();
    const { status, results } = decodeReply(await exchange(encodeCall({ xid: 1, program: nfsProgram, version: 4, procedure: 0 })));
    expect([status, results.u32(), results.u32()]).toEqual([2, 2, 3]);
  });

  test('refuses the ACL program, so that clients go on without', async () => {
    const { connect } = await serve(new MemoryTree());
    const { exchange } = await connect();
    for (const version of [2, 3]) {
      const reply = decodeReply(await exchange(encodeCall({ xid: version, program: 100_227, version, procedure: 0 })));
      expect([reply.denied, reply.status, reply.results.left]).toEqual([false, 1, 0]);
    }
  });

  test('does without UDP if it is told to', async () => {
    const { service } = await serve(new MemoryTree(), { udp: false });
    expect(service.sockets).toEqual([`tcp 127.0.0.1:${service.port}`]);
  });

  describe.each([2, 3])('version %i over UDP', (version) => {
    test('mounts, writes and reads a file as U-Boot and old kernels do', async () => {
      const tree = new MemoryTree();
      const { service } = await serve(tree);
      const { exchange, close } = await udpExchange(service.port);
      closers.push(close);
      const content = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 253));
      if (version === 2) {
        const client = new Nfs2Client(exchange);
        const { handle: root } = await client.mount('/');
        const { handle } = await client.create(root!, 'f', { mode: 0o644 });
        for (let at = 0; at < content.length; at += 8192) await client.write(handle!, at, content.subarray(at, at + 8192));
        const parts: Buffer[] = [];
        for (let at = 0; at < content.length; at += 1024) parts.push((await client.read(handle!, at, 1024)).data!);
        expect(Buffer.concat(parts).equals(content)).toBe(true);
      } else {
        const client = new Nfs3Client(exchange);
        const { handle: root } = await client.mount('/');
        expect((await client.fsinfo(root!)).sizes).toEqual([32_768, 32_768, 4096, 32_768, 32_768, 4096, 32_768]);
        const { handle } = await client.create(root!, 'f', { mode: 0o644 });
        for (let at = 0; at < content.length; at += 32_768) await client.write(handle!, at, content.subarray(at, at + 32_768));
        const parts: Buffer[] = [];
        for (let at = 0; at < content.length; at += 32_768) parts.push((await client.read(handle!, at, 65_536)).data!);
        expect(parts.map(({ length }) => length)).toEqual([32_768, 32_768, 32_768, 1696]);
        expect(Buffer.concat(parts).equals(content)).toBe(true);
      }
    });

    test('lists a directory that fits into no datagram', async () => {
      const tree = new MemoryTree();
      for (let index = 0; index < 3000; index += 1) tree.create(tree.root, `name-${index}-${'x'.repeat(index % 90)}`, { kind: 'file' }, {});
      const { service } = await serve(tree);
      const { exchange, close } = await udpExchange(service.port);
      closers.push(close);
      const names: string[] = [];
      const client3 = new Nfs3Client(exchange);
      const client2 = new Nfs2Client(exchange);
      const { handle: root3 } = await client3.mount('/');
      const { handle: root2 } = await client2.mount('/');
      for (let cookie = 0, end = false; !end; ) {
        const result = version === 2 ? await client2.readdir(root2!, cookie) : await client3.readdirplus(root3!, cookie, 2 ** 20, 2 ** 20);
        names.push(...result.entries.map(({ name }) => name));
        end = result.endOfDirectory;
        cookie = result.entries.at(-1)!.cookie;
      }
      expect(names).toEqual(['.', '..', ...[...tree.entries(tree.root, 0)].map(({ name }) => name)]);
    });
  });

  test('that is started again knows its handles and has another write verifier', async () => {
    const tree = new MemoryTree();
    const first = await serve(tree);
    const { client } = await first.connect();
    const { handle: root } = await client.mount('/');
    const { handle: file } = await client.create(root!, 'f');
    const { verifier } = await client.write(file!, 0, Buffer.from('x'));
    await first.service.close();
    const { client: again } = await (await serve(tree)).connect();
    const written = await again.write(file!, 1, Buffer.from('y'));
    expect(written.status).toBe(nfs.OK);
    expect(written.verifier).not.toEqual(verifier);
  });

  test('answers SERVERFAULT to what it did not expect, reports it once with its stack, and goes on', async () => {
    class BrokenTree extends MemoryTree {
      override lookup(): never {
        throw new RangeError('a bug of ours');
      }
    }
    const { lines, connect } = await serve(new BrokenTree());
    const { client } = await connect();
    const { handle } = await client.mount('/');
    expect((await client.lookup(handle!, 'x')).status).toBe(nfs.SERVERFAULT);
    expect((await client.getattr(handle!)).status).toBe(nfs.OK);
    expect(lines.slice(1)).toEqual([['error', 'nfs.fault', { error: expect.stringMatching(/^RangeError: a bug of ours\n +at /) }]]);
  });

  test('a call repeated on a new connection is done once', async () => {
    const { connect } = await serve(new MemoryTree());
    const first = await connect();
    const { handle: root } = await first.client.mount('/');
    const messages: Buffer[] = [];
    const recording = new Nfs3Client((message) => {
      messages.push(Buffer.from(message));
      return first.exchange(message);
    });
    expect((await recording.mkdir(root!, 'd')).status).toBe(nfs.OK);
    const second = await connect();
    const reply = decodeReply(await second.exchange(messages[0]!));
    expect(reply.results.u32()).toBe(nfs.OK);
    expect((await second.client.mkdir(root!, 'd')).status).toBe(nfs.EXIST);
  });
});
