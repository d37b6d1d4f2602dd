// Makes a recording from a capture of one client's NFSv3 traffic over TCP, with any server:
//   tcpdump -i eth1 -s 0 -B 65536 -w boot.pcap 'tcp port 2049'    while the client boots
//   node bench/nfs/record.mjs boot.pcap > boot.txt
// Operations that change something are left out: a boot of a diskless node has a handful, and they could not be played twice.
import { readFileSync } from 'node:fs';
import { nfs, procedures } from './calls.mjs';
import { formatRecording } from './recording.mjs';

const nfsPort = 2049;
const names = new Map(Object.entries(procedures).map(([name, number]) => [number, name]));
const readdirplus = procedures.readdirplus;

/** Segments of each direction of each connection, in the order of their sequence numbers, as one stream of bytes. */
function streams(file) {
  const capture = readFileSync(file);
  if (capture.readUInt32LE(0) !== 0xa1b2c3d4 || capture.readUInt32LE(20) !== 1) throw new Error(`${file} is no little-endian pcap of Ethernet frames`);
  const found = new Map();
  for (let at = 24; at + 16 <= capture.length; ) {
    const seconds = capture.readUInt32LE(at) + capture.readUInt32LE(at + 4) / 1e6;
    const length = capture.readUInt32LE(at + 8);
    const ip = capture.subarray(at + 16 + 14, at + 16 + length);
    at += 16 + length;
    if (ip.length < 40 || ip[0] >> 4 !== 4 || ip[9] !== 6) continue;
    const tcp = ip.subarray((ip[0] & 15) * 4, ip.readUInt16BE(2));
    const data = tcp.subarray((tcp[12] >> 4) * 4);
    const key = `${ip.toString('hex', 12, 20)}${tcp.toString('hex', 0, 4)}`;
    const stream = found.get(key) ?? { call: tcp.readUInt16BE(2) === nfsPort, client: `${tcp.readUInt16BE(0)}/${tcp.readUInt16BE(2)}`, segments: [] };
    found.set(key, stream);
    if (data.length > 0) stream.segments.push({ sequence: tcp.readUInt32BE(4), data, seconds });
  }
  return [...found.values()];
}

function* messages({ segments }) {
  const sorted = segments.sort((a, b) => (a.sequence - b.sequence) | 0 || b.data.length - a.data.length);
  let next = sorted[0]?.sequence;
  let bytes = Buffer.alloc(0);
  let record = [];
  for (const { sequence, data, seconds } of sorted) {
    const known = (next - sequence) | 0;
    if (known < 0) throw new Error(`${-known} bytes of the capture are missing; give tcpdump a larger buffer: -B 65536`);
    if (known >= data.length) continue;
    bytes = Buffer.concat([bytes, data.subarray(known)]);
    next = (sequence + data.length) >>> 0;
    while (bytes.length >= 4) {
      const mark = bytes.readUInt32BE(0);
      const end = 4 + (mark & 0x7fff_ffff);
      if (bytes.length < end) break;
      record.push(bytes.subarray(4, end));
      bytes = bytes.subarray(end);
      if (mark < 0x8000_0000) continue;
      yield { message: Buffer.concat(record), seconds };
      record = [];
    }
  }
}

function opaqueAt(bytes, at) {
  const length = bytes.readUInt32BE(at);
  return { value: bytes.subarray(at + 4, at + 4 + length), next: at + 4 + length + (-length & 3) };
}

const afterAttributes = (bytes, at) => at + 4 + (bytes.readUInt32BE(at) === 1 ? 84 : 0);

const calls = [];
for (const stream of streams(process.argv[2])) {
  if (!stream.call) continue;
  for (const { message, seconds } of messages(stream)) {
    if (message.readUInt32BE(12) !== nfs.program || message.readUInt32BE(16) !== nfs.version) continue;
    const credentialEnd = opaqueAt(message, 28).next;
    const args = message.subarray(opaqueAt(message, credentialEnd + 4).next);
    calls.push({ xid: message.readUInt32BE(0), procedure: message.readUInt32BE(20), args, seconds });
  }
}
const replies = new Map();
for (const stream of streams(process.argv[2])) {
  if (!stream.call) for (const { message } of messages(stream)) replies.set(message.readUInt32BE(0), message.subarray(24));
}
calls.sort((a, b) => a.seconds - b.seconds);

/** By handle; the first one that is asked about is the mounted directory's. */
const paths = new Map();
const below = (directory, name) => `${directory === '/' ? '' : directory}/${name}`;
function learn(handle, path) {
  if (!paths.has(handle.toString('hex'))) paths.set(handle.toString('hex'), path);
}

const operations = [];
let unknown = 0;
for (const { xid, procedure, args } of calls) {
  const operation = names.get(procedure);
  if (operation === undefined || operation === 'null') continue;
  const { value: handle, next } = opaqueAt(args, 0);
  if (paths.size === 0) learn(handle, '/');
  const path = paths.get(handle.toString('hex'));
  if (path === undefined) {
    unknown += 1;
    continue;
  }
  const reply = replies.get(xid);
  const ok = reply?.readUInt32BE(0) === 0;
  if (operation === 'lookup') {
    const name = opaqueAt(args, next).value.toString('latin1');
    operations.push({ operation, path, name });
    if (ok) learn(opaqueAt(reply, 4).value, below(path, name));
  } else if (operation === 'read') {
    operations.push({ operation, path, offset: args.readUInt32BE(next) * 2 ** 32 + args.readUInt32BE(next + 4), bytes: args.readUInt32BE(next + 8) });
  } else operations.push({ operation, path });
  if (procedure === readdirplus && ok) {
    for (let at = afterAttributes(reply, 4) + 8; reply.readUInt32BE(at) === 1; ) {
      const name = opaqueAt(reply, at + 12);
      at = afterAttributes(reply, name.next + 8);
      if (reply.readUInt32BE(at) === 0) at += 4;
      else {
        const object = opaqueAt(reply, at + 4);
        learn(object.value, below(path, name.value.toString('latin1')));
        at = object.next;
      }
    }
  }
}
if (unknown > 0) console.error(`${unknown} of ${calls.length} calls are of objects whose name was not seen, and left out`);
process.stdout.write(formatRecording(operations), 'latin1');
