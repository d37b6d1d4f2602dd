// The RPC server: binds TCP and UDP, gives each message to its program and the answer back. RFC 5531.
import { createServer, type Server, type Socket } from 'node:net';
import { type Ipv4, ipv4FromPeer } from '../base/addresses.ts';
import { openUdp } from '../base/datagrams.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { takePassed } from '../base/passed-sockets.ts';
import type { Service } from '../base/service.ts';
import { Connection } from './connection.ts';
import { Datagrams } from './datagrams.ts';
import { defaultLimits, type RpcLimits } from './limits.ts';
import type { Reply } from './message.ts';
import { type Answering, answer, type Elsewhere, encodeAnswer, type Peer, type Program, type Transport } from './program.ts';
import type { ReplyCache } from './reply-cache.ts';

/** Some clients' calls at once, each 32 KiB of WRITE or a whole datagram. What the system allows (net.core.rmem_max) unless UDP is tied to an interface. */
const receiveBuffer = 4 * 1024 * 1024;

/** How often a free port is looked for that both TCP and UDP have. */
const portTries = 10;

export interface RpcServerOptions {
  /** For the log and for people: `nfs`, `portmap`. */
  readonly name: string;
  readonly address: Ipv4;
  /** 0 takes any free port, the same for TCP and UDP. */
  readonly port: number;
  readonly transports: readonly Transport[];
  /** The only network interface that UDP is heard on; with it, its receive buffer can be as large as it should be. */
  readonly interface?: string;
  readonly programs: readonly Program[];
  /** Whether only clients with a source port below 1024 are served, beside NULL over UDP: on a Unix machine, only root can have one. Default false. */
  readonly privileged?: boolean;
  /** Remembers answers of procedures that must happen once. */
  readonly replies?: ReplyCache;
  /** See `Answering`. */
  readonly elsewhere?: Elsewhere;
  readonly limits?: Partial<RpcLimits>;
  readonly log: Log;
}

export interface RpcService extends Service {
  readonly port: number;
}

/** Binds and serves. Throws `FarmError` `port.taken`, `port.privilege`, `address.absent`, `port.unusable` or one of `openUdp`. */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcService> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(options);
    } catch (error) {
      const unlucky = options.port === 0 && systemCode(error) === 'port.taken' && tries < portTries;
      if (!unlucky) throw error;
    }
  }
}

async function start(options: RpcServerOptions): Promise<RpcService> {
  const { name, address, log, transports } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const acceptor = openAcceptor(options);
  const closers: (() => Promise<void>)[] = [];
  const sockets: string[] = [];
  let { port } = options;
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= Promise.all(closers.map((closer) => closer())).then(() => {});
    return closing;
  };
  try {
    if (transports.includes('tcp')) {
      const server = createServer((socket) => acceptor.accept(socket));
      port = await listen(server, address, port);
      closers.push(() => closeServer(server, acceptor));
      sockets.push(`tcp ${address}:${port}`);
    }
    if (transports.includes('udp')) {
      const device = options.interface === undefined ? {} : { interface: options.interface };
      const udp = await serveDatagrams({ name, address, port, ...device, answer: acceptor.answer, limits, log });
      port = udp.port;
      closers.push(() => udp.close());
      sockets.push(...udp.sockets);
    }
  } catch (error) {
    await close();
    throw bindError(error, name, address, options.port);
  }
  return { name, port, sockets, close };
}

/** What answers calls, without sockets of its own. */
export interface RpcAcceptor {
  /** Serves a connection that somebody else accepted, and paused. */
  readonly accept: (socket: Socket) => void;
  /** The answer to a call that came by another way; throws `WireError` for what is no call. */
  readonly answer: (peer: Peer, message: Buffer) => Reply | Promise<Reply>;
  /** Takes no more calls, lets those under way end and ends all connections. */
  readonly close: () => Promise<void>;
}

export type RpcAcceptorOptions = Pick<RpcServerOptions, 'name' | 'programs' | 'privileged' | 'replies' | 'elsewhere' | 'limits' | 'log'>;

export function openAcceptor({ name, programs, privileged = false, replies, elsewhere, limits: given, log }: RpcAcceptorOptions): RpcAcceptor {
  const limits = { ...defaultLimits, ...given };
  const answering: Answering = {
    programs: new Map(programs.map((program) => [program.number, program])),
    privileged,
    replies,
    elsewhere,
    fault: rpcFault(name, log),
  };
  const connections = new Map<Connection, Ipv4>();
  return {
    accept: (socket) => accept(socket, connections, answering, limits, name, log),
    answer: (peer, message) => answer(answering, peer, message),
    close: () => endConnections(connections, limits),
  };
}

