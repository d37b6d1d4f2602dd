// The door to other machines' RPC programs: finds the port, calls, waits so long and no longer. Addresses only, no names are looked up.
import type { ByteReader } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { portmapPort } from '../rpc/portmap/mappings.ts';
import type { Transport } from '../rpc/program.ts';
import { openConnections } from './by-connection.ts';
import { openDatagrams } from './by-datagram.ts';
import type { Exchange, RemoteAnswer, RemoteCall } from './exchange.ts';
import { getPort, readPort, writeGetPort } from './get-port.ts';
import { Turns } from './turns.ts';

export interface CallerOptions {
  /** Where port mappers listen; other than 111 in tests only. */
  readonly portmapPort?: number;
  /** Factor on all times, for tests. */
  readonly pace?: number;
}

export interface RemoteCaller {
  /** Never rejects. */
  call(call: RemoteCall): Promise<RemoteAnswer>;
  close(): void;
}

/** How long a port that was found is used without asking again, and how long one that was not found is not asked for, ms. */
const portLifetime = 60_000;
const absenceLifetime = 3000;
/** Ports that are remembered: two programs of some thousand machines. */
const portsMax = 8192;
/** A client with a thousand locks to be told of is told by 16 calls at a time. */
const turnLimits = { underWay: 512, underWayPerPeer: 16, waitingPerPeer: 2048 } as const;

interface KnownPort {
  readonly port: Promise<number | undefined>;
  until: number;
}

export function openCaller({ portmapPort: mapperPort = portmapPort, pace = 1 }: CallerOptions = {}): RemoteCaller {
  const ways = { udp: openDatagrams(pace), tcp: openConnections(pace) };
  const ports = new Map<string, KnownPort>();
  const turns = new Turns(turnLimits);
  let closed = false;

  async function askPort(call: RemoteCall, transport: Transport): Promise<number | undefined> {
    const question: RemoteCall = { ...call, ...getPort, args: (writer) => writeGetPort(writer, call, transport) };
    for (const way of [ways.udp, ways.tcp]) {
      const answered = await way.exchange(question, mapperPort);
      if (answered.kind === 'reply') return portIn(answered.reply.results);
    }
    return undefined;
  }

  function portOf(call: RemoteCall, transport: Transport): Promise<number | undefined> {
    const key = portKey(call, transport);
    const known = ports.get(key);
    if (known !== undefined && known.until > performance.now()) return known.port;
    const found: KnownPort = { port: askPort(call, transport), until: Number.POSITIVE_INFINITY };
    void found.port.then((port) => {
      found.until = performance.now() + (port === undefined ? absenceLifetime * pace : portLifetime);
    });
    ports.delete(key);
    ports.set(key, found);
    for (const oldest of ports.keys()) {
      if (ports.size <= portsMax) break;
      ports.delete(oldest);
    }
    return found.port;
  }

  /** undefined if there is no such port. One that is remembered and refuses is asked for anew: a client that has restarted has another. */
  async function attemptBy(call: RemoteCall, transport: Transport): Promise<Exchange | undefined> {
    const key = portKey(call, transport);
    const remembered = ports.get(key)?.port;
    const port = await portOf(call, transport);
    if (port === undefined || closed) return undefined;
    const result = await ways[transport].exchange(call, port);
    if (result.kind === 'reply' && result.reply.results !== undefined) return result;
    const known = ports.get(key)?.port;
    ports.delete(key);
    const arrived = result.kind === 'none' && result.arrived;
    if (!arrived && !closed && known !== undefined && known === remembered) return attemptBy(call, transport);
    return result.kind === 'none' ? result : { kind: 'none', reason: `refused by ${transport} port ${port}`, arrived };
  }

  async function attempt(call: RemoteCall): Promise<RemoteAnswer> {
    let reason = `no program ${call.program} version ${call.version} at ${call.to}, or no port mapper`;
    let arrived = false;
    for (const transport of call.transports) {
      const result = await attemptBy(call, transport);
      if (result?.kind === 'reply' && result.reply.results !== undefined) {
        return { kind: 'answered', results: result.reply.results, repeated: result.repeated || arrived };
      }
      if (result?.kind !== 'none') continue;
      reason = result.reason;
      arrived ||= result.arrived;
      if (arrived && !call.repeatable) break;
    }
    return { kind: 'unanswered', reason, arrived };
  }

  return {
    call: (call) =>
      (closed ? undefined : turns.take(call.to, () => attempt(call))) ??
      Promise.resolve({ kind: 'unanswered', reason: closed ? 'the server ends' : 'too many calls wait', arrived: false }),
    close: () => {
      closed = true;
      ways.udp.close();
      ways.tcp.close();
    },
  };
}

function portKey({ to, program, version }: RemoteCall, transport: Transport): string {
  return `${to} ${program} ${version} ${transport}`;
}

function portIn(results: ByteReader | undefined): number | undefined {
  try {
    return results === undefined ? undefined : readPort(results);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
