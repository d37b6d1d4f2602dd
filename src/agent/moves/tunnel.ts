// Carries criu's page server protocol between two nodes: criu talks to 127.0.0.1, each side of a link stream hands on what it says. What the source sends is
// framed, and deflated while that pays; answers go back as they are.
//
//   frame   u8: 0 plain, 1 deflated (RFC 1951) | length u32 | bytes
//
// Before anything else the target says one byte: its page server listens, so that no job stands still while that is started.
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import { FarmError, WireError } from '../../base/errors.ts';

const headBytes = 5;
const ready = 0x06;
/** What is deflated at once: larger gains nothing at level 1, smaller costs a call each. */
const frameMax = 256 * 1024;
/** Before it is decided whether deflating pays, bytes. */
const trial = 4 * 2 ** 20;

export interface Carried {
  /** Bytes of criu's, and what went over the network for them. */
  plain: number;
  sent: number;
}

const squeeze = promisify<Buffer, { level: number }, Buffer>(deflateRaw);
const unfold = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw);

/**
 * Whether deflating pays: it does if the slower of deflating and sending what is left is faster than sending all. Rates in bytes a ms.
 * `plain`, `deflated`: bytes before and after, that took `spent` ms; `network`: what the link carries.
 */
export function deflatingPays({ plain, deflated, spent }: { plain: number; deflated: number; spent: number }, network: number): boolean {
  if (plain === 0 || spent <= 0) return false;
  return Math.min(plain / spent, (network * plain) / Math.max(1, deflated)) > network * 1.1;
}

export interface Sending {
  /** For criu. */
  readonly port: number;
  /** Settles when criu has said all; rejects when the link breaks. */
  readonly done: Promise<void>;
  close(): void;
}

/** At the source: takes one connection of criu's on 127.0.0.1 and hands it to `link`. `network`: bytes a ms that the link is believed to carry. */
export async function sendPages(link: Duplex, carried: Carried, network: number, clock: () => number): Promise<Sending> {
  link.on('error', () => {}); // its end is what counts
  if ((await firstByte(link)) !== ready) throw new WireError('frame', 0, 'the other side does not say that it is ready');
  const server = createServer();
  let socket: Socket | undefined;
  const done = new Promise<void>((resolve, reject) => {
    server.once('connection', (found) => {
      socket = found;
      server.close();
      if (link.destroyed) {
        found.destroy();
        return;
      }
      pumpOut(found, link, carried, network, clock).then(resolve, reject);
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

async function pumpOut(from: Socket, to: Duplex, carried: Carried, network: number, clock: () => number): Promise<void> {
  const tried = { plain: 0, deflated: 0, spent: 0 };
  let deflating = true;
  for await (const chunk of from.iterator({ destroyOnReturn: false })) {
    const bytes: Buffer = chunk;
    carried.plain += bytes.length;
    let body = bytes;
    let kind = 0;
    if (deflating) {
      const began = clock();
      const less = await squeeze(bytes, { level: 1 });
      tried.spent += clock() - began;
      tried.plain += bytes.length;
      tried.deflated += less.length;
      if (less.length < bytes.length) [body, kind] = [less, 1];
      if (tried.plain >= trial) {
        deflating = deflatingPays(tried, network);
        Object.assign(tried, { plain: 0, deflated: 0, spent: 0 });
      }
    }
    const head = Buffer.alloc(headBytes);
    head.writeUInt8(kind);
    head.writeUInt32BE(body.length, 1);
    carried.sent += headBytes + body.length;
    if (!to.write(Buffer.concat([head, body]))) await drained(to);
  }
  to.end();
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
  const socket = connect({ host: '127.0.0.1', port });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => link.destroy());
  link.on('error', () => socket.destroy());
  link.once('close', () => socket.destroy());
  socket.pipe(link);
  try {
    // Not destroyed at its end: criu's last answer is still on its way back.
    for await (const body of frames(link.iterator({ destroyOnReturn: false }))) if (!socket.write(body)) await drained(socket);
    socket.end();
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The bytes in a stream of frames. Throws `WireError` `frame`. */
export async function* frames(link: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of link) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    while (held.length >= headBytes) {
      const kind = held.readUInt8();
      const length = held.readUInt32BE(1);
      if (kind > 1 || length > frameMax * 2) throw new WireError('frame', 0, `kind ${kind} with ${length} bytes`);
      if (held.length < headBytes + length) break;
      const body = held.subarray(headBytes, headBytes + length);
      held = held.subarray(headBytes + length);
      yield kind === 0 ? body : await opened(body);
    }
  }
  if (held.length > 0) throw new WireError('frame', 0, 'ends within a frame');
}

async function opened(body: Buffer): Promise<Buffer> {
  try {
    return await unfold(body, { maxOutputLength: frameMax });
  } catch (error) {
    throw new WireError('frame', headBytes, `cannot be inflated: ${String(error)}`);
  }
}

function drained(stream: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = (): void => {
      stream.off('drain', over);
      stream.off('close', gone);
      resolve();
    };
    const gone = (): void => {
      stream.off('drain', over);
      reject(new FarmError('link.down', 'the connection for the pages broke'));
    };
    stream.once('drain', over);
    stream.once('close', gone);
    if (stream.destroyed) gone();
  });
}
