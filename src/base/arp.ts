// Asks an Ethernet whether anybody uses an address: ARP probes (RFC 5227 section 2.1.1), which no firewall of a host drops.
import { type Ipv4, ipv4Bytes, ipv4FromBytes, type Mac, macBytes, macFromBytes } from './addresses.ts';
import { type FilterInstruction, openFrames } from './frames.ts';
import { Askings, type ProbeDoor, type ProbeDoorOptions } from './probe.ts';

const etherTypeArp = 0x0806;
const frameBytes = 42;

/** Ethernet (1), IPv4 (0x0800), and their address lengths: RFC 826. */
const kinds = Buffer.from([0, 1, 8, 0, 6, 4]);

// ldh operation; a reply? whole frame, else nothing.
const repliesOnly: readonly FilterInstruction[] = [
  [0x28, 0, 0, 20],
  [0x15, 0, 1, 2],
  [0x06, 0, 0, 0xffff],
  [0x06, 0, 0, 0],
];

/** Never throws: what is wrong goes to `onLost`, and it keeps trying. */
export function openArp({ interface: name, onOpen, onLost }: ProbeDoorOptions & { readonly interface: string }): ProbeDoor {
  let own: Mac | undefined;
  const askings = new Askings((address) => own !== undefined && door.send(arpProbe(own, address)));
  const door = openFrames({
    interface: name,
    etherType: etherTypeArp,
    filter: repliesOnly,
    groups: [],
    onOpen: (address) => {
      own = address;
      onOpen();
    },
    onLost: (error, retryMilliseconds) => {
      own = undefined;
      askings.abandon();
      onLost(error, retryMilliseconds);
    },
    onFrame: (frame) => {
      const sender = arpSender(frame);
      if (sender !== undefined) askings.settle(sender.address, { kind: 'answered', by: sender.mac });
    },
  });
  return {
    tried: door.tried,
    get isOpen() {
      return own !== undefined;
    },
    probe: (address) => askings.ask(address),
    close: () => {
      own = undefined;
      askings.abandon();
      return door.close();
    },
  };
}

/** A request whose sender has no address yet, so that nobody's table changes by it. */
export function arpProbe(own: Mac, address: Ipv4): Buffer {
  const frame = Buffer.alloc(frameBytes);
  frame.fill(0xff, 0, 6);
  macBytes(own).copy(frame, 6);
  frame.writeUInt16BE(etherTypeArp, 12);
  kinds.copy(frame, 14);
  frame.writeUInt16BE(1, 20);
  macBytes(own).copy(frame, 22);
  ipv4Bytes(address).copy(frame, 38);
  return frame;
}

/** Who says in an ARP reply that an address is its own; undefined for any other frame. */
export function arpSender(frame: Buffer): { readonly address: Ipv4; readonly mac: Mac } | undefined {
  if (frame.length < frameBytes || !frame.subarray(14, 20).equals(kinds) || frame.readUInt16BE(20) !== 2) return undefined;
  return { mac: macFromBytes(frame.subarray(22, 28)), address: ipv4FromBytes(frame.subarray(28, 32)) };
}
