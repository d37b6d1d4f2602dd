// Millions of mutated datagrams through the codec, the terms and both state machines, as fast as one core goes:
// npx esbuild test/tftp/fuzz-long.ts --bundle --platform=node --format=esm --outfile=dist/test/tftp-fuzz.mjs && node dist/test/tftp-fuzz.mjs 10000000 [seed]
// Ends with status 1 at the first fault, and prints the datagram.
import { WireError } from '../../src/base/errors.ts';
import { decode, encode, type TftpPacket } from '../../src/tftp/packet.ts';
import { servedPath } from '../../src/tftp/path.ts';
import { newReception, type Reception, receive } from '../../src/tftp/reception.ts';
import { agree, agreeUpload } from '../../src/tftp/terms.ts';
import { newTransfer, next, type Transfer } from '../../src/tftp/transfer.ts';
import { random } from './network.ts';

const total = Number(process.argv[2] ?? 1_000_000);
const dice = random(Number(process.argv[3] ?? 1));
const below = (end: number) => Math.floor(dice() * end);
const max = { blksize: 1468, windowsize: 64 };
const text = (value: string) => [...Buffer.from(value, 'latin1'), 0];
const words = ['octet', 'netascii', 'blksize', 'tsize', 'timeout', 'windowsize', 'a', '../a', '\\b\\c', '0', '1', '8', '512', '65464', '99999999999', '-1', ''];

function datagram(): Buffer {
  const opcode = below(7);
  const isText = opcode === 1 || opcode === 2 || opcode === 6;
  const body = isText
    ? Array.from({ length: below(12) }, () => text(words[below(words.length)] ?? '')).flat()
    : [...Buffer.from([0, below(30)]), ...new Array<number>([0, 8, 511, 512, 513][below(5)] ?? 0).fill(0)];
  const bytes = Buffer.from([0, opcode, ...body]);
  for (let edits = below(3); edits > 0; edits -= 1) bytes[below(bytes.length)] = below(256);
  return below(16) === 0 ? bytes.subarray(0, below(bytes.length)) : bytes;
}

let transfer: Transfer = newTransfer(agree([], 5000, max));
let reception: Reception = newReception(agreeUpload([], max), 5000);

function step(packet: TftpPacket, now: number): void {
  if (packet.op === 'read' || packet.op === 'write') {
    const path = servedPath(packet.file);
    if (path !== undefined && (path.startsWith('/') || path.split('/').includes('..'))) throw new Error(`the path ${path}`);
    transfer = next(newTransfer(agree(packet.options, below(100_000), max)), { kind: 'start' }, now).state;
    reception = receive(newReception(agreeUpload(packet.options, max), 5000), { kind: 'start' }).state;
  }
  const event = below(20) === 0 ? ({ kind: 'timer' } as const) : ({ kind: 'packet', packet } as const);
  const sent = next(transfer, event, now);
  const answered = receive(reception, below(50) === 0 ? { kind: 'stored' } : event);
  for (const effect of sent.effects) if (effect.kind === 'blocks' && effect.to - effect.from >= transfer.terms.windowsize) throw new Error('a flood');
  if (sent.state.acked > sent.state.sent) throw new Error('more acknowledged than sent');
  if (answered.state.bytes > 5000) throw new Error('over the limit');
  if (answered.effects.filter(({ kind }) => kind === 'send').length > 1) throw new Error('two answers to one packet');
  transfer = sent.state;
  reception = answered.state;
}

let refused = 0;
const started = Date.now();
for (let index = 0; index < total; index += 1) {
  const bytes = datagram();
  try {
    const packet = decode(bytes);
    encode(packet);
    step(packet, index);
  } catch (error) {
    if (error instanceof WireError) {
      refused += 1;
      continue;
    }
    console.error(`datagram ${index}: ${bytes.toString('hex')}`);
    console.error(error);
    process.exit(1);
  }
}
const seconds = (Date.now() - started) / 1000;
console.log(`${total} datagrams in ${seconds.toFixed(1)} s, ${Math.round(total / seconds)} a second, ${refused} refused`);
