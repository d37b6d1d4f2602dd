// What is said to a datagram, or why nothing: RFC 2131 section 4.3, RFC 951 for BOOTP, RFC 4039 rapid commit, PXE 2.1 for proxies.
import { type Ipv4, inNetwork, ipv4Any } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';
import { askedBy, askerOf, claimOf, linkOf, macOf } from './asker.ts';
import { onBootServer, onProxy } from './boot-answers.ts';
import { type Asked, type DhcpAnswer, type DhcpContext, exchange, ignore, type Located } from './exchange.ts';
import { messageTypes, option, readAddress, readU8 } from './options.ts';
import type { DhcpPacket } from './packet.ts';
import { bootpInPool, discoverInPool, requestInPool } from './pool-answers.ts';
import { bootClient } from './pxe.ts';
import type { DhcpAsker, DhcpHost, Placement } from './questions.ts';
import { relayInformation } from './relay.ts';
import { give, poolHost, refuse } from './replies.ts';
import { wantedBy } from './requested.ts';

export type { DhcpAnswer, DhcpContext, DhcpExchange } from './exchange.ts';

/** Pure but for the leases it is handed, and never throws, whatever the datagram, as long as the questions do not. */
export function answer(request: DhcpPacket, context: DhcpContext): DhcpAnswer {
  const asked: Asked = { request, context, client: bootClient(request), asked: askedBy(request), mac: macOf(request) };
  try {
    return locate(asked);
  } catch (error) {
    if (error instanceof WireError) return ignore(asked, 'malformed', error.message);
    throw error;
  }
}

/** Which of our networks it asks from, and what we are there. */
function locate(asked: Asked): DhcpAnswer {
  const { request, context } = asked;
  if (request.op !== 'request') return onReply(asked);
  const information = relayInformation(request);
  const link = linkOf(request, context, information.link);
  const { client, asked: what, mac } = asked;
  const located: Located = { request, context, client, asked: what, mac, information, link, self: information.signAs ?? context.server };
  const asker = askerOf(located);
  if (asker === undefined) return ignore(asked, 'no-mac', `hardware type ${request.htype}, address ${request.chaddr.toString('hex') || 'empty'}`);
  const mode = context.questions.mode(link);
  if (mode === 'off') return ignore(asked, 'off', `DHCP is off, or there is no network, at ${link}`);
  const type = readU8(request.options, option.messageType);
  const message = type === undefined ? 'BOOTP' : messageTypes[type];
  const named = readAddress(request.options, option.serverIdentifier);
  const isNamed = named === context.server || (named !== undefined && named === located.self);
  if (context.port === 4011) return named === undefined || isNamed ? onBootServer(located, asker, message) : ignore(asked, 'other-server', `it chose ${named}`);
  if (mode === 'proxy') return onProxy(located, asker, message);
  if (named !== undefined && !isNamed) return onOther(located, asker, message, named);
  return decide(located, asker, context.questions.place(asker), message, isNamed);
}

/** Another server's reply, as relays hear them. */
function onReply(asked: Asked): DhcpAnswer {
  const { request, context } = asked;
  const otherServer = readAddress(request.options, option.serverIdentifier);
  if (otherServer === undefined || otherServer === context.server || context.port !== 67) return ignore(asked, 'not-a-request', 'it is a reply');
  const more = { otherServer, address: request.yiaddr, reason: 'other-server', detail: `the DHCP server ${otherServer} answers here` } as const;
  return { kind: 'silence', exchange: exchange('dhcp.other-server', asked, more) };
}

/** The client takes another server's offer: to be mended if it could have had ours; a stranger on a network that has both is right to. */
function onOther(asked: Located, asker: DhcpAsker, message: string | undefined, otherServer: Ipv4): DhcpAnswer {
  const { request, context } = asked;
  const address = readAddress(request.options, option.requestedAddress);
  const chosen = `it chose ${otherServer}`;
  if (message !== 'REQUEST' || address === undefined) return ignore(asked, 'other-server', chosen);
  context.leases.overheard(address, otherServer, context.now);
  if (context.questions.place(asker).kind === 'nobody') return ignore(asked, 'other-server', chosen);
  const more = { address, otherServer, reason: 'other-server', detail: `it takes ${address} from the DHCP server ${otherServer}` } as const;
  return { kind: 'silence', exchange: exchange('dhcp.other-server', asked, more) };
}

