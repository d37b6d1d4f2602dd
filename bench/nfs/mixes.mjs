// What is played: a recording as it is, or a mix over the objects that the recording names. Gives the calls of one client, as bytes.
import { args, call, nfs, procedures } from './calls.mjs';

/** Of a mix: so many different calls, in an order that is the same every time. */
const mixCalls = 4096;

/** Shares in percent of the mix by which servers were first compared: what a workstation does rather than a boot. */
const usual = { lookup: 30, getattr: 15, access: 20, readlink: 2, read: 30, readdirplus: 3 };

const pure = {
  null: { null: 100 },
  getattr: { getattr: 100 },
  lookup: { lookup: 100 },
  access: { access: 100 },
  readdirplus: { readdirplus: 100 },
  usual,
};

export const mixNames = ['boot', ...Object.keys(pure), 'read:BYTES', 'stream:BYTES'];

/** Small and sequential: the same on every machine (Park and Miller's generator). */
function dice(seed) {
  let state = seed;
  return (sides) => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state % sides;
  };
}

/** The recorded operations whose object is there, as calls; those of other servers' trees may lack some. */
function recorded(operations, objects, { plus }) {
  const calls = [];
  for (const operation of operations) {
    const object = objects.get(operation.path);
    if (object === undefined || !suits(operation, object)) continue;
    const name = operation.operation === 'readdirplus' && !plus ? 'readdir' : operation.operation;
    calls.push(call(nfs, procedures[name], args[name]({ ...operation, handle: object.handle })));
  }
  return calls;
}

function suits({ operation }, { kind }) {
  if (operation === 'read') return kind === 'file';
  if (operation === 'readlink') return kind === 'symlink';
  return operation === 'lookup' || operation.startsWith('readdir') ? kind === 'directory' : true;
}

/**
 * `objects`: what the recording's paths are, { handle, kind, size } by path. `plus`: whether the server has READDIRPLUS. `client` shifts where in the
 * recording its calls begin, unless they are to begin at its start (`fromStart`).
 */
export function callsOf(mix, operations, objects, { plus, client, fromStart }) {
  if (mix === 'boot') {
    const calls = recorded(operations, objects, { plus });
    const shift = fromStart ? 0 : (client * 389) % calls.length;
    return [...calls.slice(shift), ...calls.slice(0, shift)];
  }
  const [kind, bytes = 32_768] = mix.split(':').map((part, index) => (index === 0 ? part : Number(part)));
  const files = [...objects.values()].filter((object) => object.kind === 'file' && object.size > 0);
  if (kind === 'stream') return streamed(files, bytes, client);
  const shares = kind === 'read' ? { read: 100 } : pure[kind];
  if (shares === undefined) throw new Error(`there is no mix ${mix}; there are ${mixNames.join(', ')}`);
  const roll = dice(client + 1);
  const lookups = operations.filter(({ operation, path }) => operation === 'lookup' && objects.has(path));
  const directories = [...objects.values()].filter((object) => object.kind === 'directory');
  const links = [...objects.values()].filter((object) => object.kind === 'symlink');
  const all = [...objects.values()];
  const any = (list) => list[roll(list.length)];
  const draw = {
    null: () => ({}),
    getattr: () => any(all),
    access: () => any(all),
    readlink: () => any(links),
    readdirplus: () => any(directories),
    lookup: () => {
      const { path, name } = any(lookups);
      return { handle: objects.get(path).handle, name };
    },
    read: () => {
      const { handle, size } = any(files);
      return { handle, bytes, offset: roll(Math.ceil(size / bytes)) * bytes };
    },
  };
  const wheel = Object.entries(shares).flatMap(([name, share]) => Array.from({ length: share }, () => name));
  return Array.from({ length: mixCalls }, () => {
    const name = any(wheel);
    const operation = name === 'readdirplus' && !plus ? 'readdir' : name;
    return call(nfs, procedures[operation], args[operation](draw[name]()));
  });
}

/** Whole large files from their start to their end. */
function streamed(files, bytes, client) {
  const large = files.filter(({ size }) => size >= bytes * 4).sort((a, b) => b.size - a.size);
  if (large.length === 0) throw new Error(`no file is large enough to be read ${bytes} bytes at a time`);
  const calls = [];
  for (let index = 0; calls.length < 1024; index += 1) {
    const { handle, size } = large[(index + client) % large.length];
    for (let offset = 0; offset + bytes <= size; offset += bytes) calls.push(call(nfs, procedures.read, args.read({ handle, offset, bytes })));
  }
  return calls;
}
