// What a reply says: RFC 2131 table 3 and section 4.3.1, RFC 951 and RFC 1497 for BOOTP, PXE 2.1 section 2.2, UEFI 2.10 section 24.7 (HTTP boot).
import { type Ipv4, ipv4Any } from '../base/addresses.ts';
import { basket, copyOption, put, roomFor } from './basket.ts';
import { fileField, putBootOptions, usableName } from './boot-options.ts';
import { type HostFacts, type HostOptions, hostOptions } from './host-options.ts';
import { addressesValue, type Options, option, textValue, u8Value, u32Value } from './options.ts';
import { broadcastFlag, type DhcpPacket } from './packet.ts';
import { type BootClient, etherbootMagic } from './pxe.ts';
import type { BootFile, DhcpHost } from './questions.ts';

/** Everything a reply is made of. */
export interface Terms {
  readonly request: DhcpPacket;
  readonly client: BootClient;
  readonly host: DhcpHost;
  /** The same as `host`, or its pool's host: what the bytes of the network are kept by. */
  readonly facts: HostFacts;
  readonly bootFile: BootFile | undefined;
  /** Our address: the server identifier. */
  readonly server: Ipv4;
  /** Whether this is the ACK to a DISCOVER with option 80 (RFC 4039). */
  readonly rapid: boolean;
}

export interface Reply {
  readonly packet: DhcpPacket;
  /** Codes of options that were due and for which the client has no room. */
  readonly omitted: readonly number[];
}

/** `inform` is the ACK to an INFORM: no address and no lease in it (RFC 2131 4.3.5). */
export type LeaseReplyKind = 'offer' | 'ack' | 'inform' | 'bootp';

export const offerValue: Buffer = u8Value(2);
export const ackValue: Buffer = u8Value(5);
const nakValue = u8Value(6);

const infinite = 0xffffffff;
const empty = Buffer.alloc(0);
const noOptions: Options = new Map();

/** The order in which options go to a client that does not say what it wants; also BOOTP's, where 64 bytes have to do. */
const defaultWishes: readonly number[] = [
  option.routers,
  option.hostName,
  option.nameServers,
  option.domainName,
  option.rootPath,
  option.renewalTime,
  option.rebindingTime,
  option.broadcastAddress,
  option.tftpServerName,
  option.bootFileName,
];

export function composeReply(kind: LeaseReplyKind, terms: Terms): Reply {
  const { request, client, host, bootFile } = terms;
  const { options, omitted } = kind === 'bootp' && !request.cookie ? { options: noOptions, omitted: [] } : chosenOptions(kind, terms);
  return {
    omitted,
    packet: {
      ...echoed(request),
      ciaddr: kind === 'offer' ? ipv4Any : request.ciaddr,
      yiaddr: kind === 'inform' ? ipv4Any : host.address,
      siaddr: bootFile?.kind === 'tftp' ? bootFile.server : host.server,
      file: fileField(usableName(client, bootFile)),
      // RFC 951 leaves the vendor area to the client's cookie: one that sends none reads no options.
      cookie: kind !== 'bootp' || request.cookie,
      options,
    },
  };
}

/** Tells a client that the address it wants is not its own; `why` is for people (option 56). */
export function composeNak(request: DhcpPacket, server: Ipv4, why: string): Reply {
  const options = new Map<number, Buffer>([
    [option.messageType, nakValue],
    [option.serverIdentifier, addressesValue([server])],
  ]);
  copyOption(options, request.options, option.relayAgentInformation);
  const into = basket(options, roomFor(request));
  put(into, option.message, textValue(why));
  put(into, option.clientIdentifier, request.options.get(option.clientIdentifier));
  const relayed = request.giaddr !== ipv4Any;
  return {
    omitted: into.omitted,
    // RFC 2131 4.3.2: the relay must broadcast it, because the client may not own the address it would be sent to.
    packet: { ...echoed(request), flags: relayed ? request.flags | broadcastFlag : request.flags, options },
  };
}

