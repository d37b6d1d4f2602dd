// A procedure of either version of NFS: how its arguments are read, what it does, how its results are written.
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import type { Body, Tail } from '../rpc/message.ts';
import type { Procedure, Transport } from '../rpc/program.ts';
import type { NfsState, Request, Room } from './request.ts';

interface Shape<Arguments, Result> {
  readonly read: (reader: ByteReader) => Arguments;
  readonly run: (request: Request, args: Arguments) => Result | Promise<Result>;
  readonly write: (writer: ByteWriter, result: Result) => void;
  readonly tail?: (result: Result) => Tail | undefined;
}

/** A procedure that waits for the server it is of. */
export type Bound = (state: NfsState) => Procedure;

/** Answers that may be given twice, and those that must be remembered. */
export const again = false;
export const once = true;

/** Defines procedures of a version with that much room. */
export function defining(room: (transport: Transport) => Room) {
  return <Arguments, Result>(name: string, repeat: boolean, shape: Shape<Arguments, Result>): Bound => {
    return (state) => ({
      name,
      once: repeat,
      run: (caller, reader) => {
        const args = shape.read(reader);
        const result = shape.run({ caller, room: room(caller.transport), state }, args);
        return result instanceof Promise ? result.then((settled) => bodyOf(shape, settled)) : bodyOf(shape, result);
      },
    });
  };
}

/** Apart, so that a remembered body keeps the result alive and not the call. */
function bodyOf<Arguments, Result>(shape: Shape<Arguments, Result>, result: Result): Body {
  return { encode: (writer) => shape.write(writer, result), tail: shape.tail?.(result) };
}
