// MOUNT: a path becomes the handle of a directory. Version 3 (RFC 1813 appendix I) for NFS version 3, versions 1 and 2 (RFC 1094 appendix A) for NFS version 2.
import type { Ipv4 } from '../base/addresses.ts';
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import type { Body } from '../rpc/message.ts';
import { type Caller, nullProcedure, type Procedure, voidBody } from '../rpc/program.ts';
import { readString, writeBool, writeFixedOpaque, writeList, writeOpaque, writeString } from '../rpc/xdr.ts';
import type { ObjectId, Tree } from '../tree/tree.ts';
import { hears } from './access.ts';
import type { ExportView, NfsEvent, NfsExports } from './exports.ts';
import type { FileHandles } from './handles.ts';
import { mountPathMax } from './routing.ts';
import { type Failure, Refusal, statusNumbers, statusOf } from './status.ts';
import { filledHandle } from './v2/handle.ts';
import { status2 } from './v2/status.ts';

const authSys = 1;
/** Mounts that DUMP tells of. It is a hint (RFC 1813 I.4.2): clients that crash never unmount. */
const mountsMax = 8192;

export interface MountState {
  readonly exports: NfsExports;
  readonly handles: FileHandles;
  readonly observe: (event: NfsEvent) => void;
  readonly fault: (error: unknown) => void;
}

interface Mounted {
  readonly client: Ipv4;
  readonly path: string;
}

/** The statuses that mountstat3 shares with nfsstat3; any other reason is IO. */
const mountFailures: readonly Failure[] = ['PERM', 'NOENT', 'IO', 'ACCES', 'NOTDIR', 'INVAL', 'NAMETOOLONG', 'NOTSUPP', 'SERVERFAULT'];

/** What the versions do not have in common: the result of MNT. */
interface MountResult {
  readonly ok: (writer: ByteWriter, handle: Buffer) => void;
  readonly failed: (writer: ByteWriter, status: Failure) => void;
}

const result3: MountResult = {
  ok: (writer, handle) => {
    writer.u32(statusNumbers.OK);
    writeOpaque(writer, handle);
    writer.u32(1);
    writer.u32(authSys);
  },
  failed: (writer, status) => writer.u32(statusNumbers[mountFailures.includes(status) ? status : 'IO']),
};

/** fhstatus: the number of a UNIX error, or the handle. */
const result1: MountResult = {
  ok: (writer, handle) => {
    writer.u32(statusNumbers.OK);
    writeFixedOpaque(writer, filledHandle(handle));
  },
  failed: (writer, status) => writer.u32(status2(status)),
};

/** The procedures of every version, by number. The versions share one list of mounts. U-Boot calls version 2 without asking for it. */
export function mountVersions(state: MountState): ReadonlyMap<number, readonly Procedure[]> {
  const mounted = new Map<string, Mounted>();
  const common = procedures(state, mounted, result1);
  const exportAll = common.slice(-1); // EXPORTALL is EXPORT, which RFC 1094 does not say, and every server does
  return new Map([
    [1, [...common, ...exportAll]],
    [2, [...common, ...exportAll]],
    [3, procedures(state, mounted, result3)],
  ]);
}

function procedures(state: MountState, mounted: Map<string, Mounted>, result: MountResult): readonly Procedure[] {
  const define = (name: string, run: (caller: Caller, args: ByteReader) => Body): Procedure => ({ name, once: false, run });
  return [
    nullProcedure,
    define('MNT', (caller, args) => mountPath(state, mounted, result, caller, readString(args, mountPathMax))),
    define('DUMP', () => listBody([...mounted.values()], writeMounted)),
    define('UMNT', ({ client }, args) => unmount(state, mounted, client, readString(args, mountPathMax))),
    define('UMNTALL', ({ client }) => unmountAll(state, mounted, client)),
    define('EXPORT', ({ client }) => listBody(state.exports.paths(client), writeExport)),
  ];
}

function mountPath(state: MountState, mounted: Map<string, Mounted>, result: MountResult, { client, port }: Caller, path: string): Body {
  try {
    const view = state.exports.mount(client, path);
    if (view === undefined || !hears(view.access, port)) throw new Refusal('ACCES');
    const handle = state.handles.encode(view.owner, view.tree.generation, mountedDirectory(view));
    remember(mounted, { client, path });
    state.observe({ kind: 'mounted', client, path, owner: view.owner });
    return { encode: (writer) => result.ok(writer, handle) };
  } catch (error) {
    const status = statusOf(error) ?? 'SERVERFAULT';
    if (status === 'SERVERFAULT') state.fault(error);
    state.observe({ kind: 'refused', client, path, reason: status });
    return { encode: (writer) => result.failed(writer, status) };
  }
}

/** Symlinks are not followed: they are the client's to follow. */
function mountedDirectory({ tree, within = '' }: ExportView): ObjectId {
  let id = tree.root;
  for (const name of within.split('/')) {
    if (name === '' || name === '.') continue;
    id = name === '..' ? tree.parent(id) : tree.lookup(id, name);
    directoryOnly(tree, id);
  }
  return id;
}

function directoryOnly(tree: Tree, id: ObjectId): void {
  if (tree.attributes(id).kind !== 'directory') throw new Refusal('NOTDIR');
}

function remember(mounted: Map<string, Mounted>, entry: Mounted): void {
  const key = `${entry.client} ${entry.path}`;
  mounted.delete(key);
  mounted.set(key, entry);
  if (mounted.size <= mountsMax) return;
  for (const oldest of mounted.keys()) {
    mounted.delete(oldest);
    return;
  }
}

function unmount(state: MountState, mounted: Map<string, Mounted>, client: Ipv4, path: string): Body {
  if (mounted.delete(`${client} ${path}`)) state.observe({ kind: 'unmounted', client, path });
  return voidBody;
}

function unmountAll(state: MountState, mounted: Map<string, Mounted>, client: Ipv4): Body {
  for (const entry of [...mounted.values()]) if (entry.client === client) unmount(state, mounted, client, entry.path);
  return voidBody;
}

function listBody<Entry>(entries: readonly Entry[], write: (writer: ByteWriter, entry: Entry) => void): Body {
  return { encode: (writer) => writeList(writer, entries, write) };
}

function writeMounted(writer: ByteWriter, { client, path }: Mounted): void {
  writeString(writer, client);
  writeString(writer, path);
}

/** Without groups: the list is already this client's own. */
function writeExport(writer: ByteWriter, path: string): void {
  writeString(writer, path);
  writeBool(writer, false);
}
