// A link between agents for tests of /mfs: TCP without any proof of who is who. The first line of a stream is who opens it, what for, and its header.
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Link } from '../../src/agent/jobs/types.ts';
import { FarmError, sentence } from '../../src/base/errors.ts';

export interface TestLink extends Link {
  readonly port: number;
  /** Where the others are; filled by the test. */
  readonly peers: Map<number, { readonly host: string; readonly port: number }>;
  /** Breaks all streams. */
  readonly cut: () => void;
  readonly close: () => Promise<void>;
}

type Handler = (from: number, header: unknown, stream: Duplex) => void;

export async function startTestLink(self: number, host = '127.0.0.1', port = 0): Promise<TestLink> {
  const handlers = new Map<string, Handler>();
  const open = new Set<Socket>();
  const track = (socket: Socket) => {
    open.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
  };
  const server = createServer((socket) => {
    track(socket);
    let head = Buffer.alloc(0);
    const read = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(10);
      if (end < 0) return;
      socket.off('data', read);
      socket.pause();
      socket.unshift(head.subarray(end + 1));
      const { from, purpose, header } = JSON.parse(head.subarray(0, end).toString());
      handlers.get(purpose)?.(from, header, socket);
    };
    socket.on('data', read);
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const bound = server.address();
  const peers = new Map<number, { readonly host: string; readonly port: number }>();
  const absent = () => Promise.reject(new FarmError('link.refused', 'this link has streams only'));
  return {
    self,
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    peers,
    open(node, purpose, header) {
      const peer = peers.get(node);
      if (peer === undefined) return Promise.reject(new FarmError('link.down', `node ${node} is not there`));
      return new Promise((resolve, reject) => {
        const socket = connect(peer.port, peer.host);
        track(socket);
        socket.once('error', (error) => reject(new FarmError('link.down', sentence(error))));
        socket.once('connect', () => {
          socket.write(`${JSON.stringify({ from: self, purpose, header })}\n`);
          resolve(socket);
        });
      });
    },
    serve: (purpose, handler) => void handlers.set(purpose, handler),
    call: absent,
    answer: () => {},
    cut: () => {
      for (const socket of open) socket.destroy();
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
