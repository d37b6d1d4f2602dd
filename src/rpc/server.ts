// The RPC server: binds TCP and UDP, gives each message to its program and the answer back. RFC 5531.
import { createSocket, type Socket as DatagramSocket, type RemoteInfo } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { type Ipv4, ipv4FromPeer } from '../base/addresses.ts';
import { ByteWriter } from '../base/bytes.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import { Connection } from './connection.ts';
import { defaultLimits, type RpcLimits } from './limits.ts';
import type { Reply } from './message.ts';
import { type Answering, answer, encodeAnswer, type Program } from './program.ts';
import type { ReplyCache } from './reply-cache.ts';

/** What fits into a UDP datagram over IPv4; a longer answer cannot be sent. */
const datagramMax = 65_507;

export interface RpcServerOptions {
  /** For the log and for people: `nfs`, `portmap`. */
  readonly name: string;
  readonly address: Ipv4;
  /** 0 takes any free port, the same for TCP and UDP. */
  readonly port: number;
  readonly transports: readonly ('tcp' | 'udp')[];
  readonly programs: readonly Program[];
  /** Whether only clients with a source port below 1024 are served: on a Unix machine, only root can have one. Default false. */
  readonly privileged?: boolean;
  /** Remembers answers of procedures that must happen once. */
  readonly replies?: ReplyCache;
  readonly limits?: Partial<RpcLimits>;
  readonly log: Log;
}

export interface RpcService extends Service {
  readonly port: number;
}

/** Binds and serves. Throws `FarmError` `port.taken`, `port.denied` or `port.unusable`. */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcService> {
  const { name, address, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const answering: Answering = {
    programs: new Map(options.programs.map((program) => [program.number, program])),
    replies: options.replies,
    fault: (procedure, error) => log('error', 'rpc.fault', { server: name, procedure, error: error instanceof Error ? error.stack : String(error) }),
  };
  const closers: (() => Promise<void>)[] = [];
  const sockets: string[] = [];
  let { port } = options;
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= Promise.all(closers.map((closer) => closer())).then(() => {});
    return closing;
  };
  try {
    if (options.transports.includes('tcp')) {
      const connections = new Map<Connection, Ipv4>();
      const server = createServer((socket) => {
        const refusal = options.privileged === true && (socket.remotePort ?? 0) > lastPrivilegedPort ? 'not from a privileged port' : undefined;
        accept(socket, refusal, connections, answering, limits, name, log);
      });
      port = await listen(server, address, port);
      closers.push(() => closeServer(server, connections, limits));
      sockets.push(`tcp ${address}:${port}`);
    }
    if (options.transports.includes('udp')) {
      const socket = createSocket('udp4');
      port = await bindDatagrams(socket, address, port);
      socket.on('message', (message, from) => void answerDatagram(socket, answering, message, from, name, log));
      socket.on('error', (error) => log('warn', 'rpc.udp', { server: name, error: error.message }));
      closers.push(() => new Promise((resolve) => socket.close(() => resolve())));
      sockets.push(`udp ${address}:${port}`);
    }
  } catch (error) {
    await close();
    throw bindError(error, name, address, options.port);
  }
  return { name, port, sockets, close };
}

/** IANA's system ports, which Linux lets only CAP_NET_BIND_SERVICE use. */
const lastPrivilegedPort = 1023;

function accept(
  socket: Socket,
  unprivileged: string | undefined,
  connections: Map<Connection, Ipv4>,
  answering: Answering,
  limits: RpcLimits,
  server: string,
  log: Log,
): void {
  const client = ipv4FromPeer(socket.remoteAddress ?? '');
  const refusal = client === undefined ? 'not an IPv4 client' : (unprivileged ?? crowded(connections, client, limits));
  if (client === undefined || refusal !== undefined) {
    log('warn', 'rpc.refused', { server, client, reason: refusal });
    socket.on('error', () => {}); // nobody is interested in how a refused connection ends
    socket.destroy();
    return;
  }
  const connection = new Connection(socket, limits, {
    answer: (message) => answer(answering, client, message),
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

async function answerDatagram(socket: DatagramSocket, answering: Answering, message: Buffer, from: RemoteInfo, server: string, log: Log): Promise<void> {
  const client = ipv4FromPeer(from.address);
  if (client === undefined) return;
  let reply: Reply;
  try {
    reply = await answer(answering, client, message);
  } catch (error) {
    log('debug', 'rpc.dropped', { server, client, reason: sentence(error) });
    return;
  }
  const writer = new ByteWriter();
  const tail = encodeAnswer(answering, writer, reply);
  const datagram = tail === undefined ? writer.bytes() : Buffer.concat([writer.bytes(), tail]);
  if (datagram.length > datagramMax) log('debug', 'rpc.dropped', { server, client, reason: `an answer of ${datagram.length} bytes does not fit a datagram` });
  else socket.send(datagram, from.port, from.address, (error) => error && log('debug', 'rpc.udp', { server, client, error: error.message }));
}

function listen(server: Server, address: Ipv4, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
    });
  });
}

function bindDatagrams(socket: DatagramSocket, address: Ipv4, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, address, () => {
      socket.off('error', reject);
      resolve(socket.address().port);
    });
  });
}

async function closeServer(server: Server, connections: ReadonlyMap<Connection, Ipv4>, limits: RpcLimits): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const connection of connections.keys()) connection.end();
  const impatience = setTimeout(() => {
    for (const connection of connections.keys()) connection.destroy();
  }, limits.closingTime);
  await closed;
  clearTimeout(impatience);
}

function bindError(error: unknown, name: string, address: Ipv4, port: number): unknown {
  const code = systemCode(error);
  const where = `${name} cannot listen on ${address} port ${port}`;
  if (code === 'EADDRINUSE') return new FarmError('port.taken', `${where}: another program has it`, `find it with: ss -lnp 'sport = :${port}'`, error);
  if (code === 'EACCES') return new FarmError('port.denied', `${where}: not permitted`, 'ports below 1024 need root, or CAP_NET_BIND_SERVICE', error);
  if (code === undefined) return error;
  return new FarmError('port.unusable', `${where}: ${sentence(error)}`, 'the address must be one of this machine (ip -br address)', error);
}
