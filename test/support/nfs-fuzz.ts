// What the NFS fuzzers do: rounds of calls, each round from one number, against a fresh server without sockets. What must not happen is thrown.
import { WireError } from '../../src/base/errors.ts';
import type { FileHandles } from '../../src/nfs/handles.ts';
import { mappingsOf, portmapProgram } from '../../src/rpc/portmap/mappings.ts';
import { portmap } from '../../src/rpc/portmap/program.ts';
import type { Transport } from '../../src/rpc/program.ts';
import { RecordReader } from '../../src/rpc/record.ts';
import type { AttributeChange, Tree } from '../../src/tree/tree.ts';
import { broken, callOf, type GivenCall, knownStatuses } from './nfs-calls.ts';
import { loopback } from './nfs-farm.ts';
import { nfsWorld, worldOwner } from './nfs-world.ts';
import { nfsProgram } from './nfs3-client.ts';
import { decodeReply, type Exchange, marked } from './rpc-client.ts';

/** Gives a whole number from 0 to below its argument. */
type Random = (below: number) => number;

/** xorshift32: the same seed gives the same numbers. */
function randomFrom(seed: number): Random {
  let state = (Math.imul(seed, 0x9e37_79b1) ^ 0x5bd1_e995) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** accept_stat of RFC 5531: the server is at fault. */
const systemError = 5;
/** 32 KiB and the words around them: the most that a client of UDP asks for. */
const datagramMax = 33_000;
const handlesMax = 40;

const names = ['a', 'b', 'c', 'd', 'dir', 'e', '', '.', '..', 'a/b', 'n\0', '\xff', 'a$$HOST=n1$$', 'a$$$$', 'n'.repeat(255), 'n'.repeat(256)];
const wordEnds = [0, 1, 2, 4096, 0x0010_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

function oneOf<Value>(random: Random, values: readonly Value[], fallback: Value): Value {
  return values[random(values.length)] ?? fallback;
}

function word(random: Random): number {
  return random(3) === 0 ? oneOf(random, wordEnds, 0) : random(12);
}

function offset(random: Random): number {
  switch (random(6)) {
    case 0:
      return random(0xffff_ffff);
    case 1:
      return Number.MAX_SAFE_INTEGER - random(3);
    case 2:
      return 0x7fff_ffff + random(3);
    default:
      return random(5000);
  }
}

function change(random: Random): AttributeChange {
  const maybe = (): boolean => random(3) === 0;
  return {
    ...(maybe() && { mode: random(0o10000) }),
    ...(maybe() && { uid: random(4) }),
    ...(maybe() && { gid: random(4) }),
    ...(maybe() && { size: offset(random) }),
    ...(maybe() && { atime: random(2) === 0 ? ('now' as const) : { seconds: word(random), nanoseconds: random(1e9) } }),
    ...(maybe() && { mtime: random(2) === 0 ? ('now' as const) : { seconds: word(random), nanoseconds: random(1e9) } }),
  };
}

function given(random: Random): GivenCall {
  const flips = Array.from({ length: random(4) === 0 ? 1 + random(4) : 0 }, () => [random(400), random(256)] as const);
  return {
    version: random(2) === 0 ? 2 : 3,
    transport: random(2) === 0 ? 'tcp' : 'udp',
    procedure: random(23),
    mount: random(8) === 0,
    uid: random(4),
    object: random(1000),
    other: random(1000),
    name: oneOf(random, names, 'a'),
    newName: oneOf(random, names, 'a'),
    numbers: [word(random), word(random)],
    offset: offset(random),
    change: change(random),
    data: Buffer.alloc(random(random(8) === 0 ? 9000 : 60), random(256)),
    flips,
    cut: random(12) === 0 ? random(200) : undefined,
  };
}

/** Beside flipped bytes and an end that is missing: a word that is at the end of its range, a stretch that is there twice, another program. */
function mutated(random: Random, bytes: Buffer): Buffer {
  const words = bytes.length >> 2;
  if (words === 0) return bytes;
  switch (random(16)) {
    case 0:
      bytes.writeUInt32BE(oneOf(random, wordEnds, 0), 4 * random(words));
      return bytes;
    case 1: {
      const from = random(bytes.length);
      return Buffer.concat([bytes.subarray(0, from + random(bytes.length - from)), bytes.subarray(from)]);
    }
    case 2:
      if (words > 5) bytes.writeUInt32BE(portmapProgram, 12);
      return bytes;
    default:
      return bytes;
  }
}

/** A message through the record marking, in fragments and chunks of any size; undefined if it is cut off on the way. */
function throughRecords(random: Random, message: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; ) {
    const length = Math.min(message.length - at, 1 + random(1 + random(message.length)));
    const part = marked(message.subarray(at, at + length));
    at += length;
    if (at < message.length) part[0] = 0;
    parts.push(part);
  }
  const stream = Buffer.concat(parts);
  if (random(64) === 0 && stream.length > 0) stream[random(Math.min(8, stream.length))] = random(256);
  const reader = new RecordReader(2 ** 21);
  const split = random(stream.length + 1);
  try {
    reader.push(stream.subarray(0, split));
    const early = reader.next();
    if (early !== undefined) return early;
    reader.push(stream.subarray(split));
    return reader.next();
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

export interface FuzzCounts {
  unreadable: number;
  refused: number;
  answered: number;
  failed: number;
  succeeded: number;
}

/** `calls` calls, the first of a fresh `tree`, all from `seed`. Throws at a fault, an answer that is none of the protocol, or when `check` does. */
export async function fuzzRound(seed: number, calls: number, tree: Tree, check: () => void, counts: FuzzCounts): Promise<void> {
  const random = randomFrom(seed);
  const { client, exchangeAs, answering, root, handles: codec, faults } = nfsWorld(tree);
  const mapper = portmap({ address: loopback, mappings: mappingsOf([...answering.programs.values()], ['tcp', 'udp'], 2049), now: () => 0 });
  Object.assign(answering, { programs: new Map([...answering.programs, [portmapProgram, mapper]]) });
  const exchanges = { tcp: exchangeAs(loopback, 'tcp'), udp: exchangeAs(loopback, 'udp') };
  await client.setattr(root, { mode: 0o1777 });
  const { handle } = await client.mkdir(root, 'dir', { mode: 0o777 });
  // Handles come from answers too, and some are nobody's.
  const handles = [root, handle ?? root, Buffer.alloc(24), Buffer.alloc(3), codec.encode(worldOwner, tree.generation + 1, tree.root)];
  for (let index = 0; index < calls; index += 1) {
    const call = given(random);
    const made = mutated(random, broken(callOf(call, handles, random(64) === 0 ? index : 1_000_000 + index), call));
    try {
      const bytes = call.transport === 'tcp' ? throughRecords(random, made) : made;
      const verdict = bytes === undefined ? ({ kind: 'unreadable' } as const) : await judge(bytes, exchanges[call.transport], call.transport);
      if (faults.length > 0) throw faults[0];
      counts[verdict.kind] += 1;
      if (verdict.kind === 'succeeded' && verdict.handle !== undefined) keep(handles, ours(verdict.handle, codec), random);
      if (index % 64 === 0 || index === calls - 1) check();
    } catch (error) {
      throw new Error(`seed ${seed}, call ${index} by ${call.transport}: ${error}\n${made.toString('hex')}`, { cause: error });
    }
  }
}

function ours(handle: Buffer, codec: FileHandles): Buffer {
  if (codec.decode(handle)?.owner !== worldOwner) throw new Error('a handle that is not ours');
  return handle;
}

/** In the place of any but the first five once there are enough. */
function keep(handles: Buffer[], handle: Buffer, random: Random): void {
  handles[handles.length < handlesMax ? handles.length : 5 + random(handlesMax - 5)] = handle;
}

type Verdict = { readonly kind: Exclude<keyof FuzzCounts, 'succeeded'> } | { readonly kind: 'succeeded'; readonly handle: Buffer | undefined };

/** What became of one message. Throws if it is not what the protocols allow. */
async function judge(bytes: Buffer, exchange: Exchange, transport: Transport): Promise<Verdict> {
  const reply = await exchange(bytes).catch((error: unknown) => error);
  if (reply instanceof WireError) return { kind: 'unreadable' };
  if (!(reply instanceof Buffer)) throw reply;
  if (reply.length % 4 !== 0 || !reply.subarray(0, 4).equals(bytes.subarray(0, 4))) throw new Error('a reply to something else');
  if (transport === 'udp' && reply.length > datagramMax) throw new Error(`a reply of ${reply.length} bytes by UDP`);
  const { denied, status, results } = decodeReply(reply);
  if (!denied && status === systemError) throw new Error('SYSTEM_ERR');
  if (denied || status !== 0) return { kind: 'refused' };
  if (bytes.readUInt32BE(12) !== nfsProgram || results.left === 0) return { kind: 'answered' };
  const version = bytes.readUInt32BE(16);
  const said = results.u32();
  if (knownStatuses[version]?.has(said) !== true) throw new Error(`status ${said} in version ${version}`);
  if (said !== 0) return { kind: 'failed' };
  return { kind: 'succeeded', handle: handleIn(version, bytes.readUInt32BE(20), reply, reply.length - results.left) };
}

/** The handle in the results of what finds or makes an object. */
function handleIn(version: number, procedure: number, reply: Buffer, at: number): Buffer | undefined {
  if (version === 2) return [4, 9, 14].includes(procedure) ? reply.subarray(at, at + 24) : undefined;
  if (procedure === 3) return reply.subarray(at + 4, at + 28);
  return [8, 9, 10, 11].includes(procedure) && reply.readUInt32BE(at) === 1 ? reply.subarray(at + 8, at + 32) : undefined;
}
