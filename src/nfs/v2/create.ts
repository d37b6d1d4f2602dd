// CREATE of version 2, which makes devices, FIFOs and sockets too: what it is to be is in the mode, a device's number in the size.
// RFC 1094 2.2.10 knows files only; the rest is SunOS' way, in which Linux' clients and servers follow it.
import type { MknodWhat } from '../operations/arguments.ts';
import { create, mknod } from '../operations/create.ts';
import type { CreateResult } from '../operations/results.ts';
import type { Request } from '../request.ts';
import type { Create2Arguments } from './arguments.ts';
import { decodeDevice, type NewAttributes } from './attributes.ts';

export function create2(request: Request, { directory, name, attributes }: Create2Arguments): Promise<CreateResult> {
  const { kind, change } = attributes;
  if (kind !== undefined && kind !== 'file') return mknod(request, { directory, name, what: special(attributes) });
  // Without a kind it is what is there: open(O_CREAT) of IRIX and SunOS on a device.
  return create(request, { directory, name, how: { mode: 'unchecked', change, opensSpecial: kind === undefined } });
}

function special({ kind, change: { size, ...change } }: NewAttributes): MknodWhat {
  switch (kind) {
    case 'fifo':
    case 'socket':
      return { kind, change };
    case 'character': // "If you think you've seen the worst, grok this" (Linux' nfsproc.c): without a number it is a FIFO
      return size === undefined ? { kind: 'fifo', change } : { kind, change, device: decodeDevice(size) };
    case 'block':
      return { kind, change, device: decodeDevice(size ?? 0) };
    default:
      return { kind: 'other' };
  }
}
