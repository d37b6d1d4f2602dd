// Sockets that systemd opened for this process: sd_listen_fds(3). Each is known by what it is bound to, which Linux tells in /proc/net (proc(5)); the card that it
// is tied to stands in its name. Who opens a socket takes one of these if there is one: the right to open it was systemd's.
import { readFileSync, readlinkSync } from 'node:fs';
import { endianness } from 'node:os';
import { type Ipv4, ipv4FromBytes } from './addresses.ts';
import { FarmError } from './errors.ts';

export interface Place {
  readonly transport: 'tcp' | 'udp';
  readonly address: Ipv4;
  readonly port: number;
  /** The card it is tied to (SO_BINDTODEVICE). */
  readonly interface?: string | undefined;
}

export interface PassedSocket extends Place {
  readonly descriptor: number;
}

/** SD_LISTEN_FDS_START */
const firstDescriptor = 3;

/** A farm has some ten per network. */
const descriptorsMax = 256;

/** FileDescriptorName= of a socket that is tied to a card is this and the card's name. */
export const tiedName = 'card.';

const remedy = 'make the units anew: farm unit --sockets';

/** Which sockets systemd passed, if any. Throws `FarmError` `sockets.passed` for what is no bound TCP or UDP socket of IPv4. */
export function passedSockets(environment: NodeJS.ProcessEnv, pid: number): readonly PassedSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment;
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined) return [];
  const count = Number(LISTEN_FDS);
  if (!/^\d+$/.test(LISTEN_FDS) || count > descriptorsMax) throw new FarmError('sockets.passed', `LISTEN_FDS is "${LISTEN_FDS}"`, remedy);
  const names = LISTEN_FDNAMES?.split(':') ?? [];
  const bound = boundSockets((transport) => readFileSync(`/proc/self/net/${transport}`, 'latin1'));
  return Array.from({ length: count }, (_, index) => {
    const descriptor = firstDescriptor + index;
    const name = names[index] ?? '';
    const place = bound.get(inodeOf(descriptor));
    if (place === undefined) throw new FarmError('sockets.passed', `socket ${name} that systemd passed is no TCP or UDP socket on an IPv4 address`, remedy);
    return { ...place, descriptor, ...(name.startsWith(tiedName) ? { interface: name.slice(tiedName.length) } : {}) };
  });
}

function inodeOf(descriptor: number): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1] ?? '';
  } catch (error) {
    throw new FarmError('sockets.passed', `there is no descriptor ${descriptor}, which LISTEN_FDS promises`, remedy, error);
  }
}

/** By inode, from the tables in /proc/net: address in the machine's byte order and port, both hex, are the second word, the inode is the tenth. */
export function boundSockets(table: (transport: Place['transport']) => string): ReadonlyMap<string, Place> {
  const found = new Map<string, Place>();
  for (const transport of ['tcp', 'udp'] as const) {
    for (const line of table(transport).split('\n').slice(1)) {
      const words = line.trim().split(/\s+/);
      const [, address, port] = /^([0-9A-F]{8}):([0-9A-F]{4})$/.exec(words[1] ?? '') ?? [];
      const inode = words[9];
      if (address === undefined || port === undefined || inode === undefined || inode === '0') continue;
      const bytes = Buffer.from(address, 'hex');
      found.set(inode, { transport, address: ipv4FromBytes(endianness() === 'LE' ? bytes.reverse() : bytes), port: Number.parseInt(port, 16) });
    }
  }
  return found;
}

/** Those that nobody has taken yet. One process has one environment, and so one of these. */
let waiting: readonly PassedSocket[] = [];

export function keepPassed(sockets: readonly PassedSocket[]): void {
  waiting = sockets;
}

/** The descriptor of the passed socket for exactly this place, which is the caller's from now on; undefined if there is none. */
export function takePassed(place: Place): number | undefined {
  const found = waiting.find((one) => samePlace(one, place));
  waiting = waiting.filter((one) => one !== found);
  return found?.descriptor;
}

function samePlace(one: Place, other: Place): boolean {
  return one.transport === other.transport && one.address === other.address && one.port === other.port && one.interface === other.interface;
}

/** `udp 0.0.0.0:67 on eth1`, for people: those that nobody has taken. */
export function untakenSockets(): readonly string[] {
  return waiting.map(({ transport, address, port, interface: card }) => `${transport} ${address}:${port}${card === undefined ? '' : ` on ${card}`}`);
}
