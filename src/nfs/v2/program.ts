// NFS version 2: its 18 procedures by number. RFC 1094 2.2.
import { nullProcedure, type Procedure, voidBody } from '../../rpc/program.ts';
import { getattr, setattr } from '../operations/attributes.ts';
import { mkdir, symlink } from '../operations/create.ts';
import { read, readTail, write } from '../operations/data.ts';
import { fsstat } from '../operations/filesystem.ts';
import { readdir } from '../operations/list.ts';
import { lookup, readlink } from '../operations/lookup.ts';
import { link, remove, rename, rmdir } from '../operations/names.ts';
import { again, type Bound, defining, once } from '../procedure.ts';
import type { NfsState } from '../request.ts';
import {
  readCreate,
  readHandle,
  readLink,
  readMkdir,
  readNameAt,
  readRead,
  readReaddir,
  readRename,
  readSetattr,
  readSymlink,
  readWrite,
  transferMax,
} from './arguments.ts';
import { fileSizeMax } from './attributes.ts';
import { create2 } from './create.ts';
import { listLayout, writeChanged, writeFound, writeGetattr, writeRead, writeReaddir, writeReadlink, writeStatfs, writeStatus } from './results.ts';

const room = { fileSize: fileSizeMax, transfer: transferMax } as const;
const procedure = defining(() => room);

/** ROOT was MOUNT's work before there was MOUNT, WRITECACHE was never defined (2.2.4, 2.2.8). Nothing asked, nothing answered. */
const obsolete = (name: string): Procedure => ({ name, once: false, run: () => voidBody });

const table: readonly Bound[] = [
  /*  0 */ () => nullProcedure,
  /*  1 */ procedure('GETATTR', again, { read: readHandle, run: getattr, write: writeGetattr }),
  /*  2 */ procedure('SETATTR', once, { read: readSetattr, run: setattr, write: writeChanged }),
  /*  3 */ () => obsolete('ROOT'),
  /*  4 */ procedure('LOOKUP', again, { read: readNameAt, run: lookup, write: writeFound }),
  /*  5 */ procedure('READLINK', again, { read: readHandle, run: readlink, write: writeReadlink }),
  /*  6 */ procedure('READ', again, { read: readRead, run: read, write: writeRead, tail: readTail }),
  /*  7 */ () => obsolete('WRITECACHE'),
  /*  8 */ procedure('WRITE', once, { read: readWrite, run: write, write: writeChanged }),
  /*  9 */ procedure('CREATE', once, { read: readCreate, run: create2, write: writeFound }),
  /* 10 */ procedure('REMOVE', once, { read: readNameAt, run: remove, write: writeStatus }),
  /* 11 */ procedure('RENAME', once, { read: readRename, run: rename, write: writeStatus }),
  /* 12 */ procedure('LINK', once, { read: readLink, run: link, write: writeStatus }),
  /* 13 */ procedure('SYMLINK', once, { read: readSymlink, run: symlink, write: writeStatus }),
  /* 14 */ procedure('MKDIR', once, { read: readMkdir, run: mkdir, write: writeFound }),
  /* 15 */ procedure('RMDIR', once, { read: readNameAt, run: rmdir, write: writeStatus }),
  /* 16 */ procedure('READDIR', again, { read: readReaddir, run: readdir(listLayout), write: writeReaddir }),
  /* 17 */ procedure('STATFS', again, { read: readHandle, run: fsstat, write: writeStatfs }),
];

/** The procedures of one server, by number. */
export function nfs2(state: NfsState): readonly Procedure[] {
  return table.map((bind) => bind(state));
}
