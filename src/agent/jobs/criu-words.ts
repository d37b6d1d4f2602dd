// What criu(8) says, in a user's words: its log and its statistics. Pure.
import { FarmError } from '../../base/errors.ts';

/** What criu grumbles about and goes on. */
const harmless = [/^rlimit: Can't setup RLIMIT_NOFILE/];

/** Its closing words, which tell no reason. */
const closing = [/FAILED/, /^Can't (?:read|write) stats/, /failed with/];

/** The line that tells why, without time and place in the source; undefined when there is none. */
export function tellingLine(log: string): string | undefined {
  const errors = [...log.matchAll(/^(?:\([\d.]+\) )?(?: *\d+: )?Error \([^)]*\): (.*)$/gm)]
    .map(([, text = '']) => text.trim())
    .filter((text) => !harmless.some((pattern) => pattern.test(text)));
  return errors.find((text) => !closing.some((pattern) => pattern.test(text))) ?? errors[0];
}

const known: readonly { readonly line: RegExp; readonly message: string; readonly hint: string }[] = [
  { line: /^inet: Connected TCP socket/, message: 'it has a TCP connection', hint: 'close the connection, or start it with mosrun -h' },
  { line: /^(?:inet|sk unix|unix): /, message: 'it has a socket that ends outside of the job', hint: 'close it, or start the job with mosrun -h' },
  {
    line: /Can't dump file .* of that type \[[^\]]*\] \(.*\)|Can't find or dump chr/,
    message: 'it has something open that criu cannot save',
    hint: 'farm why says which',
  },
  {
    line: /^cpu: .*(?:mismatch|not supported|missing)/i,
    message: 'the processor here lacks what the job uses',
    hint: 'move it to a node with a like processor',
  },
  { line: /File .* has bad (?:size|mode)/, message: 'a file that it has open is another one here', hint: 'both nodes must see the same files: mount /mfs' },
  {
    line: /Can't open file .*|File .* not exist/,
    message: 'a file that it has open is not there on this node',
    hint: 'both nodes must see the same files: mount /mfs',
  },
  { line: /^Pid \d+ do not match|Can't fork for/, message: 'its processes cannot be made here', hint: 'look at the limits of processes on the node' },
  { line: /No space left|Cannot allocate|Out of memory|ENOMEM/i, message: 'there is not enough memory here', hint: 'move it to a node with more free memory' },
];

/** `code`: `job.immovable` or `job.unrestorable`. */
export function criuError(code: 'job.immovable' | 'job.unrestorable', action: string, log: string): FarmError {
  const line = tellingLine(log);
  const match = known.find((each) => line !== undefined && each.line.test(line));
  const words = match?.message ?? 'criu refuses';
  return new FarmError(
    code,
    `the job cannot be ${action}: ${words} (${line ?? 'criu ended without a word'})`,
    match?.hint ?? 'see criu.org for what it does not support',
  );
}

/** A few fields of criu's stats image (images/stats.proto): two magic numbers, a length, then protobuf. */
export interface DumpStatistics {
  /** Microseconds that the job stood. */
  readonly frozenTime: number;
  readonly pagesWritten: number;
}

const pagesWrittenField = 7;
const frozenTimeField = 2;
/** StatsEntry.dump. */
const dumpField = 1;

export function parseDumpStatistics(image: Buffer): DumpStatistics {
  const entry = fieldsOf(image.subarray(12)).get(dumpField);
  const fields = entry instanceof Buffer ? fieldsOf(entry) : new Map<number, number | Buffer>();
  const number = (field: number): number => {
    const value = fields.get(field);
    return typeof value === 'number' ? value : 0;
  };
  return { frozenTime: number(frozenTimeField), pagesWritten: number(pagesWrittenField) };
}

/** protobuf.dev/programming-guides/encoding: varints and what has a length; others end it. */
function fieldsOf(bytes: Buffer): ReadonlyMap<number, number | Buffer> {
  const fields = new Map<number, number | Buffer>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) break;
    }
    return value;
  };
  while (at < bytes.length) {
    const key = varint();
    if ((key & 7) === 0) fields.set(key >> 3, varint());
    else if ((key & 7) === 2) {
      const length = varint();
      fields.set(key >> 3, bytes.subarray(at, at + length));
      at += length;
    } else break;
  }
  return fields;
}
