// What is said to a datagram, or why nothing: RFC 2131 section 4.3 for a server of fixed addresses, RFC 951 for BOOTP.
import { type Ipv4, inNetwork, ipv4Any, type Mac, macFromBytes } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';
import { messageTypes, option, readAddress, readU8 } from './options.ts';
import type { DhcpPacket } from './packet.ts';
import { type BootClient, bootClient } from './pxe.ts';
import type { DhcpHost, DhcpQuestions } from './questions.ts';
import { composeNak, composeReply, type Terms, usableFile } from './reply.ts';
import { type Route, replyRoute } from './route.ts';

export interface DhcpContext {
  /** Our address on the network that the datagram came from: the server identifier (54). */
  readonly server: Ipv4;
  /** Names that a BOOTP request may call us by in `sname` (RFC 951 section 7.3). */
  readonly names: readonly string[];
  readonly questions: DhcpQuestions;
}

/** Why a datagram got no reply, or a NAK. */
type DhcpReason =
  /** Not from a client: another server's reply, or a message type that servers send. */
  | 'not-a-request'
  /** No Ethernet address in it, or one that no card has. */
  | 'no-mac'
  /** Nobody has registered this MAC address. */
  | 'unknown-machine'
  /** The client takes another server's offer, or calls another by name. */
  | 'other-server'
  /** The machine's address is of another network than the one it asks from. */
  | 'wrong-network'
  /** It wants to use an address that is not its own. */
  | 'wrong-address'
  /** It says of no address that it wants it, or of one that cannot be. */
  | 'no-address'
  /** An option is not what its RFC says. */
  | 'malformed';

/** One exchange in the field's words, for the log and for who watches. */
export interface DhcpExchange {
  readonly event: 'dhcp.offer' | 'dhcp.ack' | 'dhcp.nak' | 'dhcp.inform' | 'bootp.reply' | 'dhcp.decline' | 'dhcp.release' | 'dhcp.ignore';
  /** What was asked: `DISCOVER`, `REQUEST`, ..., `BOOTP`. */
  readonly asked: string;
  readonly client: BootClient;
  readonly mac?: Mac;
  readonly relay?: Ipv4;
  readonly host?: DhcpHost;
  /** The address given, refused, declined or released. */
  readonly address?: Ipv4;
  /** The boot file's name or URL. */
  readonly file?: string;
  readonly reason?: DhcpReason;
  /** A clause for people. */
  readonly detail?: string;
  /** Options that were due and did not fit into the client's message size. */
  readonly omitted?: readonly number[];
}

export type DhcpAnswer =
  | { readonly kind: 'reply'; readonly packet: DhcpPacket; readonly route: Route; readonly exchange: DhcpExchange }
  | { readonly kind: 'silence'; readonly exchange: DhcpExchange };

/** What is known of the asker before anything is decided. */
interface Asked {
  readonly request: DhcpPacket;
  readonly context: DhcpContext;
  readonly client: BootClient;
  readonly asked: string;
  readonly mac?: Mac;
  readonly relay?: Ipv4;
}

/** Pure, and never throws, whatever the datagram, as long as the questions do not. */
export function answer(request: DhcpPacket, context: DhcpContext): DhcpAnswer {
  const client = bootClient(request);
  const mac = macOf(request);
  const type = request.options.get(option.messageType);
  const asked: Asked = {
    request,
    context,
    client,
    asked: type === undefined ? 'BOOTP' : messageTypes[type[0] ?? 0] || `type ${type.toString('hex')}`,
    ...(mac === undefined ? {} : { mac }),
    ...(request.giaddr === ipv4Any ? {} : { relay: request.giaddr }),
  };
  try {
    return decide(asked);
  } catch (error) {
    if (error instanceof WireError) return ignore(asked, 'malformed', error.message);
    throw error;
  }
}

/** Ethernet (1) and IEEE 802 (6) only. Zero and group addresses belong to no card; some broken ROMs send them. */
function macOf(request: DhcpPacket): Mac | undefined {
  const { htype, chaddr } = request;
  if ((htype !== 1 && htype !== 6) || chaddr.length !== 6) return undefined;
  const isGroup = ((chaddr[0] ?? 0) & 1) === 1;
  return isGroup || chaddr.every((byte) => byte === 0) ? undefined : macFromBytes(chaddr);
}

function ignore(asked: Asked, reason: DhcpReason, detail: string, host?: DhcpHost): DhcpAnswer {
  return { kind: 'silence', exchange: exchange('dhcp.ignore', asked, { reason, detail, ...(host === undefined ? {} : { host }) }) };
}

function exchange(event: DhcpExchange['event'], { asked, client, mac, relay }: Asked, more: Partial<DhcpExchange>): DhcpExchange {
  return { event, asked, client, ...(mac === undefined ? {} : { mac }), ...(relay === undefined ? {} : { relay }), ...more };
}

