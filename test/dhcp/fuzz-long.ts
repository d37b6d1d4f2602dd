// Millions of mutated datagrams through decode, answer and encode, as fast as one core goes:
// npx esbuild test/dhcp/fuzz-long.ts --bundle --platform=node --format=esm --outfile=dist/test/fuzz-long.mjs && node dist/test/fuzz-long.mjs 10000000 [seed]
// (from Node.js 22.18 on also: node test/dhcp/fuzz-long.ts 10000000). Ends with status 1 at the first fault, and prints the datagram.

import { fuzzFarms, fuzzOnce } from '../support/dhcp-fuzz.ts';
import { goldenPayloads } from '../support/dhcp-goldens.ts';

const total = Number(process.argv[2] ?? 1_000_000);
let state = Number(process.argv[3] ?? 1) >>> 0 || 1;

/** xorshift32: the same seed gives the same datagrams. */
function random(below: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}

const seeds = goldenPayloads();
/** Codes and lengths that mean something. */
const meaningful = [0, 1, 4, 12, 43, 50, 51, 52, 53, 54, 55, 57, 60, 61, 66, 67, 77, 80, 82, 93, 97, 118, 128, 150, 175, 254, 255];
/** Header bytes: op, htype, hlen, flags, addresses. */
const headerAt = [0, 1, 2, 3, 10, 12, 15, 24, 27, 28, 33, 44, 108, 236, 239, 242];

function mutated(into: Buffer): Buffer {
  const seed = seeds[random(seeds.length)] ?? Buffer.alloc(0);
  seed.copy(into);
  let length = seed.length;
  for (let edits = random(8); edits > 0; edits--) {
    const at = random(4) === 0 ? (headerAt[random(headerAt.length)] ?? 0) : 240 + random(Math.max(1, length - 240));
    into[at % into.length] = random(2) === 0 ? (meaningful[random(meaningful.length)] ?? 0) : random(256);
  }
  if (random(8) === 0) {
    // A stretch twice: options that repeat, containers that do not end.
    const from = 240 + random(Math.max(1, length - 240));
    const size = Math.min(random(300), into.length - length, length - from);
    if (size > 0) {
      into.copyWithin(from + size, from, length);
      length += size;
    }
  }
  if (random(16) === 0) length = random(length + 1);
  return into.subarray(0, length);
}

const counts = { unreadable: 0, silence: 0, reply: 0 };
const buffer = Buffer.alloc(1500);
const started = process.hrtime.bigint();
for (let index = 0; index < total; index++) {
  const datagram = mutated(buffer);
  const farm = fuzzFarms[random(fuzzFarms.length)];
  if (farm === undefined) break;
  try {
    counts[fuzzOnce(datagram, farm)] += 1;
  } catch (error) {
    console.error(`datagram ${index}: ${datagram.toString('hex')}`);
    console.error(error);
    process.exit(1);
  }
}
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
console.log(`${total} datagrams in ${seconds.toFixed(1)} s, ${Math.round(total / seconds)} a second: ${JSON.stringify(counts)}`);
