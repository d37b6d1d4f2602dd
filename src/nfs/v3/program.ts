// NFS version 3: its 22 procedures by number. RFC 1813 3.3.
import { nullProcedure, type Procedure } from '../../rpc/program.ts';
import { access, getattr, setattr } from '../operations/attributes.ts';
import { create, mkdir, mknod, symlink } from '../operations/create.ts';
import { commit, read, readTail, write } from '../operations/data.ts';
import { fsinfo, fsstat, pathconf } from '../operations/filesystem.ts';
import { readdir, readdirplus } from '../operations/list.ts';
import { lookup, readlink } from '../operations/lookup.ts';
import { link, remove, rename, rmdir } from '../operations/names.ts';
import { again, type Bound, defining, once } from '../procedure.ts';
import type { NfsState } from '../request.ts';
import {
  readAccess,
  readCommit,
  readCreate,
  readHandle,
  readLink,
  readMkdir,
  readMknod,
  readNameAt,
  readRead,
  readReaddir,
  readReaddirplus,
  readRename,
  readSetattr,
  readSymlink,
  readWrite,
} from './arguments.ts';
import {
  listLayout,
  writeAccess,
  writeChange,
  writeCommit,
  writeCreate,
  writeFsinfo,
  writeFsstat,
  writeGetattr,
  writeLink,
  writeLookup,
  writePathconf,
  writeRead,
  writeReaddir,
  writeReaddirplus,
  writeReadlink,
  writeRename,
  writeWrite,
} from './results.ts';

/** As the Linux server: over UDP the most that both it and its clients take. A datagram has 64 KiB, and each is as many fragments as the link wants. */
const transferMax = { tcp: 1024 * 1024, udp: 32 * 1024 } as const;

/** The largest offset and size that a number holds exactly. */
const fileSizeMax = Number.MAX_SAFE_INTEGER;

const rooms = { tcp: { fileSize: fileSizeMax, transfer: transferMax.tcp }, udp: { fileSize: fileSizeMax, transfer: transferMax.udp } } as const;
const procedure = defining((transport) => rooms[transport]);

const table: readonly Bound[] = [
  /*  0 */ () => nullProcedure,
  /*  1 */ procedure('GETATTR', again, { read: readHandle, run: getattr, write: writeGetattr }),
  /*  2 */ procedure('SETATTR', once, { read: readSetattr, run: setattr, write: writeChange }),
  /*  3 */ procedure('LOOKUP', again, { read: readNameAt, run: lookup, write: writeLookup }),
  /*  4 */ procedure('ACCESS', again, { read: readAccess, run: access, write: writeAccess }),
  /*  5 */ procedure('READLINK', again, { read: readHandle, run: readlink, write: writeReadlink }),
  /*  6 */ procedure('READ', again, { read: readRead, run: read, write: writeRead, tail: readTail }),
  // WRITE too: one that lies in the buffer of a dead connection must not overwrite what was written after its retransmission.
  /*  7 */ procedure('WRITE', once, { read: readWrite, run: write, write: writeWrite }),
  /*  8 */ procedure('CREATE', once, { read: readCreate, run: create, write: writeCreate }),
  /*  9 */ procedure('MKDIR', once, { read: readMkdir, run: mkdir, write: writeCreate }),
  /* 10 */ procedure('SYMLINK', once, { read: readSymlink, run: symlink, write: writeCreate }),
  /* 11 */ procedure('MKNOD', once, { read: readMknod, run: mknod, write: writeCreate }),
  /* 12 */ procedure('REMOVE', once, { read: readNameAt, run: remove, write: writeChange }),
  /* 13 */ procedure('RMDIR', once, { read: readNameAt, run: rmdir, write: writeChange }),
  /* 14 */ procedure('RENAME', once, { read: readRename, run: rename, write: writeRename }),
  /* 15 */ procedure('LINK', once, { read: readLink, run: link, write: writeLink }),
  /* 16 */ procedure('READDIR', again, { read: readReaddir, run: readdir(listLayout), write: writeReaddir }),
  /* 17 */ procedure('READDIRPLUS', again, { read: readReaddirplus, run: readdirplus(listLayout), write: writeReaddirplus }),
  /* 18 */ procedure('FSSTAT', again, { read: readHandle, run: fsstat, write: writeFsstat }),
  /* 19 */ procedure('FSINFO', again, { read: readHandle, run: fsinfo, write: writeFsinfo }),
  /* 20 */ procedure('PATHCONF', again, { read: readHandle, run: pathconf, write: writePathconf }),
  /* 21 */ procedure('COMMIT', again, { read: readCommit, run: commit, write: writeCommit }),
];

/** The procedures of one server, by number. */
export function nfs3(state: NfsState): readonly Procedure[] {
  return table.map((bind) => bind(state));
}