/** The fields that come back as they were. `hops` too, against table 3: relays look at it, and dnsmasq, Kea and ISC keep it. */
export function echoed(request: DhcpPacket): DhcpPacket {
  const { htype, hops, xid, flags, giaddr, chaddr } = request;
  return {
    op: 'reply',
    htype,
    hops,
    xid,
    secs: 0,
    flags,
    ciaddr: ipv4Any,
    yiaddr: ipv4Any,
    siaddr: ipv4Any,
    giaddr,
    chaddr,
    sname: '',
    file: '',
    cookie: true,
    vendor: empty,
    options: noOptions,
  };
}

function chosenOptions(kind: LeaseReplyKind, terms: Terms): { options: Map<number, Buffer>; omitted: number[] } {
  const { request, server, rapid, facts } = terms;
  const known = hostOptions(facts);
  const options = new Map<number, Buffer>();
  const seconds = leaseTime(terms.host);
  if (kind !== 'bootp') {
    options.set(option.messageType, kind === 'offer' ? offerValue : ackValue);
    options.set(option.serverIdentifier, addressesValue([server]));
    if (kind !== 'inform') options.set(option.leaseTime, u32Value(seconds));
    if (rapid) options.set(option.rapidCommit, empty);
  }
  options.set(option.subnetMask, known.subnetMask);
  copyOption(options, request.options, option.relayAgentInformation); // RFC 3046 2.2: whatever the room, or the relay drops the reply
  copyOption(options, request.options, option.subnetSelection); // RFC 3011 2: a reply without it is not for this client

  const into = basket(options, roomFor(request));
  const name = usableName(terms.client, terms.bootFile);
  putBootOptions(into, request, terms.client, terms.bootFile, name);
  // RFC 6842: option 61 comes back, for clients behind one hardware address to know theirs.
  if (kind !== 'bootp') put(into, option.clientIdentifier, request.options.get(option.clientIdentifier));
  const due = (code: number) => wish(code, kind, terms, known, name, seconds);
  for (const code of known.always) put(into, code, due(code));
  // What the client asked for and we know, in its order (RFC 2132 9.8).
  const asked = request.options.get(option.parameterRequestList);
  for (const code of asked ?? defaultWishes) put(into, code, due(code));
  if (asked === undefined) for (const code of known.custom) put(into, code, due(code));
  return into;
}

/** Option 51: seconds, all ones for a lease without end. */
function leaseTime(host: DhcpHost): number {
  return Math.max(1, Math.min(Math.floor(host.leaseSeconds), infinite));
}

function wish(code: number, kind: LeaseReplyKind, terms: Terms, known: HostOptions, name: Buffer | undefined, seconds: number): Buffer | undefined {
  const { host, client, bootFile } = terms;
  const custom = known.values.get(code);
  switch (code) {
    case option.hostName:
      return host.name === undefined ? undefined : textValue(host.name);
    case option.renewalTime:
    case option.rebindingTime:
      if (seconds === infinite || kind === 'inform' || kind === 'bootp') return undefined;
      // RFC 2131 4.4.5: a half and seven eighths of the lease.
      return custom ?? u32Value(Math.floor(code === option.renewalTime ? seconds / 2 : (seconds * 7) / 8));
    case option.etherbootMagic:
      return client.loader === 'etherboot' ? etherbootMagic : custom;
    case option.tftpServerName:
    case option.bootFileName:
      // RFC 1497 has neither: a BOOTP client reads the header.
      if (kind === 'bootp') return undefined;
      // The farm's own pair or the configuration's, never one of each.
      if (name === undefined || bootFile === undefined) return custom;
      if (code === option.bootFileName) return name;
      return bootFile.kind === 'tftp' ? textValue(bootFile.server) : undefined;
    default:
      return custom;
  }
}
