// What a reply says: RFC 2131 table 3 and section 4.3.1, RFC 951 and RFC 1497 for BOOTP, PXE 2.1 section 2.2, UEFI 2.10 section 24.7 (HTTP boot).
import { broadcastAddress, type Ipv4, ipv4Any, netmask } from '../base/addresses.ts';
import { addressesValue, type Options, option, readU16, textValue, u8Value, u32Value } from './options.ts';
import { broadcastFlag, type DhcpPacket, datagramLength, longestFile, optionLength, shortestDatagram } from './packet.ts';
import { type BootClient, ipxeNoProxyTag } from './pxe.ts';
import type { BootFile, DhcpHost } from './questions.ts';

/** Everything a reply is made of. */
export interface Terms {
  readonly request: DhcpPacket;
  readonly client: BootClient;
  readonly host: DhcpHost;
  readonly bootFile: BootFile | undefined;
  /** Our address: the server identifier. */
  readonly server: Ipv4;
}

interface Reply {
  readonly packet: DhcpPacket;
  /** Codes of options that were due and for which the client has no room. */
  readonly omitted: readonly number[];
}

const offerType = 2;
const ackType = 5;
const nakType = 6;

const infinite = 0xffffffff;
/** IP and UDP headers, which option 57 counts and the datagram does not. */
const headers = 28;
/** RFC 2131 section 2: what every client takes. */
const leastMessageSize = 576;
/** One Ethernet frame: ROMs put no fragments together, though OVMF claims to take 65,280 bytes. */
const mostMessageSize = 1500;

/** PXE 2.1 table 2-1: PXE_DISCOVERY_CONTROL with bit 3, "boot the file named here, ask no boot server". Without it EDK2 asks port 4011. */
const bootThisFile = Buffer.from([6, 1, 8, 255]);
const noProxy = Buffer.from([ipxeNoProxyTag, 1, 1]);

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

/** `inform` is the ACK to an INFORM: no address and no lease in it (RFC 2131 4.3.5). */
export function composeReply(kind: 'offer' | 'ack' | 'inform' | 'bootp', terms: Terms): Reply {
  const { request, client, host, bootFile } = terms;
  const { options, omitted } = kind === 'bootp' && !request.cookie ? { options: new Map<number, Buffer>(), omitted: [] } : chosenOptions(kind, terms);
  return {
    omitted,
    packet: {
      ...echoed(request),
      ciaddr: kind === 'offer' ? ipv4Any : request.ciaddr,
      yiaddr: kind === 'inform' ? ipv4Any : host.address,
      siaddr: bootFile?.kind === 'tftp' ? bootFile.server : host.server,
      file: fileField(client, bootFile),
      // RFC 951 leaves the vendor area to the client's cookie: one that sends none reads no options.
      cookie: kind !== 'bootp' || request.cookie,
      options,
    },
  };
}

/** Tells a client that the address it wants is not its own; `why` is for people (option 56). */
export function composeNak(request: DhcpPacket, server: Ipv4, why: string): Reply {
  const options = new Map<number, Buffer>([
    [option.messageType, u8Value(nakType)],
    [option.serverIdentifier, addressesValue([server])],
    [option.message, textValue(why)],
  ]);
  copyOption(options, request.options, option.clientIdentifier);
  copyOption(options, request.options, option.relayAgentInformation);
  const relayed = request.giaddr !== ipv4Any;
  return {
    omitted: [],
    // RFC 2131 4.3.2: the relay must broadcast it, because the client may not own the address it would be sent to.
    packet: { ...echoed(request), flags: relayed ? request.flags | broadcastFlag : request.flags, ciaddr: ipv4Any, cookie: true, options },
  };
}

/** The fields that come back as they were. `hops` too, against table 3: relays look at it, and dnsmasq, Kea and ISC keep it. */
function echoed(request: DhcpPacket): DhcpPacket {
  return { ...request, op: 'reply', secs: 0, yiaddr: ipv4Any, siaddr: ipv4Any, sname: '', file: '', vendor: Buffer.alloc(0) };
}

function copyOption(to: Map<number, Buffer>, from: Options, code: number): void {
  const value = from.get(code);
  if (value !== undefined) to.set(code, value);
}

/** The header's name of the boot file. A name too long for it goes to option 67 alone. */
function fileField(client: BootClient, bootFile: BootFile | undefined): string {
  const name = usableName(client, bootFile);
  return name !== undefined && name.length <= longestFile ? name.toString('latin1') : '';
}

/** The boot file or URL that goes into the reply. An HTTP client cannot fetch by TFTP: told nothing, its firmware tries its next way to boot. */
export function usableFile(client: BootClient, bootFile: BootFile | undefined): string | undefined {
  if (bootFile?.kind === 'url') return bootFile.url;
  return client.http ? undefined : bootFile?.file;
}

function usableName(client: BootClient, bootFile: BootFile | undefined): Buffer | undefined {
  const file = usableFile(client, bootFile);
  return file === undefined ? undefined : textValue(file);
}

