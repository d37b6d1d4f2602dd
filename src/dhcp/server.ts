// The DHCP and BOOTP service of one interface: datagram -> packet -> answer -> datagram or frame, counted and logged (RFC 2131, RFC 951, PXE 2.1).
import type { Socket } from 'node:dgram';
import { hostname } from 'node:os';
import { type Ipv4, ipv4Any, parseIpv4 } from '../base/addresses.ts';
import { answered, fullBudget, spend } from '../base/budget.ts';
import type { Clock } from '../base/clock.ts';
import { openUdp } from '../base/datagrams.ts';
import { FarmError, sentence, systemCode, WireError } from '../base/errors.ts';
import { type FrameDoor, openFrames } from '../base/frames.ts';
import type { Fields, Level, Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import { answer, type DhcpAnswer, type DhcpContext, type DhcpExchange } from './answer.ts';
import { exchangeFields, exchangeLevel } from './exchange-line.ts';
import { Held } from './held.ts';
import { type Arrived, Intake } from './intake.ts';
import { deliver, type Endpoint } from './outlet.ts';
import { type DhcpPacket, decodePacket, encodePacket } from './packet.ts';
import type { DhcpQuestions, Leases } from './questions.ts';
import type { Route } from './route.ts';

export interface DhcpServerOptions {
  /** The server's address on the network it serves: the server identifier (54). */
  readonly address: Ipv4;
  /** The only interface to hear and speak on. Without it the routing table decides where a broadcast leaves, and no frames are sent. */
  readonly interface?: string;
  /** By default 67; relay agents listen on the same number. */
  readonly port?: number;
  /** By default 4011, where PXE ROMs ask a boot server. */
  readonly bootServerPort?: number;
  /** By default 68. */
  readonly clientPort?: number;
  readonly questions: DhcpQuestions;
  /** `stable` settles when all that was granted so far survives a crash: replies that promise a lease wait for it. */
  readonly leases: Leases & { stable(): Promise<void> };
  readonly log: Log;
  /** Told of every datagram that was decided on, answered or not, once its reply is sent; unknown machines are seen here. */
  readonly observe?: (exchange: DhcpExchange) => void;
  readonly clock: Clock;
}

export interface DhcpService extends Service {
  /** How often each event happened since the start: `received`, `garbage`, `repeated`, `overload`, `send-failed`, `unkept`, `fault` and the exchanges' (`dhcp.offer`, ...). */
  counters(): ReadonlyMap<string, number>;
}

/** Room for what arrives at 10,000 exchanges a second while the process waits 100 ms for its processor; a datagram takes up to 2.3 kB of it. */
const receiveBuffer = 4 << 20;

/** Answers between two looks at the sockets, which give up to 32 datagrams each: reading keeps ahead of answering, so that Intake decides what is dropped. */
const answersInTurn = 8;

/** Overload is told at once, and then every so often while it lasts. */
const overloadReport = 10_000;

/** What the operator loses with the frames; told with every reason for it. */
const consequence = 'replies to machines that have no address yet are broadcast to the whole network';

/** Binds 0.0.0.0: broadcasts reach no socket bound to a unicast address. Throws the `FarmError`s of `openUdp`. */
export async function startDhcpServer(options: DhcpServerOptions): Promise<DhcpService> {
  const { interface: name, port = 67, bootServerPort = 4011, log } = options;
  const open = (number: number) =>
    openUdp({ address: ipv4Any, port: number, broadcast: true, receiveBuffer, ...(name === undefined ? {} : { interface: name }) });
  const requests = await open(port);
  let bootServer: Socket;
  try {
    bootServer = await open(bootServerPort);
  } catch (error) {
    requests.close();
    throw error;
  }
  const frames = name === undefined ? undefined : openUnicast(name, log);
  await frames?.tried;
  const server = new DhcpServer(options, { requests, bootServer, frames });
  let closed: Promise<void> | undefined;
  return {
    name: 'dhcp',
    sockets: [requests, bootServer].map((socket) => `udp ${ipv4Any}:${socket.address().port}${name === undefined ? '' : ` on ${name}`}`),
    counters: () => new Map(server.counters),
    close: () => {
      closed ??= server.close();
      return closed;
    },
  };
}

/** A door for frames to machines without an address. Never throws: what is in the way is logged once, tried again, and broadcasts do meanwhile. */
function openUnicast(name: string, log: Log): FrameDoor {
  let trouble: string | undefined;
  return openFrames({
    interface: name,
    etherType: 0,
    filter: [[0x06, 0, 0, 0]],
    groups: [],
    onFrame: () => {},
    onOpen: () => {
      if (trouble !== undefined) log('info', 'dhcp.unicast-ready', { interface: name });
      trouble = undefined;
    },
    onLost: (error, retryMilliseconds) => {
      if (trouble !== error.code)
        log('warn', 'dhcp.unicast-lost', { interface: name, reason: sentence(error), hint: error.hint, retryMilliseconds, consequence });
      trouble = error.code;
    },
  });
}

interface Doors {
  readonly requests: Socket;
  readonly bootServer: Socket;
  readonly frames: FrameDoor | undefined;
}

/** Where a request came from, and the socket that heard it. */
interface Source extends Endpoint {
  readonly socket: Socket;
  readonly port67: boolean;
}

interface Outgoing {
  readonly reply: Extract<DhcpAnswer, { readonly kind: 'reply' }>;
  readonly bytes: Buffer;
  readonly source: Source;
}

class DhcpServer {
  readonly counters = new Map<string, number>();
  private readonly options: DhcpServerOptions;
  private readonly doors: Doors;
  private readonly names: readonly string[];
  private readonly serverPort: number;
  private readonly intake = new Intake<Source>();
  private readonly held: Held<Outgoing>;
  private strangerLines: ReturnType<typeof fullBudget>;
  private exchangeLines: ReturnType<typeof fullBudget>;
  private isWorking = false;
  private isClosed = false;
  private turnedAway = 0;
  private overloadTimer: NodeJS.Timeout | undefined;

  constructor(options: DhcpServerOptions, doors: Doors) {
    this.options = options;
    this.doors = doors;
    const machine = hostname().toLowerCase();
    this.names = [machine, machine.split('.')[0] ?? machine];
    this.serverPort = doors.requests.address().port;
    this.strangerLines = fullBudget(options.clock.now());
    this.exchangeLines = fullBudget(options.clock.now(), answered);
    this.held = new Held<Outgoing>({
      stable: () => options.leases.stable(),
      release: (outgoing) => this.send(outgoing),
      lost: (replies, error) => this.unkept(replies, error),
    });
    this.listen(doors.requests, true);
    this.listen(doors.bootServer, false);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.overloadTimer);
    await this.held.settled();
    const { requests, bootServer, frames } = this.doors;
    await Promise.all([requests, bootServer].map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
    await frames?.close();
  }

  private count(what: string, times = 1): void {
    this.counters.set(what, (this.counters.get(what) ?? 0) + times);
  }

  private listen(socket: Socket, port67: boolean): void {
    socket.on('message', (datagram, peer) => {
      this.count('received');
      const admission = this.intake.admit(datagram, { address: parseIpv4(peer.address) ?? ipv4Any, port: peer.port, socket, port67 }, performance.now());
      if (admission === 'waiting') this.work();
      else if (admission === 'repeated') this.count('repeated');
      else this.overload(1);
    });
    socket.on('error', (error) => this.fault(error));
  }

  /** Answers in turns, between which the event loop reads the sockets. */
  private work(): void {
    if (this.isWorking) return;
    this.isWorking = true;
    setImmediate(() => {
      this.isWorking = false;
      if (this.isClosed) return;
      for (let turn = 0; turn < answersInTurn; turn++) {
        const arrived = this.intake.next();
        if (arrived === undefined) break;
        this.take(arrived);
      }
      this.held.flush();
      if (this.intake.size > 0) this.work();
    });
  }

  private take(arrived: Arrived<Source>): void {
    try {
      const request = this.read(arrived);
      if (request !== undefined) this.handle(request, arrived.from);
    } catch (error) {
      // A question that fails, or a name that no reply can hold, concerns one machine; the others still have to boot.
      this.fault(error, arrived.from);
    }
  }

  private read({ datagram, from }: Arrived<Source>): DhcpPacket | undefined {
    try {
      return decodePacket(datagram);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.count('garbage');
      this.logBounded('warn', 'dhcp.garbage', { from: `${from.address}:${from.port}`, bytes: datagram.length, code: error.code, detail: error.message });
      return undefined;
    }
  }

  private handle(request: DhcpPacket, source: Source): void {
    const { address, questions, leases, clock } = this.options;
    const context: DhcpContext = { server: address, names: this.names, questions, leases, now: clock.now(), port: source.port67 ? 67 : 4011 };
    const reply = answer(request, context);
    if (reply.kind === 'silence') {
      this.tell(reply.exchange, undefined);
      return;
    }
    const outgoing: Outgoing = { reply, bytes: encodePacket(reply.packet), source };
    const client = request.chaddr.toString('latin1');
    if (!reply.commits && !this.held.has(client)) this.send(outgoing);
    else if (!this.held.add(client, outgoing)) this.overload(1);
  }

  private send({ reply, bytes, source }: Outgoing): void {
    const { packet, route, exchange } = reply;
    const { address, clientPort = 68 } = this.options;
    const { requests, frames } = this.doors;
    const delivery = deliver(bytes, packet, route, source, { server: address, serverPort: this.serverPort, clientPort, frames });
    if (delivery.kind === 'datagram') {
      const { to } = delivery;
      (route.kind === 'source' ? source.socket : requests).send(bytes, to.port, to.address, (error) => {
        if (error !== null) this.sendFailed(to, exchange, error);
      });
    }
    this.tell(exchange, delivery.kind === 'sent' ? route.kind : delivery.route);
  }

  private tell(exchange: DhcpExchange, route: Route['kind'] | undefined): void {
    this.count(exchange.event);
    const isStranger = exchange.event === 'dhcp.ignore' || exchange.event === 'dhcp.other-server';
    const now = this.options.clock.now();
    const { allowed, suppressed, next } = spend(isStranger ? this.strangerLines : this.exchangeLines, now);
    if (isStranger) this.strangerLines = next;
    else this.exchangeLines = next;
    if (allowed) {
      const fields = exchangeFields(exchange, route);
      this.options.log(exchangeLevel(exchange), exchange.event, suppressed === 0 ? fields : { ...fields, suppressed });
    }
    this.options.observe?.(exchange);
  }

  /** For what strangers can cause at will. */
  private logBounded(level: Level, event: string, fields: Fields): void {
    const { allowed, suppressed, next } = spend(this.strangerLines, this.options.clock.now());
    this.strangerLines = next;
    if (allowed) this.options.log(level, event, suppressed === 0 ? fields : { ...fields, suppressed });
  }

  private sendFailed(to: Endpoint, exchange: DhcpExchange, error: Error): void {
    this.count('send-failed');
    this.logBounded('warn', 'dhcp.send-failed', { to: `${to.address}:${to.port}`, mac: exchange.mac, reason: systemCode(error) ?? sentence(error) });
  }

  private unkept(replies: readonly Outgoing[], error: unknown): void {
    this.count('unkept', replies.length);
    const hint = error instanceof FarmError ? error.hint : undefined;
    this.logBounded('error', 'dhcp.unkept', { replies: replies.length, reason: sentence(error), hint });
  }

  private fault(error: unknown, from?: Endpoint): void {
    this.count('fault');
    this.logBounded('error', 'dhcp.fault', { from: from === undefined ? undefined : `${from.address}:${from.port}`, detail: sentence(error) });
  }

  private overload(dropped: number): void {
    this.count('overload', dropped);
    this.turnedAway += dropped;
    if (this.overloadTimer === undefined) this.tellOverload();
  }

  private tellOverload(): void {
    const { turnedAway: dropped } = this;
    this.turnedAway = 0;
    this.overloadTimer = undefined;
    if (dropped === 0) return;
    this.options.log('warn', 'dhcp.overload', { dropped, waiting: this.intake.size });
    this.overloadTimer = setTimeout(() => this.tellOverload(), overloadReport).unref();
  }
}
