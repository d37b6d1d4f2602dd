// Calls of other machines over TCP: a connection for each. RFC 5531 11.
import { randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { sentence, WireError } from '../base/errors.ts';
import { decodeReply, encodeCall } from '../rpc/call.ts';
import { lastFragment, RecordReader } from '../rpc/record.ts';
import type { Exchange, Exchanger } from './exchange.ts';

/** A connection, and the answer over it, ms. */
const patience = 5000;
/** Answers of lock managers and port mappers are short. */
const recordMax = 65_536;

/** `pace` is a factor on all times. */
export function openConnections(pace: number): Exchanger {
  const cancels = new Set<() => void>();
  let closed = false;

  const exchange: Exchanger['exchange'] = (call, port) => {
    if (closed) return Promise.resolve({ kind: 'none', reason: 'the server ends', arrived: false });
    const xid = randomInt(2 ** 32);
    const message = encodeCall(xid, call, call.args);
    const header = Buffer.alloc(4);
    header.writeUInt32BE((lastFragment | message.length) >>> 0);
    return new Promise((resolve) => {
      const socket = connect({ host: call.to, port, localAddress: call.from, noDelay: true });
      const records = new RecordReader(recordMax);
      let arrived = false;
      const end = (result: Exchange) => {
        clearTimeout(timer);
        cancels.delete(cancel);
        socket.destroy();
        resolve(result);
      };
      const fail = (reason: string) => end({ kind: 'none', reason: `tcp port ${port}: ${reason}`, arrived });
      const cancel = () => fail('the server ends');
      const timer = setTimeout(() => fail('no answer'), patience * pace);
      cancels.add(cancel);
      socket.once('connect', () => {
        arrived = true;
        socket.write(Buffer.concat([header, message]));
      });
      socket.on('error', (error) => fail(sentence(error)));
      socket.on('close', () => fail('closed'));
      socket.on('data', (chunk: Buffer) => {
        try {
          records.push(chunk);
          const record = records.next();
          const reply = record === undefined ? undefined : decodeReply(record);
          if (reply?.xid === xid) end({ kind: 'reply', reply, repeated: false });
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
          fail(sentence(error));
        }
      });
    });
  };

  return {
    exchange,
    close: () => {
      closed = true;
      for (const cancel of [...cancels]) cancel();
    },
  };
}
