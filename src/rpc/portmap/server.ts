// Makes programs known on port 111: by a port mapper of our own, or where the system's rpcbind has that port, by registering with it. RFC 1833.
import { type Ipv4, ipv4 } from '../../base/addresses.ts';
import type { Clock } from '../../base/clock.ts';
import { openUdp } from '../../base/datagrams.ts';
import { FarmError, sentence, systemCode, WireError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Service } from '../../base/service.ts';
import { type Accepted, decodeReply, encodeCall } from '../call.ts';
import type { RpcLimits } from '../limits.ts';
import { lastPrivilegedPort } from '../program.ts';
import { startRpcServer } from '../server.ts';
import { readBool } from '../xdr.ts';
import { type Mapping, portmapPort, portmapProgram, protocolNumbers } from './mappings.ts';
import { portmap } from './program.ts';

/** rpcbind takes registrations from loopback only, and from privileged ports. */
const loopback = ipv4('127.0.0.1');
const ownPortTries = 20;

const procedures = { set: 1, unset: 2 } as const;

/** How long rpcbind has for an answer, ms, and how often it is asked: both ends are this machine. */
const answerMilliseconds = 500;
const askTries = 3;

export interface PortmapOptions {
  readonly address: Ipv4;
  /** Default 111. */
  readonly port?: number;
  readonly mappings: readonly Mapping[];
  readonly limits?: Partial<RpcLimits>;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Starts our own port mapper, or registers with the one that has the port until `close`. What that one refuses, for instance because another server
 * is registered, a warning tells: only clients that are told the port will find it. Throws what `startRpcServer` throws, except `port.taken`.
 */
export async function startPortmap(options: PortmapOptions): Promise<Service> {
  const { address, port = portmapPort, mappings, limits = {}, log, clock } = options;
  try {
    const programs = [portmap({ address, mappings, now: () => clock.now() }, port)];
    return await startRpcServer({ name: 'portmap', address, port, transports: ['tcp', 'udp'], programs, limits, log });
  } catch (error) {
    if (systemCode(error) !== 'port.taken') throw error;
    return register(options, port);
  }
}

async function register({ mappings, log }: PortmapOptions, port: number): Promise<Service> {
  const registered: Mapping[] = [];
  const refused: Mapping[] = [];
  try {
    await withRpcbind(port, async (ask) => {
      for (const mapping of mappings) ((await ask('set', mapping)) ? registered : refused).push(mapping);
    });
    if (registered.length > 0) log('info', 'portmap.registered', { port, programs: registered.map(described) });
    if (refused.length > 0) throw new FarmError('portmap.refused', `it refuses ${refused.map(described).join(', ')}`);
  } catch (error) {
    const hint = `see what it knows with: rpcinfo -p; a kernel NFS server must be stopped: systemctl disable --now nfs-server`;
    log('warn', 'portmap.absent', { port, reason: sentence(error), hint });
  }
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= unregister(port, registered, log);
    return closing;
  };
  return { name: 'portmap', sockets: [], close };
}

async function unregister(port: number, registered: readonly Mapping[], log: Log): Promise<void> {
  if (registered.length === 0) return;
  try {
    await withRpcbind(port, async (ask) => {
      for (const mapping of registered) await ask('unset', mapping); // of all transports at once; FALSE the second time
    });
  } catch (error) {
    log('warn', 'portmap.absent', { port, reason: sentence(error) });
  }
}

function described({ program, version, transport, port }: Mapping): string {
  return `${program} version ${version} on ${transport} port ${port}`;
}

type Ask = (procedure: keyof typeof procedures, mapping: Mapping) => Promise<boolean>;

/** Gives `use` a way to ask the system's rpcbind, version 2: its registrations are for every address of the machine. */
async function withRpcbind(port: number, use: (ask: Ask) => Promise<void>): Promise<void> {
  const socket = await privilegedSocket();
  let heard: (message: Buffer) => void = () => {};
  socket.on('message', (message: Buffer) => heard(message));
  let xid = 0;
  const ask: Ask = async (word, { program, version, transport, port: registered }) => {
    xid += 1;
    const call = encodeCall(xid, { program: portmapProgram, version: 2, procedure: procedures[word] }, (writer) => {
      for (const argument of [program, version, protocolNumbers[transport], registered]) writer.u32(argument);
    });
    for (let tries = 0; tries < askTries; tries += 1) {
      const reply = await new Promise<Accepted | undefined>((resolve, reject) => {
        const timer = setTimeout(() => resolve(undefined), answerMilliseconds);
        heard = (message) => {
          const read = replyOf(message);
          if (read?.xid !== xid) return;
          clearTimeout(timer);
          resolve(read);
        };
        socket.send(call, port, loopback, (error) => error && reject(error));
      });
      if (reply !== undefined) return reply.results !== undefined && readBool(reply.results);
    }
    throw new FarmError('portmap.silent', `rpcbind on port ${port} does not answer`);
  };
  try {
    await use(ask);
  } finally {
    socket.close();
  }
}

/** Undefined for what is no reply: any program of this machine can send us one. */
function replyOf(message: Buffer): Accepted | undefined {
  try {
    return decodeReply(message);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** rpcbind refuses other ports unless it was started with -i; without the right to have one, that is what is tried. */
async function privilegedSocket() {
  for (let port = lastPrivilegedPort; port > lastPrivilegedPort - ownPortTries; port -= 1) {
    try {
      return await openUdp({ address: loopback, port });
    } catch (error) {
      const code = systemCode(error);
      if (code === 'port.privilege') break;
      if (code !== 'port.taken') throw error;
    }
  }
  return openUdp({ address: loopback, port: 0 });
}
