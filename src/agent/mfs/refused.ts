// The answer of NFSv3 to a call that nobody has looked at: a status, and in the place of attributes the word that there are none. RFC 1813 3.3.
import type { ByteWriter } from '../../base/bytes.ts';
import { type Failure, statusNumbers } from '../../nfs/status.ts';
import type { Body } from '../../rpc/message.ts';

/** post_op_attr is one word, wcc_data two. By number of procedure: NULL, GETATTR, SETATTR, LOOKUP, ... COMMIT. */
const words = [0, 0, 2, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 4, 3, 1, 1, 1, 1, 1, 2];

export function refusedBody(procedure: number, status: Failure): Body {
  return {
    encode(writer: ByteWriter) {
      if (procedure === 0) return;
      writer.u32(statusNumbers[status]);
      writer.zeros(4 * (words[procedure] ?? 0));
    },
  };
}

/** MNT's: mountstat3 alone. */
export function refusedMount(status: 'ACCES' | 'IO' | 'NOENT'): Body {
  return { encode: (writer) => writer.u32(statusNumbers[status]) };
}