function chosenOptions(kind: 'offer' | 'ack' | 'inform' | 'bootp', terms: Terms): { options: Map<number, Buffer>; omitted: number[] } {
  const { request, host, server } = terms;
  const options = new Map<number, Buffer>();
  if (kind !== 'bootp') {
    options.set(option.messageType, u8Value(kind === 'offer' ? offerType : ackType));
    options.set(option.serverIdentifier, addressesValue([server]));
    if (kind !== 'inform') options.set(option.leaseTime, u32Value(leaseTime(host)));
  }
  options.set(option.subnetMask, addressesValue([netmask(host.subnet)]));
  copyOption(options, request.options, option.relayAgentInformation); // RFC 3046 2.2: whatever the room, or the relay drops the reply

  const room = roomFor(kind, request);
  const omitted: number[] = [];
  const offered = [...bootOptions(terms), ...(kind === 'bootp' ? [] : identityOptions(request)), ...wishes(kind, terms)];
  for (const [code, value] of offered) {
    if (options.has(code)) continue;
    if (datagramLength(options) + optionLength(value) <= room) options.set(code, value);
    else omitted.push(code);
  }
  return { options, omitted };
}

/** Bytes of datagram that the client takes. */
function roomFor(kind: 'offer' | 'ack' | 'inform' | 'bootp', request: DhcpPacket): number {
  if (kind === 'bootp') return shortestDatagram;
  const claimed = readU16(request.options, option.maximumMessageSize) ?? 0;
  return Math.min(Math.max(claimed, leastMessageSize), mostMessageSize) - headers;
}

/** Option 51: seconds, all ones for a lease without end. */
function leaseTime(host: DhcpHost): number {
  return Math.max(1, Math.min(Math.floor(host.leaseSeconds), infinite));
}

/** What makes the client's own kind of boot work; it does not have to ask for these. */
function bootOptions({ client, bootFile, request }: Terms): [number, Buffer][] {
  const found: [number, Buffer][] = [];
  const name = usableName(client, bootFile);
  if (client.loader === 'ipxe') found.push([option.ipxe, noProxy]);
  if (name === undefined || bootFile === undefined) return found;
  if (client.http) found.push([option.vendorClass, textValue('HTTPClient')]);
  else if (client.pxe && client.loader === 'rom') found.push([option.vendorClass, textValue('PXEClient')], [option.vendorSpecific, bootThisFile]);
  if (bootFile.kind === 'url' || name.length > longestFile) found.push([option.bootFileName, name]);
  // PXE 2.1 wants the UUID back from whoever names a boot file, all zeros included.
  const uuid = request.options.get(option.clientUuid);
  if (uuid !== undefined) found.push([option.clientUuid, uuid]);
  return found;
}

/** RFC 6842: option 61 comes back, for clients behind one hardware address to know theirs. */
function identityOptions(request: DhcpPacket): [number, Buffer][] {
  const identifier = request.options.get(option.clientIdentifier);
  return identifier === undefined ? [] : [[option.clientIdentifier, identifier]];
}

/** What the client asked for and we know, in its order (RFC 2132 9.8). */
function wishes(kind: 'offer' | 'ack' | 'inform' | 'bootp', terms: Terms): [number, Buffer][] {
  const asked = terms.request.options.get(option.parameterRequestList);
  const known = knowledge(kind, terms);
  return [...(asked ?? defaultWishes)].flatMap((code): [number, Buffer][] => {
    const value = known.get(code);
    return value === undefined ? [] : [[code, value]];
  });
}

function knowledge(kind: 'offer' | 'ack' | 'inform' | 'bootp', { client, host, bootFile }: Terms): Options {
  const known = new Map<number, Buffer>([
    [option.hostName, textValue(host.name)],
    [option.broadcastAddress, addressesValue([broadcastAddress(host.subnet)])],
  ]);
  if (host.routers.length > 0) known.set(option.routers, addressesValue(host.routers));
  if (host.nameServers.length > 0) known.set(option.nameServers, addressesValue(host.nameServers));
  if (host.domain !== undefined) known.set(option.domainName, textValue(host.domain));
  if (host.rootPath !== undefined) known.set(option.rootPath, textValue(host.rootPath));
  const seconds = leaseTime(host);
  if (seconds !== infinite && (kind === 'offer' || kind === 'ack')) {
    // RFC 2131 4.4.5: a half and seven eighths of the lease.
    known.set(option.renewalTime, u32Value(Math.floor(seconds / 2)));
    known.set(option.rebindingTime, u32Value(Math.floor((seconds * 7) / 8)));
  }
  const name = usableName(client, bootFile);
  // RFC 1497 has neither 66 nor 67: a BOOTP client reads the header.
  if (name === undefined || bootFile === undefined || kind === 'bootp') return known;
  if (bootFile.kind === 'tftp') known.set(option.tftpServerName, textValue(bootFile.server));
  known.set(option.bootFileName, name);
  return known;
}
