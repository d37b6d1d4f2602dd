// Carries criu's page server protocol between two nodes: criu talks to 127.0.0.1, each side of a link stream hands on what it says. What the source sends is
// framed (page-frames.ts), and deflated while that pays; answers go back as they are.
//
// Before anything else the target says one byte: its page server listens, so that no job stands still while that is started.
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { FarmError, WireError } from '../../base/errors.ts';
import type { Weighing } from '../../cluster/deflating.ts';
import { type Carried, frameMax, framePages, unframePages } from './page-frames.ts';

const ready = 0x06;
/** What may wait for criu: whatever has gathered goes at once. */
const gathered = 2 * frameMax;

export interface Sending {
  /** For criu. */
  readonly port: number;
  /** Settles when criu has said all; rejects when the link breaks. */
  readonly done: Promise<void>;
  close(): void;
}

/** At the source: takes one connection of criu's on 127.0.0.1 and hands it to `link`. `weighing`: of this move, what its connections before this one have found. */
export async function sendPages(link: Duplex, carried: Carried, weighing: { now: Weighing }, clock: () => number): Promise<Sending> {
  link.on('error', () => {}); // its end is what counts
  if ((await firstByte(link)) !== ready) throw new WireError('frame', 0, 'the other side does not say that it is ready');
  const server = createServer({ noDelay: true });
  let socket: Socket | undefined;
  const done = new Promise<void>((resolve, reject) => {
    server.once('connection', (found) => {
      socket = found;
      server.close();
      if (link.destroyed) {
        found.destroy();
        return;
      }
      framePages(found, link, carried, weighing, clock).then(resolve, reject);
      link.pipe(found);
      found.on('error', reject);
      link.on('error', (error) => {
        found.destroy();
        reject(error);
      });
      link.once('close', () => found.destroy());
    });
    server.once('error', reject);
    link.once('close', () => {
      server.close();
      reject(new FarmError('link.down', 'the connection for the pages broke'));
    });
    link.once('error', reject);
  });
  done.catch(() => {}); // whoever waits for it is told; before that criu's own failure may be first
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('close', () => reject(new FarmError('link.down', 'the connection for the pages broke')));
    if (link.destroyed) server.close();
    else server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new FarmError('pages.port', 'no port on 127.0.0.1 for criu');
  return {
    port: address.port,
    done,
    close() {
      server.close();
      socket?.destroy();
      link.destroy();
    },
  };
}

/** Throws `FarmError` `link.down` if there is none. */
async function firstByte(link: Duplex): Promise<number | undefined> {
  for (;;) {
    if (link.destroyed || link.readableEnded) throw new FarmError('link.down', 'the connection for the pages broke');
    const byte: Buffer | null = link.read(1);
    if (byte !== null) return byte[0];
    await new Promise<void>((resolve) => {
      const go = (): void => {
        for (const event of ['readable', 'end', 'close']) link.off(event, go);
        resolve();
      };
      for (const event of ['readable', 'end', 'close']) link.on(event, go);
    });
  }
}

/** At the target: hands what comes over `link` to the page server on 127.0.0.1:`port`. Settles when all was handed on. */
export async function receivePages(link: Duplex, port: number): Promise<void> {
  link.write(Buffer.of(ready));
  const options = { host: '127.0.0.1', port, noDelay: true, highWaterMark: gathered };
  const socket = connect(options);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => link.destroy());
  link.on('error', () => socket.destroy());
  link.once('close', () => socket.destroy());
  socket.pipe(link);
  try {
    await unframePages(link, socket);
    socket.end();
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
