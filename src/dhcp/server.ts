// The DHCP and BOOTP service on one UDP socket: datagram -> packet -> answer -> datagram, counted and logged (RFC 2131, RFC 951).
import type { Socket } from 'node:dgram';
import { hostname } from 'node:os';
import { type Ipv4, ipv4Any, ipv4Broadcast } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { openUdp } from '../base/datagrams.ts';
import { sentence, systemCode, WireError } from '../base/errors.ts';
import type { Fields, Level, Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import { answer, type DhcpContext, type DhcpExchange } from './answer.ts';
import { fullBudget, spend } from './budget.ts';
import { optionName } from './options.ts';
import { type DhcpPacket, decodePacket, encodePacket } from './packet.ts';
import type { DhcpQuestions } from './questions.ts';
import type { Route } from './route.ts';

export interface DhcpServerOptions {
  /** The server's address on the network it serves: the server identifier (54). */
  readonly address: Ipv4;
  /** The only interface to hear and speak on. Without it the routing table decides where a broadcast leaves. */
  readonly interface?: string;
  /** By default 67; relay agents listen on the same number. */
  readonly port?: number;
  /** By default 68. */
  readonly clientPort?: number;
  readonly questions: DhcpQuestions;
  readonly log: Log;
  /** Told of every datagram that could be read, answered or not; unknown machines are seen here. */
  readonly observe?: (exchange: DhcpExchange) => void;
  readonly clock: Clock;
}

export interface DhcpService extends Service {
  /** How often each event happened since the start: `received`, `garbage`, `send-failed`, `fault` and the exchanges' (`dhcp.offer`, ...). */
  counters(): ReadonlyMap<string, number>;
}

/** Binds 0.0.0.0: broadcasts reach no socket bound to a unicast address. Throws the `FarmError`s of `openUdp`. */
export async function startDhcpServer(options: DhcpServerOptions): Promise<DhcpService> {
  const { interface: name, port = 67 } = options;
  const socket = await openUdp({ address: ipv4Any, port, broadcast: true, ...(name === undefined ? {} : { interface: name }) });
  const counters = serve(socket, socket.address().port, options);
  let closed: Promise<void> | undefined;
  return {
    name: 'dhcp',
    sockets: [`udp ${ipv4Any}:${socket.address().port}${name === undefined ? '' : ` on ${name}`}`],
    counters: () => new Map(counters),
    close: () => {
      closed ??= new Promise((resolve) => socket.close(() => resolve()));
      return closed;
    },
  };
}

function serve(socket: Socket, port: number, options: DhcpServerOptions): Map<string, number> {
  const { address, clientPort = 68, questions, log, observe, clock } = options;
  const machine = hostname().toLowerCase();
  const context: DhcpContext = { server: address, names: [machine, machine.split('.')[0] ?? machine], questions };
  const counters = new Map<string, number>();
  const count = (what: string) => counters.set(what, (counters.get(what) ?? 0) + 1);

  let budget = fullBudget(clock.now());
  /** For what strangers can cause at will. */
  const logBounded = (level: Level, event: string, fields: Fields) => {
    const { allowed, suppressed, next } = spend(budget, clock.now());
    budget = next;
    if (allowed) log(level, event, suppressed === 0 ? fields : { ...fields, suppressed });
  };

  const handle = (request: DhcpPacket) => {
    const reply = answer(request, context);
    const { exchange } = reply;
    count(exchange.event);
    const line = reply.kind === 'reply' ? { ...exchangeFields(exchange), route: reply.route.kind } : exchangeFields(exchange);
    const write = exchange.event === 'dhcp.ignore' ? logBounded : log;
    write(exchangeLevel(exchange), exchange.event, line);
    if (reply.kind === 'reply') {
      const to = destination(reply.route, port, clientPort);
      socket.send(encodePacket(reply.packet), to.port, to.address, (error) => {
        if (error === null) return;
        count('send-failed');
        logBounded('warn', 'dhcp.send-failed', { to: `${to.address}:${to.port}`, mac: exchange.mac, reason: systemCode(error) ?? sentence(error) });
      });
    }
    observe?.(exchange);
  };

  const read = (datagram: Buffer, from: string): DhcpPacket | undefined => {
    try {
      return decodePacket(datagram);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      count('garbage');
      logBounded('warn', 'dhcp.garbage', { from, bytes: datagram.length, code: error.code, detail: error.message });
      return undefined;
    }
  };

  socket.on('message', (datagram, peer) => {
    const from = `${peer.address}:${peer.port}`;
    count('received');
    try {
      const request = read(datagram, from);
      if (request !== undefined) handle(request);
    } catch (error) {
      // A question that fails, or a name that no reply can hold, concerns one machine; the others still have to boot.
      count('fault');
      logBounded('error', 'dhcp.fault', { from, detail: sentence(error) });
    }
  });
  socket.on('error', (error) => {
    count('fault');
    logBounded('error', 'dhcp.fault', { detail: sentence(error) });
  });
  return counters;
}

function destination(route: Route, port: number, clientPort: number): { readonly address: Ipv4; readonly port: number } {
  switch (route.kind) {
    case 'relay':
      return { address: route.address, port };
    case 'unicast':
      return { address: route.address, port: clientPort };
    case 'broadcast':
    case 'unconfigured':
      return { address: ipv4Broadcast, port: clientPort };
  }
}

function exchangeLevel(exchange: DhcpExchange): Level {
  if (exchange.event === 'dhcp.nak' || exchange.event === 'dhcp.decline') return 'warn';
  if (exchange.event !== 'dhcp.ignore') return 'info';
  return exchange.reason === 'not-a-request' ? 'debug' : 'info';
}

function exchangeFields(exchange: DhcpExchange): Fields {
  const { client, host } = exchange;
  return {
    mac: exchange.mac,
    node: host?.name,
    address: exchange.address,
    asked: exchange.asked,
    client: `${client.firmware}/${client.loader}${client.http ? '/http' : ''}`,
    file: exchange.file,
    relay: exchange.relay,
    reason: exchange.reason,
    detail: exchange.detail,
    omitted: exchange.omitted?.map(optionName).join(' '),
  };
}
