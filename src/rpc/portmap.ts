// The port mapper, program 100000 version 2: tells clients that know only the server's address which port a program has. RFC 1833 3.
import type { ByteReader } from '../base/bytes.ts';
import type { Body } from './message.ts';
import { nullProcedure, type Procedure, type Program } from './program.ts';
import { writeOptional } from './xdr.ts';

const portmapProgram = 100_000;
const portmapVersion = 2;
export const portmapPort = 111;

const protocols = { tcp: 6, udp: 17 } as const;

export interface Mapping {
  readonly program: number;
  readonly version: number;
  readonly protocol: keyof typeof protocols;
  readonly port: number;
}

/**
 * The program that knows `mappings` and itself. SET, UNSET and CALLIT are PROC_UNAVAIL: nobody registers here over the network, and CALLIT has
 * a record as an amplifier. Versions 3 and 4 (rpcbind) are PROG_MISMATCH, at which clients go on with version 2.
 */
export function portmap(mappings: readonly Mapping[], ownPort = portmapPort): Program {
  const own = (['tcp', 'udp'] as const).map((protocol): Mapping => ({ program: portmapProgram, version: portmapVersion, protocol, port: ownPort }));
  const all = [...own, ...mappings];
  const getPort: Procedure = { name: 'GETPORT', once: false, run: (_caller, args) => portOf(all, args) };
  const dump: Procedure = { name: 'DUMP', once: false, run: () => listOf(all) };
  return { number: portmapProgram, versions: new Map([[portmapVersion, [nullProcedure, undefined, undefined, getPort, dump]]]) };
}

/** 0 for a program that is not here. As rpcbind does, another version of a program that is here gives its port: the program itself says PROG_MISMATCH. */
function portOf(mappings: readonly Mapping[], args: ByteReader): Body {
  const program = args.u32();
  const version = args.u32();
  const protocol = args.u32();
  args.u32(); // the port, which the caller wants to know
  const candidates = mappings.filter((mapping) => mapping.program === program && protocols[mapping.protocol] === protocol);
  const found = candidates.find((mapping) => mapping.version === version) ?? candidates[0];
  return { encode: (writer) => writer.u32(found?.port ?? 0) };
}

function listOf(mappings: readonly Mapping[]): Body {
  return {
    encode: (writer) => {
      for (const mapping of mappings) {
        writeOptional(writer, mapping, () => {
          writer.u32(mapping.program);
          writer.u32(mapping.version);
          writer.u32(protocols[mapping.protocol]);
          writer.u32(mapping.port);
        });
      }
      writer.u32(0);
    },
  };
}
