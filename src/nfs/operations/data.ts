// READ, WRITE and COMMIT. RFC 1813 3.3.6, 3.3.7, 3.3.21.
import type { Tail } from '../../rpc/message.ts';
import { padding } from '../../rpc/xdr.ts';
import { mayRead, mayWrite, modeAfterWrite } from '../access.ts';
import { changing, demand, file, looking, type OpenObject, type Request } from '../request.ts';
import type { CommitArguments, ReadArguments, WriteArguments } from './arguments.ts';
import type { CommitResult, ReadResult, WriteResult } from './results.ts';

/** The bytes are read once, into the buffer that is handed to the socket; those of small files of the image were read before. */
export function read(request: Request, { file: handle, offset, count }: ReadArguments): ReadResult {
  return looking(request, handle, (object) => {
    const { tree, id, attributes, user } = file(object);
    demand(mayRead(attributes, user));
    const wanted = Math.min(count, request.room.transfer, Math.max(attributes.size - offset, 0));
    if (wanted === 0) return { count: 0, endOfFile: offset >= attributes.size, data: Buffer.alloc(0) };
    const end = offset + wanted;
    // What is behind the bytes must be zeros: at the end of the file, or where there is nothing to fill.
    const held = end === attributes.size || padding(wanted) === 0 ? tree.held?.(id) : undefined;
    if (held !== undefined) return { count: wanted, endOfFile: end === attributes.size, data: held.subarray(offset, end + padding(wanted)) };
    const { buffers } = request.state;
    const buffer = buffers.lend(wanted + padding(wanted));
    const got = tree.read(id, offset, buffer.subarray(0, wanted));
    const padded = got + padding(got);
    buffer.fill(0, got, padded);
    return { count: got, endOfFile: got < wanted || offset + got >= attributes.size, data: buffer.subarray(0, padded), sent: () => buffers.giveBack(buffer) };
  });
}

/** What is sent behind a READ's result. */
export function readTail(result: ReadResult): Tail | undefined {
  return result.status === 'OK' ? { bytes: result.data, sent: result.sent } : undefined;
}

export function write(request: Request, { file: handle, offset, count, stability, data }: WriteArguments): Promise<WriteResult> {
  let modeChanged = false;
  return changing(
    request,
    handle,
    (object) => {
      const { tree, id, attributes, user } = file(object);
      demand(mayWrite(attributes, user));
      demand(count <= data.length, 'INVAL');
      demand(offset + count <= request.room.fileSize, 'FBIG');
      if (count > 0) {
        tree.write(id, offset, data.subarray(0, count));
        const mode = modeAfterWrite(attributes, user);
        modeChanged = mode !== undefined;
        if (mode !== undefined) tree.change(id, { mode });
      }
      return { count, committed: stability, verifier: request.state.verifier.value };
    },
    async (object) => {
      if (stability !== 'unstable') await commitData(request, object);
      if (stability === 'file' || modeChanged) await object.tree.stable();
    },
  );
}

/** Commits the whole file whatever range is asked for: a client that asks has nothing against more. */
export function commit(request: Request, { file: handle }: CommitArguments): Promise<CommitResult> {
  return changing(
    request,
    handle,
    (object) => {
      const { attributes, user } = file(object);
      demand(mayWrite(attributes, user));
      return { verifier: request.state.verifier.value };
    },
    (object) => commitData(request, object),
  );
}

/** Once a disk has failed to take data, nobody knows which: the new verifier makes every client send again what it still has. */
async function commitData(request: Request, { tree, id }: OpenObject): Promise<void> {
  try {
    await tree.commit(id);
  } catch (error) {
    request.state.verifier.renew();
    throw error;
  }
}
