// The results of NLM's procedures, as they are on the wire. C702 chapters 10, 11 and 14.
import type { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { writeBool, writeOpaque } from '../rpc/xdr.ts';
import {
  type NlmStatus,
  type NlmVersion,
  narrowStatuses,
  readBytes,
  readFlag,
  readObject,
  type StatusResult,
  statuses,
  type TestResult,
  writeBytes,
} from './nlm.ts';

function readStatus(reader: ByteReader): NlmStatus {
  const at = reader.offset;
  const status = statuses[reader.u32()];
  if (status === undefined) throw new WireError('nlm.status', at, 'no such status');
  return status;
}

/** As lockd has it, what versions 1 and 3 have no word for is DENIED_NOLOCKS: the client gives up and does not wait. */
function writeStatus(writer: ByteWriter, version: NlmVersion, status: NlmStatus): void {
  const number = statuses.indexOf(status);
  if (version === 4 || number < narrowStatuses) writer.u32(number);
  else writer.u32(statuses.indexOf(status === 'DEADLCK' ? 'DENIED' : 'DENIED_NOLOCKS'));
}

/** nlm_res: of all but TEST and SHARE, and what a client answers to GRANTED. */
export function readStatusResult(reader: ByteReader): StatusResult {
  return { cookie: readObject(reader), status: readStatus(reader) };
}

export function writeStatusResult(writer: ByteWriter, version: NlmVersion, { cookie, status }: StatusResult): void {
  writeOpaque(writer, cookie);
  writeStatus(writer, version, status);
}

export function readTestResult(reader: ByteReader, version: NlmVersion): TestResult {
  const { cookie, status } = readStatusResult(reader);
  if (status !== 'DENIED') return { cookie, status };
  const exclusive = readFlag(reader);
  const svid = reader.u32();
  const ownerHandle = readObject(reader);
  return { cookie, status, holder: { exclusive, svid, ownerHandle, ...readBytes(reader, version) } };
}

/** DENIED comes with its holder; without one it is written as DENIED_NOLOCKS, which has none. */
export function writeTestResult(writer: ByteWriter, version: NlmVersion, { cookie, status, holder }: TestResult): void {
  if (status !== 'DENIED' || holder === undefined) {
    writeStatusResult(writer, version, { cookie, status: status === 'DENIED' ? 'DENIED_NOLOCKS' : status });
    return;
  }
  writeStatusResult(writer, version, { cookie, status });
  writeBool(writer, holder.exclusive);
  writer.u32(holder.svid);
  writeOpaque(writer, holder.ownerHandle);
  writeBytes(writer, version, holder);
}

/** nlm_shareres. Its sequence number means nothing (C702 11.2.8). */
export function readShareResult(reader: ByteReader): StatusResult {
  const result = readStatusResult(reader);
  reader.u32();
  return result;
}

export function writeShareResult(writer: ByteWriter, version: NlmVersion, result: StatusResult): void {
  writeStatusResult(writer, version, result);
  writer.u32(0);
}
