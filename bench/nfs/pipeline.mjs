// One connection that keeps a number of calls under way. It must cost little beside the server it measures: calls are bytes made beforehand, of which only the
// xid is set; of a reply its first 28 bytes are looked at, in one buffer that every read goes to; what is ready is sent with one write.
import { NOENT, OK, open } from './calls.mjs';

/** Of a record: its mark; xid, type, reply_stat, verifier, accept_stat; the status of NFS. */
const markBytes = 4;
const headBytes = 28;
const lastFragment = 0x8000_0000;
const receiveBytes = 256 * 1024;

/** Every microsecond up to 200 ms has its count; the last takes what is longer. */
const microseconds = 200_000;

/** What all connections of a run add to. */
export function newTally() {
  return { operations: 0, bytes: 0, failed: 0, firstFailure: undefined, latencies: new Uint32Array(microseconds + 1), longest: 0 };
}

/** The latency, in us, that a share of the operations stayed within. */
export function percentile({ latencies, operations, longest }, share) {
  let left = Math.ceil(operations * share);
  for (let time = 0; time < latencies.length; time += 1) {
    left -= latencies[time];
    if (left <= 0) return time < microseconds ? time : longest;
  }
  return longest;
}

/** Makes the calls of a connection into one run of bytes, which is sent again from its start when it has been sent. */
export function script(calls) {
  const starts = new Uint32Array(calls.length + 1);
  let at = 0;
  calls.forEach((bytes, index) => {
    starts[index] = at;
    at += bytes.length;
  });
  starts[calls.length] = at;
  return { bytes: Buffer.concat(calls), starts, count: calls.length };
}

/**
 * Opens a connection and gives `play({ tally, until, calls })`, which settles when `calls` calls are answered, or those are that were sent before
 * `until()` turned true.
 */
export async function openPipeline(where, { bytes, starts, count }, depth) {
  if (depth > count) throw new Error(`${count} calls are too few for ${depth} at once`);
  const sentAt = new Float64Array(count);
  const head = Buffer.alloc(markBytes + headBytes);
  let tally = newTally();
  let until = () => true;
  let most = 0;
  let sent = 0;
  let answered = 0;
  let finished = () => {};
  let broken = () => {};
  // Of the record that is being read:
  let headHas = 0;
  let left = 0;
  let inside = false;

  const socket = await open({ ...where, onread: { buffer: Buffer.alloc(receiveBytes), callback: receive } });
  socket.on('error', (error) => broken(error));
  socket.on('close', () => broken(new Error('the server closed the connection')));

  function send(number) {
    const now = performance.now();
    socket.cork();
    while (number > 0) {
      const from = sent % count;
      const batch = Math.min(number, count - from);
      for (let index = from; index < from + batch; index += 1) {
        bytes.writeUInt32BE((sent + index - from) >>> 0, starts[index] + markBytes);
        sentAt[index] = now;
      }
      socket.write(bytes.subarray(starts[from], starts[from + batch]));
      sent += batch;
      number -= batch;
    }
    socket.uncork();
  }

  function take(now, xid, refused, status) {
    const latency = (now - sentAt[xid % count]) * 1000;
    tally.latencies[Math.min(Math.round(latency), microseconds)] += 1;
    if (latency > tally.longest) tally.longest = Math.round(latency);
    tally.operations += 1;
    if (!refused && (status === OK || status === NOENT)) return;
    tally.failed += 1;
    tally.firstFailure ??= refused ? 'refused by RPC' : `status ${status}`;
  }

  /** Begins a record whose mark and head stand in `source` at `from`; gives how long they are. */
  function begin(now, source, from) {
    const mark = source.readUInt32BE(from);
    const bodyBytes = mark & 0x7fff_ffff;
    const headLength = Math.min(headBytes, bodyBytes);
    inside = mark < lastFragment;
    left = bodyBytes - headLength;
    const refused = source.readUInt32BE(from + 12) !== 0 || source.readUInt32BE(from + 24) !== 0;
    take(now, source.readUInt32BE(from + 4), refused, headLength === headBytes ? source.readUInt32BE(from + 28) : OK);
    return markBytes + headLength;
  }

  /** Takes one byte of a head that came in two pieces, or of the mark of a further fragment. */
  function collect(now, byte) {
    head[headHas] = byte;
    headHas += 1;
    if (headHas < markBytes) return;
    const mark = head.readUInt32BE(0);
    const bodyBytes = mark & 0x7fff_ffff;
    if (inside) {
      inside = mark < lastFragment;
      left = bodyBytes;
      headHas = 0;
    } else if (headHas === markBytes + Math.min(headBytes, bodyBytes)) {
      begin(now, head, 0);
      headHas = 0;
    }
  }

  function receive(length, chunk) {
    const now = performance.now();
    const before = tally.operations;
    tally.bytes += length;
    for (let at = 0; at < length; ) {
      if (left > 0) {
        const skipped = Math.min(left, length - at);
        left -= skipped;
        at += skipped;
      } else if (headHas > 0 || inside || length - at < markBytes + headBytes) {
        collect(now, chunk[at]);
        at += 1;
      } else at += begin(now, chunk, at);
    }
    const replies = tally.operations - before;
    answered += replies;
    if (replies > 0 && !until()) {
      const more = Math.min(replies, most - sent);
      if (more > 0) send(more);
    }
    if (answered === sent) finished();
    return true;
  }

  return {
    play: (to) =>
      new Promise((resolve, reject) => {
        ({ tally, until } = to);
        most = to.calls === undefined ? Number.POSITIVE_INFINITY : sent + to.calls;
        finished = resolve;
        broken = reject;
        send(Math.min(depth, most - sent));
      }),
    close: () => {
      broken = () => {};
      socket.resetAndDestroy();
    },
  };
}