function decide(asked: Located, asker: DhcpAsker, placement: Placement, message: string | undefined, isSelecting: boolean): DhcpAnswer {
  if (placement.kind === 'nobody') return ignore(asked, placement.reason, placement.detail);
  const host = placement.kind === 'host' ? placement.host : undefined;
  switch (message) {
    case 'BOOTP':
      return onBootp(asked, asker, placement);
    case 'DISCOVER':
      return placement.kind === 'host' ? onDiscover(asked, placement.host) : discoverInPool(asked, asker, placement.pool);
    case 'REQUEST':
      return placement.kind === 'host' ? onRequest(asked, placement.host, isSelecting) : requestInPool(asked, asker, placement.pool, isSelecting);
    case 'INFORM':
      return onInform(asked, placement);
    case 'DECLINE':
      // With a fixed address there is no other to give: somebody has to find the machine that uses it too.
      return giveBack('dhcp.decline', asked, asker, placement, readAddress(asked.request.options, option.requestedAddress));
    case 'RELEASE':
      return giveBack('dhcp.release', asked, asker, placement, asked.request.ciaddr);
    default:
      return ignore(asked, 'not-a-request', `message ${asked.asked} is not for a server`, host);
  }
}

function onDiscover(asked: Located, host: DhcpHost): DhcpAnswer {
  if (isMisplaced(asked, host)) return ignore(asked, 'wrong-network', whereabouts(asked, host), host);
  return asked.request.options.has(option.rapidCommit) ? give('ack', asked, host, { rapid: true }) : give('offer', asked, host);
}

/** On another network than its address the machine could not use it. */
function isMisplaced({ link }: Located, host: DhcpHost): boolean {
  return link !== host.subnet.address && !inNetwork(host.subnet, link);
}

function whereabouts({ link }: Located, host: DhcpHost): string {
  return `${nameOf(host)} has ${host.address}/${host.subnet.prefix} but asks from the network of ${link}`;
}

function nameOf(host: DhcpHost): string {
  return host.name ?? 'it';
}

function onBootp(asked: Located, asker: DhcpAsker, placement: Exclude<Placement, { readonly kind: 'nobody' }>): DhcpAnswer {
  const { sname } = asked.request;
  const host = placement.kind === 'host' ? placement.host : undefined;
  const { server, names } = asked.context;
  if (sname !== '' && sname !== server && !names.includes(sname.toLowerCase())) return ignore(asked, 'other-server', `it calls ${JSON.stringify(sname)}`, host);
  if (placement.kind === 'pool') return bootpInPool(asked, asker, placement.pool);
  return isMisplaced(asked, placement.host) ? ignore(asked, 'wrong-network', whereabouts(asked, placement.host), host) : give('bootp', asked, placement.host);
}

function onRequest(asked: Located, host: DhcpHost, isSelecting: boolean): DhcpAnswer {
  const wanted = wantedBy(asked, isSelecting);
  if (wanted === undefined) return ignore(asked, 'no-address', 'a REQUEST with neither option 50 nor ciaddr', host);
  const { address, isBound } = wanted;
  if (address !== host.address) return refuse(asked, address, 'wrong-address', `${nameOf(host)} has ${host.address}, not ${address}`, host);
  if (!isBound && isMisplaced(asked, host)) return refuse(asked, address, 'wrong-network', whereabouts(asked, host), host);
  return give('ack', asked, host);
}

/** RFC 2131 4.3.5: the client has its address from elsewhere. It is told only at an address of its own network. */
function onInform(asked: Located, placement: Exclude<Placement, { readonly kind: 'nobody' }>): DhcpAnswer {
  const { ciaddr } = asked.request;
  const host = placement.kind === 'host' ? placement.host : poolHost(placement.pool, ciaddr, placement.pool.leaseSeconds);
  if (ciaddr === ipv4Any || !inNetwork(host.subnet, ciaddr)) return ignore(asked, 'no-address', `an INFORM from ${ciaddr}`, host);
  return give('inform', asked, host, placement.kind === 'pool' ? { pool: placement.pool } : {});
}

function giveBack(
  event: 'dhcp.decline' | 'dhcp.release',
  asked: Located,
  asker: DhcpAsker,
  placement: Exclude<Placement, { readonly kind: 'nobody' }>,
  address: Ipv4 | undefined,
): DhcpAnswer {
  const { request, context } = asked;
  const what = address === undefined ? {} : { address };
  if (placement.kind === 'host') return { kind: 'silence', exchange: exchange(event, asked, { host: placement.host, ...what }) };
  const claim = claimOf(request, asker, placement.pool);
  if (address === undefined || address === ipv4Any || claim === undefined) return ignore(asked, 'no-address', `a ${asked.asked} of no address`);
  const own =
    event === 'dhcp.decline' ? context.leases.decline({ ...claim, address }, context.now) : context.leases.release({ ...claim, address }, context.now);
  return own ? { kind: 'silence', exchange: exchange(event, asked, what) } : ignore(asked, 'no-lease', `${address} is not leased to it`);
}