/** Told about each exception that a procedure should not have thrown. */
export function rpcFault(server: string, log: Log): Answering['fault'] {
  return (procedure, error) => log('error', 'rpc.fault', { server, procedure, error: error instanceof Error ? error.stack : String(error) });
}

export interface DatagramOptions extends Pick<RpcServerOptions, 'name' | 'address' | 'port' | 'interface' | 'log'> {
  readonly answer: RpcAcceptor['answer'];
  readonly limits?: Partial<RpcLimits>;
}

/** Binds UDP and answers the calls that come by it. */
export async function serveDatagrams({ name, address, port, interface: device, answer, limits: given, log }: DatagramOptions): Promise<RpcService> {
  const limits = { ...defaultLimits, ...given };
  const socket = await openUdp({ address, port, receiveBuffer, ...(device !== undefined && { interface: device }) });
  socket.on('error', (error) => log('warn', 'rpc.udp', { server: name, error: error.message }));
  const fault = rpcFault(name, log);
  const datagrams = new Datagrams(socket, limits, {
    answer,
    encode: (writer, reply) => encodeAnswer({ fault }, writer, reply),
    dropped: (client, reason) => log('debug', 'rpc.dropped', { server: name, client, reason }),
  });
  const bound = socket.address().port;
  return { name, port: bound, sockets: [`udp ${address}:${bound}`], close: () => closeDatagrams(datagrams, limits) };
}

function accept(socket: Socket, connections: Map<Connection, Ipv4>, answering: Answering, limits: RpcLimits, server: string, log: Log): void {
  const client = ipv4FromPeer(socket.remoteAddress ?? '');
  const port = socket.remotePort ?? 0;
  const refusal = client === undefined ? 'not an IPv4 client' : crowded(connections, client, limits);
  if (client === undefined || refusal !== undefined) {
    log('warn', 'rpc.refused', { server, client, reason: refusal });
    socket.on('error', () => {}); // nobody is interested in how a refused connection ends
    socket.destroy();
    return;
  }
  const peer: Peer = { client, port, transport: 'tcp' };
  const connection = new Connection(socket, limits, {
    answer: (message) => answer(answering, peer, message),
    encode: (writer, reply) => encodeAnswer(answering, writer, reply),
    dropped: (reason) => log('warn', 'rpc.dropped', { server, client, reason }),
  });
  connections.set(connection, client);
  socket.on('close', () => connections.delete(connection));
}

/** Why one more connection of `client` is too many, or undefined. */
function crowded(connections: ReadonlyMap<Connection, Ipv4>, client: Ipv4, limits: RpcLimits): string | undefined {
  if (connections.size >= limits.connections) return `more than ${limits.connections} connections`;
  let ofClient = 0;
  for (const other of connections.values()) if (other === client) ofClient += 1;
  return ofClient >= limits.connectionsPerClient ? `more than ${limits.connectionsPerClient} connections of one client` : undefined;
}

/** Listens, and gives the port. */
export function listen(server: Server, address: Ipv4, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const fd = takePassed({ transport: 'tcp', address, port });
    server.listen(fd === undefined ? { port, host: address } : { fd }, () => {
      server.off('error', reject);
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
    });
  });
}

async function closeServer(server: Server, acceptor: RpcAcceptor): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await acceptor.close();
  await closed;
}

async function endConnections(connections: ReadonlyMap<Connection, Ipv4>, limits: RpcLimits): Promise<void> {
  const open = [...connections.keys()];
  const closed = Promise.all(open.map((connection) => connection.closed));
  for (const connection of open) connection.end();
  const impatience = setTimeout(() => {
    for (const connection of open) connection.destroy();
  }, limits.closingTime);
  await closed;
  clearTimeout(impatience);
}

async function closeDatagrams(datagrams: Datagrams, limits: RpcLimits): Promise<void> {
  let impatience: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    impatience = setTimeout(resolve, limits.closingTime);
    void datagrams.end().then(resolve);
  });
  clearTimeout(impatience);
  await datagrams.close();
}

/** The sentence for why a socket could not be bound. */
export function bindError(error: unknown, name: string, address: Ipv4, port: number): unknown {
  if (error instanceof FarmError) return error;
  const code = systemCode(error);
  const where = `${name} cannot listen on ${address} port ${port}`;
  if (code === 'EADDRINUSE') return new FarmError('port.taken', `${where}: another program has it`, `find it with: ss -lnp 'sport = :${port}'`, error);
  if (code === 'EACCES') return new FarmError('port.privilege', `${where}: not permitted`, 'ports below 1024 need root, or CAP_NET_BIND_SERVICE', error);
  if (code === 'EADDRNOTAVAIL') return new FarmError('address.absent', `${where}: it is no address of this machine`, 'list them with: ip -br address', error);
  return code === undefined ? error : new FarmError('port.unusable', `${where}: ${sentence(error)}`, undefined, error);
}
