// What the DHCP fuzzers do with one datagram: decode, answer as several farms, encode. Any error but a WireError, and any reply that its client has no
// room for, is thrown.
import { ipv4, ipv4Any, ipv4FromBytes } from '../../src/base/addresses.ts';
import { WireError } from '../../src/base/errors.ts';
import { answer, type DhcpContext } from '../../src/dhcp/answer.ts';
import { roomFor } from '../../src/dhcp/basket.ts';
import { parseCustomOption } from '../../src/dhcp/custom-options.ts';
import { option } from '../../src/dhcp/options.ts';
import { type DhcpPacket, decodePacket, encodePacket, optionLength } from '../../src/dhcp/packet.ts';
import type { BootFile, DhcpHost, Leases, Pool } from '../../src/dhcp/questions.ts';

const server = ipv4('10.11.0.1');
const options = [
  parseCustomOption('ntp-servers', { value: ['10.11.0.1'], always: true }),
  parseCustomOption('252', 'x'.repeat(300)),
  parseCustomOption('t1', 5),
];
const network = {
  subnet: { address: server, prefix: 24 },
  server,
  routers: [server],
  nameServers: [server],
  domain: 'farm.test',
  rootPath: '10.11.0.1:/srv/root',
  options: [],
};
const node: DhcpHost = { ...network, name: 'n1', address: ipv4('10.11.0.7'), leaseSeconds: Number.POSITIVE_INFINITY };
const wordy: DhcpHost = { ...node, leaseSeconds: 60, rootPath: 'r'.repeat(300), domain: 'd'.repeat(300), options };
const pool: Pool = {
  name: 'p',
  first: server,
  last: server,
  ...{ subnet: network.subnet },
  leaseSeconds: 60,
  isReserved: (address) => address === node.address,
  host: network,
};

/** Says yes to everything but one in some claims. */
const leases: Leases = {
  offer: ({ key, wanted }) => (key.endsWith('f') ? { kind: 'full', why: 'f' } : { kind: 'address', address: wanted ?? ipv4('10.11.0.99'), seconds: 60 }),
  request: ({ key, address }) => (key.endsWith('f') ? { kind: 'refused', why: 'w' } : { kind: 'granted', address, seconds: 60 }),
  release: () => true,
  decline: () => true,
  overheard: () => {},
};

const tftp: BootFile = { kind: 'tftp', server, file: 'undionly.kpxe' };
const url: BootFile = { kind: 'url', url: `http://10.11.0.1/${'u'.repeat(200)}` };

function farm(host: DhcpHost | undefined, bootFile: BootFile | undefined, mode: 'full' | 'proxy', port: 67 | 4011): DhcpContext {
  return {
    server,
    names: ['head'],
    now: 0,
    port,
    leases,
    questions: { place: () => (host === undefined ? { kind: 'pool', pool } : { kind: 'host', host }), bootFile: () => bootFile, mode: () => mode },
  };
}

export const fuzzFarms: readonly DhcpContext[] = [
  farm(node, undefined, 'full', 67),
  farm(node, tftp, 'full', 67),
  farm(wordy, tftp, 'full', 67),
  farm(wordy, url, 'full', 67),
  farm(undefined, undefined, 'full', 67),
  farm(undefined, tftp, 'full', 67),
  farm(node, url, 'proxy', 67),
  farm(undefined, tftp, 'proxy', 67),
  farm(node, tftp, 'proxy', 4011),
];

export type FuzzVerdict = 'unreadable' | 'silence' | 'reply';

/** A datagram against one farm. */
export function fuzzOnce(datagram: Buffer, context: DhcpContext): FuzzVerdict {
  let request: DhcpPacket;
  try {
    request = decodePacket(datagram);
  } catch (error) {
    if (error instanceof WireError) return 'unreadable';
    throw error;
  }
  // In the place of the server that the client chose: captures come from several.
  const chosen = request.options.get(option.serverIdentifier);
  const said = answer(request, chosen?.length === 4 ? { ...context, server: ipv4FromBytes(chosen) } : context);
  if (said.kind === 'silence') return 'silence';
  const bytes = encodePacket(said.packet);
  const relayed = request.options.get(option.relayAgentInformation);
  // RFC 3046 2.2: option 82 goes back whatever the room.
  const most = Math.max(300, roomFor(request)) + (relayed === undefined ? 0 : optionLength(relayed));
  if (bytes.length > most) throw new Error(`a reply of ${bytes.length} bytes to a client that takes ${most}: ${datagram.toString('hex')}`);
  if (bytes.readUInt32BE(4) !== request.xid || bytes[0] !== 2) throw new Error(`a reply to nobody: ${datagram.toString('hex')}`);
  const { kind } = said.route;
  if (kind === 'unconfigured' && said.packet.yiaddr === ipv4Any) throw new Error(`a reply to no address: ${datagram.toString('hex')}`);
  return 'reply';
}
