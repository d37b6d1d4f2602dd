// The one question that is asked of a client's port mapper: which port has this program? RFC 1833 3, GETPORT.
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import type { RemoteProcedure } from '../rpc/call.ts';
import { portmapProgram, protocolNumbers } from '../rpc/portmap/mappings.ts';
import type { Transport } from '../rpc/program.ts';

export const getPort: RemoteProcedure = { program: portmapProgram, version: 2, procedure: 3 };

export function writeGetPort(writer: ByteWriter, { program, version }: Omit<RemoteProcedure, 'procedure'>, transport: Transport): void {
  writer.u32(program);
  writer.u32(version);
  writer.u32(protocolNumbers[transport]);
  writer.u32(0);
}

/** undefined if the program is not there. */
export function readPort(reader: ByteReader): number | undefined {
  const port = reader.u32();
  return port > 0 && port <= 0xffff ? port : undefined;
}
