// Which program listens where, as a port mapper tells it. RFC 1833 2 and 3.
import type { Ipv4 } from '../../base/addresses.ts';
import type { Program, Transport } from '../program.ts';

export const portmapProgram = 100_000;
export const portmapPort = 111;

/** IPPROTO_TCP and IPPROTO_UDP. */
export const protocolNumbers: Readonly<Record<Transport, number>> = { tcp: 6, udp: 17 };

export interface Mapping {
  readonly program: number;
  readonly version: number;
  readonly transport: Transport;
  readonly port: number;
}

type Announced = Pick<Program, 'number'> & { readonly versions: ReadonlyMap<number, unknown> };

/** Every version of programs that share their sockets. */
export function mappingsOf(programs: readonly Announced[], transports: readonly Transport[], port: number): readonly Mapping[] {
  return programs.flatMap(({ number: program, versions }) =>
    [...versions.keys()].flatMap((version) => transports.map((transport): Mapping => ({ program, version, transport, port }))),
  );
}

/** Another version of a program that is here does too, as with rpcbind: the program itself then says which it has (PROG_MISMATCH). */
export function findMapping(mappings: readonly Mapping[], program: number, version: number, transport: Transport | undefined): Mapping | undefined {
  const candidates = mappings.filter((mapping) => mapping.program === program && mapping.transport === transport);
  return candidates.find((mapping) => mapping.version === version) ?? candidates[0];
}

/** `10.11.0.1.8.1`: address, then the port's two bytes (RFC 5665 5.2.3.3). */
export function universalAddress(address: Ipv4, port: number): string {
  return `${address}.${port >> 8}.${port & 255}`;
}
