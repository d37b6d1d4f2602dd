// Authenticated, encrypted streams between agents: one TLS 1.3 connection a stream, with pre-shared keys made from the farm's (RFC 8446 2.2, ephemeral Diffie-Hellman).
import { once } from 'node:events';
import { createServer, isIP, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, createServer as createTlsServer, type PSKCallbackNegotation, type TLSSocket, type TLSSocketOptions } from 'node:tls';
import { type Ipv4, ipv4FromPeer } from '../../base/addresses.ts';
import { duplexPair } from '../../base/duplex-pair.ts';
import { FarmError, sentence, systemCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { linkKey } from '../../cluster/key.ts';
import type { ClusterMap } from '../../cluster/nodes.ts';
import type { Link } from '../jobs/types.ts';
import { calls, encodeFailure, opened } from './calls.ts';
import { firstFrame } from './first-frame.ts';
import { asAsked, encodeFrame } from './frames.ts';
import { admitted, formatIdentity, keyName, parseIdentity, serverId } from './identity.ts';
import { isChachaFaster, tlsSuites } from './suites.ts';

/** openMosix' migration daemon listened there. */
export const defaultLinkPort = 4660;
/** Ms for a connection, its handshake, and again for its first frame: old machines take a second under load. */
const defaultPatience = 10_000;
/** A node with hundreds of guests has two streams a guest; a flood shall not take all descriptors of the agent. */
const defaultConnectionsMax = 1024;
/** Of these, as many may be from one node. */
const perNodeMax = 512;
/** Ms after which the kernel asks whether a silent peer still lives. */
const keepAlive = 10_000;

export interface LinkOptions {
  readonly self: { readonly id: number; readonly address: Ipv4 };
  readonly port?: number;
  readonly map: () => Pick<ClusterMap, 'addresses' | 'ids'>;
  /** The farm's keys, the one to speak with first. */
  readonly keys: () => readonly [Buffer, ...Buffer[]];
  /** A connection was not taken. */
  readonly refuse: (reason: string, from: string, detail: string) => void;
  readonly log: Log;
  /** The farm's server, if there is one: it may open streams for purposes that begin with `farm.`, and nobody else may. */
  readonly server?: () => Ipv4 | undefined;
  readonly patience?: number;
  readonly connectionsMax?: number;
  /** Which cipher this node is better at; measured unless given. */
  readonly prefersChacha?: boolean;
}

export interface RunningLink extends Link {
  readonly port: number;
  /** Ends all streams. */
  close(): Promise<void>;
}

/** What only the server asks for. */
const serverPurposes = 'farm.';

type Handler = (from: number, header: unknown, stream: Duplex) => void;

export const tls = { minVersion: 'TLSv1.3', ciphers: tlsSuites(false).ciphers, allowHalfOpen: true } as const;

/** Listens on this node's address. Throws `FarmError` `link.port`. */
export async function startLink(options: LinkOptions): Promise<RunningLink> {
  const { self, keys, refuse, log, patience = defaultPatience, connectionsMax = defaultConnectionsMax, prefersChacha = isChachaFaster() } = options;
  const handlers = new Map<string, Handler>();
  const streams = new Set<Socket>();
  const counts = new Map<number, number>();
  let isClosed = false;

  const nodeAt = (address: string | undefined) => {
    const plain = address === undefined ? undefined : ipv4FromPeer(address);
    const node = plain === undefined ? undefined : options.map().ids.get(plain);
    return node ?? (plain !== undefined && plain === options.server?.() ? serverId : undefined);
  };
  const identities = new WeakMap<object, number>();
  const suites = tlsSuites(prefersChacha);
  const secure = createTlsServer({
    ...{ ...tls, ...suites },
    handshakeTimeout: patience,
    pskCallback(socket: TLSSocket, text: string) {
      const identity = parseIdentity(text);
      const key = admitted(identity, self.id, nodeAt(socket.remoteAddress), keys());
      if (key === undefined || identity === undefined) {
        refuse('link.identity', socket.remoteAddress ?? '', `it says that it is "${text.replace(/[^\x20-\x7e]/g, '?').slice(0, 80)}"`);
        return null;
      }
      identities.set(socket, identity.from);
      return key;
    },
  } as TLSSocketOptions & { handshakeTimeout: number; allowHalfOpen: boolean });
  secure.on('tlsClientError', (error, socket) => {
    refuse('link.handshake', socket.remoteAddress ?? '', systemCode(error) ?? error.message);
    socket.destroy();
  });
  secure.on('secureConnection', (socket) => {
    const from = identities.get(socket);
    socket.on('error', () => socket.destroy());
    if (from === undefined) socket.destroy();
    else void receive(from, socket);
  });
  const server = createServer({ allowHalfOpen: true, keepAlive: true, keepAliveInitialDelay: keepAlive, noDelay: true }, (raw) => {
    const from = nodeAt(raw.remoteAddress);
    const count = from === undefined ? 0 : (counts.get(from) ?? 0);
    raw.on('error', () => raw.destroy());
    if (from === undefined || isClosed || streams.size >= connectionsMax || count >= perNodeMax) {
      refuse(from === undefined ? 'link.stranger' : 'link.many', raw.remoteAddress ?? '', 'its connection was closed');
      raw.destroy();
      return;
    }
    keep(raw);
    counts.set(from, count + 1);
    raw.once('close', () => counts.set(from, (counts.get(from) ?? 1) - 1));
    secure.emit('connection', raw);
  });
  server.on('error', (error) => log('error', 'link.socket', { reason: sentence(error) }));
  await listen(server, self.address, options.port ?? defaultLinkPort);

  function keep(socket: Socket): void {
    streams.add(socket);
    socket.once('close', () => streams.delete(socket));
  }

  async function receive(from: number, stream: Duplex): Promise<void> {
    try {
      const { purpose, header } = asAsked(await firstFrame(stream, patience));
      const handler = handlers.get(purpose);
      if (handler === undefined || isClosed || (from === serverId) !== purpose.startsWith(serverPurposes)) {
        const who = isClosed ? 'its agent is ending' : 'do both nodes run the same version?';
        stream.end(encodeFailure(new FarmError('link.refused', `node ${self.id} takes no stream for ${purpose}`, who)));
        return;
      }
      stream.write(encodeFrame({ ok: true }));
      handler(from, header, stream);
    } catch (error) {
      stream.destroy();
      refuse('link.frame', `node ${from}`, sentence(error));
    }
  }

  async function open(node: number, purpose: string, header: unknown): Promise<Duplex> {
    const asked = encodeFrame({ purpose, header });
    if (isClosed) throw new FarmError('link.down', 'the agent of this node is ending');
    const stream = node === self.id ? within() : await connect(node);
    stream.write(asked);
    await opened(stream, node, patience);
    return stream;
  }

  function within(): Duplex {
    const [near, far] = duplexPair();
    far.on('error', () => far.destroy());
    // A pair's end does not see that the other was destroyed.
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
    void receive(self.id, far);
    return near;
  }

  async function connect(node: number): Promise<Duplex> {
    const address = options.map().addresses.get(node);
    const down = (why: string, cause?: unknown) =>
      new FarmError('link.down', `node ${node} cannot be reached: ${why}`, 'mosctl status says whether it is up', cause);
    if (address === undefined || isIP(address) === 0) throw down('the map does not have it');
    const [key] = keys();
    const credentials: PSKCallbackNegotation = { psk: linkKey(key), identity: formatIdentity({ from: self.id, to: node, key: keyName(key) }) };
    const port = options.port ?? defaultLinkPort;
    const socket = connectTls({
      ...{ ...tls, ciphers: suites.ciphers, host: address, port, localAddress: self.address, keepAlive: true, keepAliveInitialDelay: keepAlive, noDelay: true },
      pskCallback: () => credentials,
      checkServerIdentity: () => undefined, // it has no certificate: it has the key
    });
    keep(socket);
    try {
      await once(socket, 'secureConnect', { signal: AbortSignal.timeout(patience) });
    } catch (error) {
      socket.on('error', () => {}).destroy();
      throw down(error instanceof Error && error.name === 'AbortError' ? `no answer in ${patience} ms` : sentence(error), error);
    }
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true); // tls.connect does not pass `noDelay` on, and then an answer can wait 40 ms for an acknowledgement
    return socket;
  }

  const serve = (purpose: string, handler: Handler) => void handlers.set(purpose, handler);
  const {
    call,
    answer,
    close: closeCalls,
  } = calls({
    ...{ open, serve, patience, addressOf: (node) => options.map().addresses.get(node) },
    fault: (name, error) => log('error', 'link.fault', { call: name, error: sentence(error) }),
  });
  return {
    self: self.id,
    port: options.port ?? defaultLinkPort,
    open,
    serve,
    call,
    answer,
    async close() {
      if (isClosed) return;
      isClosed = true;
      closeCalls();
      for (const stream of streams) stream.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      secure.close();
    },
  };
}

async function listen(server: Server, address: Ipv4, port: number): Promise<void> {
  const listening = once(server, 'listening');
  server.listen({ host: address, port });
  await listening.catch((error: unknown) => {
    throw new FarmError('link.port', `TCP ${address}:${port} cannot be listened to: ${sentence(error)}`, 'is another agent running? ss -ltnp', error);
  });
}
