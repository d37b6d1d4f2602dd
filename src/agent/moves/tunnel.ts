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
import { isOver, type Weighing, weighed } from '../../cluster/deflating.ts';

const headBytes = 5;
const ready = 0x06;
/** What is deflated at once: larger gains nothing at level 1, smaller costs a call each. */
const frameMax = 256 * 1024;
/** What criu may say ahead: whatever has gathered goes at once, for on an old machine it is the number of calls that costs, not the bytes. */
const gathered = 2 * frameMax;

export interface Carried {
  /** Bytes of criu's, and what went over the network for them. */
  plain: number;
  sent: number;
}

const squeeze = promisify<Buffer, { level: number }, Buffer>(deflateRaw);
const unfold = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw);

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
  const server = createServer({ highWaterMark: gathered, noDelay: true });
  let socket: Socket | undefined;
  const done = new Promise<void>((resolve, reject) => {
    server.once('connection', (found) => {
      socket = found;
      server.close();
      if (link.destroyed) {
        found.destroy();
        return;
      }
      pumpOut(found, link, carried, weighing, clock).then(resolve, reject);
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

async function pumpOut(from: Socket, to: Duplex, carried: Carried, weighing: { now: Weighing }, clock: () => number): Promise<void> {
  let window = { plain: 0, sent: 0, began: clock() };
  for await (const chunk of from.iterator({ destroyOnReturn: false })) {
    const all: Buffer = chunk;
    for (let at = 0; at < all.length; at += frameMax) {
      const bytes = all.subarray(at, at + frameMax);
      const less = weighing.now.way === 'deflated' ? await squeeze(bytes, { level: 1 }) : bytes;
      const [body, kind] = less.length < bytes.length ? [less, 1] : [bytes, 0];
      const head = Buffer.alloc(headBytes);
      head.writeUInt8(kind);
      head.writeUInt32BE(body.length, 1);
      to.cork();
      to.write(head);
      const goesOn = to.write(body);
      to.uncork();
      if (!goesOn) await drained(to);
      carried.plain += bytes.length;
      carried.sent += headBytes + body.length;
      window.plain += bytes.length;
      window.sent += body.length;
      if (!isOver(weighing.now, window)) continue;
      weighing.now = weighed(weighing.now, { ...window, spent: clock() - window.began });
      window = { plain: 0, sent: 0, began: clock() };
    }
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
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
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

/** The bytes in a stream of frames, what is plain as it comes. Throws `WireError` `frame`. */
export async function* frames(link: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  let frame: Frame | undefined;
  for await (const chunk of link) {
    let rest = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    while (frame !== undefined || rest.length >= headBytes) {
      if (frame === undefined) {
        frame = frameOf(rest);
        rest = rest.subarray(headBytes);
      }
      const body = rest.subarray(0, frame.left);
      rest = rest.subarray(body.length);
      frame.left -= body.length;
      if (frame.parts === undefined) yield body;
      else frame.parts.push(body);
      if (frame.left > 0) break;
      if (frame.parts !== undefined) yield await opened(Buffer.concat(frame.parts));
      frame = undefined;
    }
    held = rest;
  }
  if (held.length > 0 || frame !== undefined) throw new WireError('frame', 0, 'ends within a frame');
}

interface Frame {
  /** Bytes that are still to come. */
  left: number;
  /** Of a deflated one, so far. */
  readonly parts: Buffer[] | undefined;
}

function frameOf(head: Buffer): Frame {
  const kind = head.readUInt8();
  const length = head.readUInt32BE(1);
  if (kind > 1 || length > frameMax * 2) throw new WireError('frame', 0, `kind ${kind} with ${length} bytes`);
  return { left: length, parts: kind === 0 ? undefined : [] };
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
