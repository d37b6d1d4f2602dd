// Requests and a farm of one node, for the tests of this folder.
import { type Ipv4, ipv4, ipv4Any, macBytes, parseMac } from '../../src/base/addresses.ts';
import type { DhcpContext } from '../../src/dhcp/answer.ts';
import { addressesValue, option, textValue, u8Value } from '../../src/dhcp/options.ts';
import type { DhcpPacket } from '../../src/dhcp/packet.ts';
import type { BootFile, DhcpHost, Leases, Placement } from '../../src/dhcp/questions.ts';

export const nodeMac = parseMac('52:54:00:12:34:56')!;
export const server = ipv4('10.11.0.1');

export const node: DhcpHost = {
  name: 'n1',
  address: ipv4('10.11.0.7'),
  subnet: { address: server, prefix: 24 },
  server,
  routers: [server],
  nameServers: [server, ipv4('10.11.0.2')],
  domain: 'farm.test',
  leaseSeconds: Number.POSITIVE_INFINITY,
  rootPath: '10.11.0.1:/srv/root',
  options: [],
};

export const kernelFile: BootFile = { kind: 'tftp', server, file: 'undionly.kpxe' };
export const scriptUrl: BootFile = { kind: 'url', url: 'http://10.11.0.1:8080/boot/n1.ipxe' };

/** Leases of a farm whose machines are all registered: nobody may ask for one. */
export const noLeases: Leases = {
  offer: () => ({ kind: 'full', why: 'there is no dynamic range' }),
  request: () => ({ kind: 'unknown' }),
  release: () => false,
  decline: () => false,
  overheard: () => {},
};

/** A farm that knows one machine and boots every client from `bootFile`; others are placed by `strangers`. */
export function farmOf(host: DhcpHost = node, bootFile: BootFile | undefined = undefined, strangers: Placement = stranger): DhcpContext {
  return {
    server,
    names: ['head'],
    questions: {
      place: (asker) => (asker.mac === nodeMac ? { kind: 'host', host } : strangers),
      bootFile: () => bootFile,
      mode: () => 'full',
    },
    leases: noLeases,
    now: 0,
    port: 67,
  };
}

const stranger: Placement = { kind: 'nobody', reason: 'unknown-machine', detail: 'nobody has registered it' };

export function request(options: readonly (readonly [number, Buffer])[], fields: Partial<DhcpPacket> = {}): DhcpPacket {
  return {
    op: 'request',
    htype: 1,
    hops: 0,
    xid: 0x2f43a0c5,
    secs: 4,
    flags: 0,
    ciaddr: ipv4Any,
    yiaddr: ipv4Any,
    siaddr: ipv4Any,
    giaddr: ipv4Any,
    chaddr: macBytes(nodeMac),
    sname: '',
    file: '',
    cookie: true,
    vendor: Buffer.alloc(0),
    options: new Map(options),
    ...fields,
  };
}

export const types = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const;

export function message(type: keyof typeof types, options: readonly (readonly [number, Buffer])[] = [], fields: Partial<DhcpPacket> = {}): DhcpPacket {
  return request([[option.messageType, u8Value(types[type])], ...options], fields);
}

export function requestedAddress(address: string): readonly [number, Buffer] {
  return [option.requestedAddress, addressesValue([ipv4(address)])];
}

export function serverIdentifier(address: string): readonly [number, Buffer] {
  return [option.serverIdentifier, addressesValue([ipv4(address)])];
}

/** The parameter request list. */
export function wants(...codes: number[]): readonly [number, Buffer] {
  return [option.parameterRequestList, Buffer.from(codes)];
}

export const pxeRom: readonly (readonly [number, Buffer])[] = [
  [option.vendorClass, textValue('PXEClient:Arch:00000:UNDI:002001')],
  [option.clientArchitecture, Buffer.from([0, 0])],
  [option.clientUuid, Buffer.from('0000112233445566778899aabbccddeeff', 'hex')],
];

export const efiRom: readonly (readonly [number, Buffer])[] = [
  [option.vendorClass, textValue('PXEClient:Arch:00007:UNDI:003000')],
  [option.clientArchitecture, Buffer.from([0, 7])],
];

export const httpRom: readonly (readonly [number, Buffer])[] = [
  [option.vendorClass, textValue('HTTPClient:Arch:00016:UNDI:003000')],
  [option.clientArchitecture, Buffer.from([0, 16])],
];

export function hostAt(address: Ipv4, prefix = 24): DhcpHost {
  return { ...node, address, subnet: { address, prefix } };
}
