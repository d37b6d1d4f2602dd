// NFS version 3 and MOUNT as a client writes them: the bytes of calls, and of replies what a load needs. RFC 1813, RFC 5531.
import { connect } from 'node:net';

export const nfs = { program: 100_003, version: 3 };
export const mount = { program: 100_005, version: 3 };
export const procedures = {
  null: 0,
  getattr: 1,
  lookup: 3,
  access: 4,
  readlink: 5,
  read: 6,
  readdir: 16,
  readdirplus: 17,
  fsstat: 18,
  fsinfo: 19,
  pathconf: 20,
};

/** nfsstat3: a name that is not there is an answer, not an error. */
export const OK = 0;
export const NOENT = 2;

const markBytes = 4;
const lastFragment = 0x8000_0000;
/** AUTH_SYS of root on the machine `bench`, without groups; then the verifier, AUTH_NONE. */
const credential = Buffer.concat([words(1, 4 + 4 + 8 + 12, 0), opaque(Buffer.from('bench')), words(0, 0, 0), words(0, 0)]);

export function words(...values) {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
}

export function hyper(value) {
  return words(Math.floor(value / 2 ** 32), value >>> 0);
}

export function opaque(bytes) {
  return Buffer.concat([words(bytes.length), bytes, Buffer.alloc(-bytes.length & 3)]);
}

/** One call as it goes over TCP. Its xid is the four bytes from the fifth. */
export function call({ program, version }, procedure, args) {
  const message = Buffer.concat([words(0, 0, 2, program, version, procedure), credential, args]);
  return Buffer.concat([words((lastFragment | message.length) >>> 0), message]);
}

/** The arguments of each procedure that is played; `handle` is the object's, or the directory's. */
export const args = {
  null: () => Buffer.alloc(0),
  getattr: ({ handle }) => opaque(handle),
  lookup: ({ handle, name }) => Buffer.concat([opaque(handle), opaque(Buffer.from(name, 'latin1'))]),
  access: ({ handle }) => Buffer.concat([opaque(handle), words(0x3f)]),
  readlink: ({ handle }) => opaque(handle),
  read: ({ handle, offset, bytes }) => Buffer.concat([opaque(handle), hyper(offset), words(bytes)]),
  readdir: ({ handle }) => Buffer.concat([opaque(handle), Buffer.alloc(16), words(32_768)]),
  readdirplus: ({ handle }) => Buffer.concat([opaque(handle), Buffer.alloc(16), words(4096, 32_768)]),
  fsstat: ({ handle }) => opaque(handle),
  fsinfo: ({ handle }) => opaque(handle),
  pathconf: ({ handle }) => opaque(handle),
};

/** Opens a TCP connection; with `privileged` from a port below 1024, as servers ask of root's mounts. */
export async function open({ host, port, from, privileged, onread }) {
  for (let localPort = 1023; ; localPort -= 1) {
    const socket = connect({ host, port, noDelay: true, ...(from && { localAddress: from }), ...(privileged && { localPort }), ...(onread && { onread }) });
    const error = await new Promise((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (error === undefined) return socket;
    if (!privileged || !['EADDRINUSE', 'EADDRNOTAVAIL'].includes(error.code) || localPort < 600) throw error;
  }
}

/** Asks one call after another, or many at once. `ask` gives the reply from its results on, or throws what RPC refused. */
export async function openClient(where) {
  const socket = await open(where);
  const waiting = new Map();
  let xid = 0;
  let bytes = Buffer.alloc(0);
  let record = [];
  socket.on('data', (chunk) => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    while (bytes.length >= markBytes) {
      const mark = bytes.readUInt32BE(0);
      const end = markBytes + (mark & 0x7fff_ffff);
      if (bytes.length < end) return;
      record.push(bytes.subarray(markBytes, end));
      bytes = bytes.subarray(end);
      if (mark < lastFragment) continue;
      take(Buffer.concat(record));
      record = [];
    }
  });
  const fail = (error) => {
    for (const { reject } of waiting.values()) reject(error);
  };
  socket.on('error', fail);
  socket.on('close', () => fail(new Error(`${where.host}:${where.port} closed the connection`)));
  function take(reply) {
    const asked = waiting.get(reply.readUInt32BE(0));
    waiting.delete(reply.readUInt32BE(0));
    const accepted = reply.readUInt32BE(8) === 0 && reply.readUInt32BE(20) === 0;
    if (accepted) asked?.resolve(reply.subarray(24));
    else asked?.reject(new Error(`RPC refused: ${reply.toString('hex', 8)}`));
  }
  return {
    ask: (program, procedure, argument) =>
      new Promise((resolve, reject) => {
        xid += 1;
        const message = call(program, procedure, argument);
        message.writeUInt32BE(xid, markBytes);
        waiting.set(xid, { resolve, reject });
        socket.write(message);
      }),
    close: () => {
      waiting.clear();
      socket.resetAndDestroy(); // no TIME_WAIT: the ports are needed again
    },
  };
}

/** The handle of an exported path. */
export async function mountPath(client, path) {
  const reply = await client.ask(mount, 1, opaque(Buffer.from(path)));
  if (reply.readUInt32BE(0) !== OK) throw new Error(`MOUNT of ${path}: status ${reply.readUInt32BE(0)}`);
  return Buffer.from(reply.subarray(8, 8 + reply.readUInt32BE(4)));
}

const kinds = ['', 'file', 'directory', 'block', 'character', 'symlink', 'socket', 'fifo'];
const attributeBytes = 84;

/** fattr3 at an offset: what kind of object, and its size. */
export function attributes(reply, at) {
  return { kind: kinds[reply.readUInt32BE(at)], size: reply.readUInt32BE(at + 20) * 2 ** 32 + reply.readUInt32BE(at + 24) };
}

/** LOOKUP's result: handle, kind and size; undefined if the name is not there. */
export function lookedUp(reply) {
  if (reply.readUInt32BE(0) !== OK) return undefined;
  const length = reply.readUInt32BE(4);
  const handle = Buffer.from(reply.subarray(8, 8 + length));
  const at = 8 + length + (-length & 3);
  return reply.readUInt32BE(at) === 1 && reply.length >= at + 4 + attributeBytes
    ? { handle, ...attributes(reply, at + 4) }
    : { handle, kind: undefined, size: 0 };
}

/** The objects at `paths` (from the exported directory), asked for level by level with many calls under way. */
export async function resolvePaths(client, root, paths) {
  const found = new Map([['/', { handle: root, kind: 'directory', size: 0 }]]);
  const wanted = new Set();
  for (const path of paths) for (let at = path; at !== '/' && at !== ''; at = parentOf(at)) wanted.add(at);
  const levels = Map.groupBy ? Map.groupBy(wanted, depthOf) : groupBy(wanted, depthOf);
  for (const depth of [...levels.keys()].sort((a, b) => a - b)) {
    await Promise.all(
      levels.get(depth).map(async (path) => {
        const parent = found.get(parentOf(path));
        if (parent === undefined) return;
        const object = lookedUp(await client.ask(nfs, procedures.lookup, args.lookup({ handle: parent.handle, name: nameOf(path) })));
        if (object !== undefined) found.set(path, object);
      }),
    );
  }
  return found;
}

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

const depthOf = (path) => path.split('/').length;
export const nameOf = (path) => path.slice(path.lastIndexOf('/') + 1);
export const parentOf = (path) => path.slice(0, path.lastIndexOf('/')) || '/';
