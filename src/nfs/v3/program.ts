// NFS version 3: its 22 procedures by number. RFC 1813 3.3.
import type { ByteReader, ByteWriter } from '../../base/bytes.ts';
import type { Body } from '../../rpc/message.ts';
import { nullProcedure, type Procedure } from '../../rpc/program.ts';
import { userOf } from '../access.ts';
import type { NfsState, Request } from '../request.ts';
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
import { access, getattr, setattr } from './procedures/attributes.ts';
import { create, mkdir, mknod, symlink } from './procedures/create.ts';
import { commit, read, write } from './procedures/data.ts';
import { fsinfo, fsstat, pathconf } from './procedures/filesystem.ts';
import { readdir, readdirplus } from './procedures/list.ts';
import { lookup, readlink } from './procedures/lookup.ts';
import { link, remove, rename, rmdir } from './procedures/names.ts';
import {
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

interface Shape<Arguments, Result> {
  readonly read: (reader: ByteReader) => Arguments;
  readonly run: (request: Request, args: Arguments) => Result | Promise<Result>;
  readonly write: (writer: ByteWriter, result: Result) => void;
  readonly tail?: (result: Result) => Buffer | undefined;
}

type Bound = (state: NfsState) => Procedure;

function procedure<Arguments, Result>(name: string, once: boolean, shape: Shape<Arguments, Result>): Bound {
  return (state) => ({
    name,
    once,
    run: ({ client, credential }, reader) => {
      const args = shape.read(reader);
      const result = shape.run({ client, user: userOf(credential), state }, args);
      return result instanceof Promise ? result.then((settled) => bodyOf(shape, settled)) : bodyOf(shape, result);
    },
  });
}

/** Apart, so that a remembered body keeps the result alive and not the call. */
function bodyOf<Arguments, Result>(shape: Shape<Arguments, Result>, result: Result): Body {
  return { encode: (writer) => shape.write(writer, result), tail: shape.tail?.(result) };
}

/** Answers that may be given twice, and those that must be remembered. */
const again = false;
const once = true;

const table: readonly Bound[] = [
  /*  0 */ () => nullProcedure,
  /*  1 */ procedure('GETATTR', again, { read: readHandle, run: getattr, write: writeGetattr }),
  /*  2 */ procedure('SETATTR', once, { read: readSetattr, run: setattr, write: writeChange }),
  /*  3 */ procedure('LOOKUP', again, { read: readNameAt, run: lookup, write: writeLookup }),
  /*  4 */ procedure('ACCESS', again, { read: readAccess, run: access, write: writeAccess }),
  /*  5 */ procedure('READLINK', again, { read: readHandle, run: readlink, write: writeReadlink }),
  /*  6 */ procedure('READ', again, { read: readRead, run: read, write: writeRead, tail: (result) => (result.status === 'OK' ? result.data : undefined) }),
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
  /* 16 */ procedure('READDIR', again, { read: readReaddir, run: readdir, write: writeReaddir }),
  /* 17 */ procedure('READDIRPLUS', again, { read: readReaddirplus, run: readdirplus, write: writeReaddirplus }),
  /* 18 */ procedure('FSSTAT', again, { read: readHandle, run: fsstat, write: writeFsstat }),
  /* 19 */ procedure('FSINFO', again, { read: readHandle, run: fsinfo, write: writeFsinfo }),
  /* 20 */ procedure('PATHCONF', again, { read: readHandle, run: pathconf, write: writePathconf }),
  /* 21 */ procedure('COMMIT', again, { read: readCommit, run: commit, write: writeCommit }),
];

/** The procedures of one server, by number. */
export function nfs3(state: NfsState): readonly Procedure[] {
  return table.map((bind) => bind(state));
}