function decide(asked: Asked): DhcpAnswer {
  const { request, context, client, mac, relay } = asked;
  if (request.op !== 'request') return ignore(asked, 'not-a-request', 'it is a reply');
  if (mac === undefined) {
    return ignore(asked, 'no-mac', `hardware type ${request.htype}, address ${request.chaddr.toString('hex') || 'empty'}`);
  }
  const named = readAddress(request.options, option.serverIdentifier);
  if (named !== undefined && named !== context.server) return ignore(asked, 'other-server', `it chose ${named}`);
  const host = context.questions.host({
    mac,
    ...(relay === undefined ? {} : { relay }),
    ...(client.uuid === undefined ? {} : { uuid: client.uuid }),
  });
  if (host === undefined) return ignore(asked, 'unknown-machine', `no node has the MAC address ${mac}`);
  const type = readU8(request.options, option.messageType);
  switch (type === undefined ? 'BOOTP' : messageTypes[type]) {
    case 'BOOTP':
      return onBootp(asked, host);
    case 'DISCOVER':
      return misplaced(asked, host) ?? give('offer', asked, host);
    case 'REQUEST':
      return onRequest(asked, host, named !== undefined);
    case 'INFORM':
      return onInform(asked, host);
    case 'DECLINE':
      // With fixed addresses there is no other to give: somebody has to find the machine that uses it too.
      return heard('dhcp.decline', asked, host, readAddress(request.options, option.requestedAddress));
    case 'RELEASE':
      return heard('dhcp.release', asked, host, request.ciaddr);
    default:
      return ignore(asked, 'not-a-request', `message ${asked.asked} is not for a server`, host);
  }
}

function heard(event: 'dhcp.decline' | 'dhcp.release', asked: Asked, host: DhcpHost, address: Ipv4 | undefined): DhcpAnswer {
  return { kind: 'silence', exchange: exchange(event, asked, { host, ...(address === undefined ? {} : { address }) }) };
}

/** Silence if the client is on another network than its address: there the address would be of no use. */
function misplaced(asked: Asked, host: DhcpHost): DhcpAnswer | undefined {
  return isMisplaced(asked, host) ? ignore(asked, 'wrong-network', whereabouts(asked, host), host) : undefined;
}

function isMisplaced({ relay, context }: Asked, host: DhcpHost): boolean {
  return !inNetwork(host.subnet, relay ?? context.server);
}

function whereabouts({ relay, context }: Asked, host: DhcpHost): string {
  return `${host.name} has ${host.address}/${host.subnet.prefix} but asks from the network of ${relay ?? context.server}`;
}

function onBootp(asked: Asked, host: DhcpHost): DhcpAnswer {
  const { sname } = asked.request;
  const { server, names } = asked.context;
  if (sname !== '' && sname !== server && !names.includes(sname.toLowerCase())) return ignore(asked, 'other-server', `it calls ${JSON.stringify(sname)}`, host);
  return misplaced(asked, host) ?? give('bootp', asked, host);
}

/** RFC 2131 4.3.2: the four states in which a client sends REQUEST, told apart by options 50 and 54 and by ciaddr. */
function onRequest(asked: Asked, host: DhcpHost, isSelecting: boolean): DhcpAnswer {
  const { request } = asked;
  const requested = readAddress(request.options, option.requestedAddress);
  // RENEWING and REBINDING may come straight through a router, without giaddr: from which network is then unknown.
  const isBound = !isSelecting && request.ciaddr !== ipv4Any;
  const address = isBound ? request.ciaddr : requested;
  if (address === undefined || address === ipv4Any) return ignore(asked, 'no-address', 'a REQUEST with neither option 50 nor ciaddr', host);
  if (address !== host.address) return refuse(asked, host, address, 'wrong-address', `${host.name} has ${host.address}, not ${address}`);
  if (!isBound && isMisplaced(asked, host)) return refuse(asked, host, address, 'wrong-network', whereabouts(asked, host));
  return give('ack', asked, host);
}

/** RFC 2131 4.3.5: the client has its address from elsewhere. It is told only at an address of its own network. */
function onInform(asked: Asked, host: DhcpHost): DhcpAnswer {
  const { ciaddr } = asked.request;
  if (ciaddr === ipv4Any || !inNetwork(host.subnet, ciaddr)) return ignore(asked, 'no-address', `an INFORM from ${ciaddr}`, host);
  return give('inform', asked, host);
}

const replyEvents = { offer: 'dhcp.offer', ack: 'dhcp.ack', inform: 'dhcp.inform', bootp: 'bootp.reply' } as const;

function give(kind: keyof typeof replyEvents, asked: Asked, host: DhcpHost): DhcpAnswer {
  const { request, context, client } = asked;
  const bootFile = context.questions.bootFile(client, host);
  const terms: Terms = { request, client, host, bootFile, server: context.server };
  const { packet, omitted } = composeReply(kind, terms);
  const file = usableFile(client, bootFile);
  const isUnusable = bootFile !== undefined && file === undefined;
  return {
    kind: 'reply',
    packet,
    route: replyRoute(request, kind, packet.yiaddr),
    exchange: exchange(replyEvents[kind], asked, {
      host,
      address: kind === 'inform' ? request.ciaddr : host.address,
      ...(file === undefined ? {} : { file }),
      ...(isUnusable ? { detail: 'its boot file needs TFTP, and UEFI HTTP boot has none: it gets an address only' } : {}),
      ...(omitted.length === 0 ? {} : { omitted }),
    }),
  };
}

function refuse(asked: Asked, host: DhcpHost, address: Ipv4, reason: DhcpReason, detail: string): DhcpAnswer {
  const { packet } = composeNak(asked.request, asked.context.server, detail);
  return {
    kind: 'reply',
    packet,
    route: replyRoute(asked.request, 'nak', ipv4Any),
    exchange: exchange('dhcp.nak', asked, { host, address, reason, detail }),
  };
}
