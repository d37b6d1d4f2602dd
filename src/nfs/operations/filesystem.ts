// FSSTAT, FSINFO and PATHCONF: what the file system and its server are like. RFC 1813 3.3.18 to 3.3.20.
import { nameMax } from '../../tree/tree.ts';
import { looking, type Request, type Room } from '../request.ts';
import type { FileHandle } from './arguments.ts';
import type { FsinfoResult, FsstatResult, PathconfResult, ServerInfo } from './results.ts';

/** FSF3_LINK, FSF3_SYMLINK, FSF3_HOMOGENEOUS, FSF3_CANSETTIME */
const properties = 0x01 | 0x02 | 0x08 | 0x10;

/** The most names that trees give one object, as ext4. */
const linkMax = 65_000;

/** What clients use unless told otherwise, bytes: large enough for full speed, small enough that one reader does not keep the others waiting. */
const preferred = { transfer: 256 * 1024, directory: 64 * 1024 } as const;
const multiple = 4096;

function serverInfo({ transfer, fileSize }: Room): ServerInfo {
  const usual = Math.min(preferred.transfer, transfer);
  return {
    readMax: transfer,
    readPreferred: usual,
    writeMax: transfer,
    writePreferred: usual,
    multiple,
    directoryPreferred: Math.min(preferred.directory, transfer),
    fileSizeMax: fileSize,
    properties,
  };
}

export function fsstat(request: Request, handle: FileHandle): FsstatResult {
  return looking(request, handle, ({ tree }) => ({ space: tree.space() }));
}

export function fsinfo(request: Request, handle: FileHandle): FsinfoResult {
  return looking(request, handle, () => ({ info: serverInfo(request.room) }));
}

export function pathconf(request: Request, handle: FileHandle): PathconfResult {
  return looking(request, handle, () => ({ linkMax, nameMax }));
}
