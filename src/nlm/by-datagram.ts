// Calls of other machines over UDP: sent again until answered or given up. RFC 5531 4.
import { randomInt } from 'node:crypto';
import type { RemoteInfo, Socket } from 'node:dgram';
import type { Ipv4 } from '../base/addresses.ts';
import { openUdp } from '../base/datagrams.ts';
import { sentence, WireError } from '../base/errors.ts';
import { type Accepted, decodeReply, encodeCall } from '../rpc/call.ts';
import type { Exchange, Exchanger } from './exchange.ts';

/** When a datagram is sent again, and when its call is given up: ms after the first. Four in seven seconds. */
const times = [1000, 3000, 5000, 7000] as const;

interface Awaited {
  readonly port: number;
  readonly to: Ipv4;
  readonly done: (reply: Accepted) => void;
}

/** One bound socket of ours, and the calls under way on it. */
interface Door {
  readonly socket: Socket;
  readonly awaited: Map<number, Awaited>;
}

/** One socket for each address of ours that calls come from. `pace` is a factor on all times. */
export function openDatagrams(pace: number): Exchanger {
  const doors = new Map<Ipv4, Promise<Door>>();
  const cancels = new Set<() => void>();
  const ended = { kind: 'none', reason: 'the server ends', arrived: true } as const;
  let closed = false;

  function doorOf(address: Ipv4): Promise<Door> {
    const known = doors.get(address);
    if (known !== undefined) return known;
    const opening = openUdp({ address, port: 0 }).then((socket) => {
      const awaited = new Map<number, Awaited>();
      socket.on('message', (message: Buffer, from: RemoteInfo) => receive(awaited, message, from));
      socket.on('error', () => {}); // ECONNREFUSED and the like: the call's own time decides
      socket.unref();
      return { socket, awaited };
    });
    doors.set(address, opening);
    opening.catch(() => doors.delete(address)); // the address may be there next time
    return opening;
  }

  const exchange: Exchanger['exchange'] = async (call, port) => {
    let door: Door;
    try {
      door = await doorOf(call.from);
    } catch (error) {
      return { kind: 'none', reason: sentence(error), arrived: false };
    }
    if (closed) return { ...ended, arrived: false };
    const { socket, awaited } = door;
    const xid = newXid(awaited);
    const message = encodeCall(xid, call, call.args);
    return new Promise((resolve) => {
      const timers: NodeJS.Timeout[] = [];
      const end = (result: Exchange) => {
        for (const timer of timers) clearTimeout(timer);
        awaited.delete(xid);
        cancels.delete(cancel);
        resolve(result);
      };
      const cancel = () => end(ended);
      let sent = 0;
      const send = () => {
        sent += 1;
        socket.send(message, port, call.to, () => {}); // a route that is missing may come back within the call's time
      };
      const expire = () => end({ kind: 'none', reason: `no answer from udp port ${port}`, arrived: true });
      cancels.add(cancel);
      awaited.set(xid, { port, to: call.to, done: (reply) => end({ kind: 'reply', reply, repeated: sent > 1 }) });
      send();
      for (const [index, time] of times.entries()) timers.push(setTimeout(index === times.length - 1 ? expire : send, time * pace));
    });
  };

  const close = () => {
    closed = true;
    for (const cancel of [...cancels]) cancel();
    for (const door of doors.values()) {
      door.then(
        ({ socket }) => socket.close(),
        () => {}, // it never opened
      );
    }
  };
  return { exchange, close };
}

/** An answer counts only from where the call went. */
function receive(awaited: ReadonlyMap<number, Awaited>, message: Buffer, from: RemoteInfo): void {
  try {
    const reply = decodeReply(message);
    const call = awaited.get(reply.xid);
    if (call !== undefined && call.to === from.address && call.port === from.port) call.done(reply);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

/** Nobody who does not see the call can guess it. */
function newXid(taken: ReadonlyMap<number, unknown>): number {
  for (;;) {
    const xid = randomInt(2 ** 32);
    if (!taken.has(xid)) return xid;
  }
}
