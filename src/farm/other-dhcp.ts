// Who else answers DHCP on a wire: one DISCOVER of a machine that does not exist, and the offers that come (RFC 2131 3.1). Takes no lease.
import { randomBytes } from 'node:crypto';
import type { Ipv4 } from '../base/addresses.ts';
import { ipv4, ipv4FromNumber, macBytes } from '../base/addresses.ts';
import { WireError } from '../base/errors.ts';
import { type FilterInstruction, openFrames } from '../base/frames.ts';
import { encodeUdpFrame } from '../dhcp/frame.ts';
import { messageTypes, option } from '../dhcp/options.ts';
import { broadcastFlag, type DhcpPacket, decodePacket, encodePacket } from '../dhcp/packet.ts';
import type { DhcpProbe } from './doctor.ts';

/** Servers look whether an address is in use before they offer it: ISC's for a second, Windows' for up to two. */
const patienceMilliseconds = 3000;
/** A DISCOVER may get lost as any datagram. */
const askAgainMilliseconds = 1000;

const etherTypeIpv4 = 0x0800;
const everybody = Buffer.alloc(6, 0xff);
const clientPort = 68;
const serverPort = 67;
/** Ethernet 14, IPv4 20 without options, UDP 8. */
const payloadAt = 42;
const addressAt = 26;

// UDP (byte 23 of the frame is 17) to port 68 (bytes 36 and 37), in IPv4 headers without options, as DHCP servers send them.
const offersOnly: readonly FilterInstruction[] = [
  [0x30, 0, 0, 23],
  [0x15, 0, 3, 17],
  [0x28, 0, 0, 36],
  [0x15, 0, 1, clientPort],
  [0x06, 0, 0, 0xffff],
  [0x06, 0, 0, 0],
];

/** Settles after three seconds with the addresses of all servers that offered something, ours among them if it did. */
export async function probeDhcp(card: string): Promise<DhcpProbe> {
  const servers = new Set<Ipv4>();
  const xid = randomBytes(4).readUInt32BE(0);
  const hardware = Buffer.concat([Buffer.of(0x02), randomBytes(5)]); // locally administered: nobody's card
  let lost: string | undefined;
  const door = openFrames({
    interface: card,
    etherType: etherTypeIpv4,
    filter: offersOnly,
    groups: [],
    onOpen: () => {},
    onLost: (error) => {
      lost ??= error.message;
    },
    onFrame: (frame) => {
      const packet = readOffer(frame);
      if (packet?.xid === xid) servers.add(serverOf(packet, frame));
    },
  });
  try {
    await door.tried;
    if (door.address === undefined) return { kind: 'unheard', why: lost ?? `${card} could not be opened` };
    const frame = discoverFrame(xid, hardware, macBytes(door.address));
    door.send(frame);
    await new Promise((resolve) => setTimeout(resolve, askAgainMilliseconds));
    door.send(frame);
    await new Promise((resolve) => setTimeout(resolve, patienceMilliseconds - askAgainMilliseconds));
    return { kind: 'heard', servers: [...servers] };
  } finally {
    await door.close();
  }
}

function discoverFrame(xid: number, hardware: Buffer, from: Buffer): Buffer {
  const zero = ipv4('0.0.0.0');
  const packet: DhcpPacket = {
    op: 'request',
    htype: 1,
    hops: 0,
    xid,
    secs: 0,
    flags: broadcastFlag,
    ciaddr: zero,
    yiaddr: zero,
    siaddr: zero,
    giaddr: zero,
    chaddr: hardware,
    sname: '',
    file: '',
    cookie: true,
    vendor: Buffer.alloc(0),
    options: new Map([
      [option.messageType, Buffer.of(messageTypes.indexOf('DISCOVER'))],
      [option.parameterRequestList, Buffer.of(option.subnetMask, option.routers)],
    ]),
  };
  const payload = encodePacket(packet);
  return encodeUdpFrame({
    toHardware: everybody,
    fromHardware: from,
    source: zero,
    destination: ipv4('255.255.255.255'),
    sourcePort: clientPort,
    destinationPort: serverPort,
    payload,
  });
}

/** undefined for what is no DHCP: anything may come from port 67. */
function readOffer(frame: Buffer): DhcpPacket | undefined {
  try {
    return decodePacket(frame.subarray(payloadAt));
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** By its own word (54), else by the address it sent from: of BOOTP servers. */
function serverOf(packet: DhcpPacket, frame: Buffer): Ipv4 {
  const identifier = packet.options.get(option.serverIdentifier);
  return ipv4FromNumber(identifier?.length === 4 ? identifier.readUInt32BE(0) : frame.readUInt32BE(addressAt));
}
