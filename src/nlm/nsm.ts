// The Network Status Monitor protocol, program 100024 version 1: who has restarted. X/Open XNFS C702 chapter 12.
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import { readFixedOpaque, readString, writeFixedOpaque, writeString } from '../rpc/xdr.ts';

export const nsmProgram = 100_024;
export const nsmVersion = 1;

export const nsmProcedures = { STAT: 1, MON: 2, UNMON: 3, UNMON_ALL: 4, SIMU_CRASH: 5, NOTIFY: 6 } as const;

/** SM_MAXSTRLEN */
const nameMax = 1024;
/** SM_PRIV_SIZE */
const privateBytes = 16;

/** stat_chge: `name` has another state now. Odd is up, even is down. */
export interface StateChange {
  readonly name: string;
  readonly state: number;
}

/** my_id: which procedure of the local lock manager is to be called. */
export interface Informed {
  readonly name: string;
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
}

export interface Monitoring {
  readonly name: string;
  readonly informed: Informed;
  /** 16 bytes that come back with the call. */
  readonly secret: Buffer;
}

/** sm_stat_res */
export interface MonitorResult {
  readonly accepted: boolean;
  readonly state: number;
}

/** sm_name */
export function readName(reader: ByteReader): string {
  return readString(reader, nameMax);
}

export function readStateChange(reader: ByteReader): StateChange {
  return { name: readName(reader), state: reader.u32() };
}

export function writeStateChange(writer: ByteWriter, { name, state }: StateChange): void {
  writeString(writer, name);
  writer.u32(state);
}

export function readInformed(reader: ByteReader): Informed {
  return { name: readName(reader), program: reader.u32(), version: reader.u32(), procedure: reader.u32() };
}

function writeInformed(writer: ByteWriter, informed: Informed): void {
  writeString(writer, informed.name);
  writer.u32(informed.program);
  writer.u32(informed.version);
  writer.u32(informed.procedure);
}

/** mon_id, of UNMON; MON adds the secret. */
export function readMonitored(reader: ByteReader): Omit<Monitoring, 'secret'> {
  return { name: readName(reader), informed: readInformed(reader) };
}

export function readMonitoring(reader: ByteReader): Monitoring {
  return { ...readMonitored(reader), secret: readFixedOpaque(reader, privateBytes) };
}

export function writeMonitoring(writer: ByteWriter, { name, informed, secret }: Monitoring): void {
  writeString(writer, name);
  writeInformed(writer, informed);
  writeFixedOpaque(writer, secret);
}

export function readMonitorResult(reader: ByteReader): MonitorResult {
  return { accepted: reader.u32() === 0, state: reader.u32() };
}

export function writeMonitorResult(writer: ByteWriter, { accepted, state }: MonitorResult): void {
  writer.u32(accepted ? 0 : 1);
  writer.u32(state);
}
