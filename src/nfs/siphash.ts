// SipHash-2-4: 64 bits that only a holder of the key can compute. Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.

/** Two 64-bit numbers as low and high words. */
export type SipKey = readonly [number, number, number, number];

/** A key from 16 bytes. */
export function sipKey(bytes: Buffer): SipKey {
  return [bytes.readInt32LE(0), bytes.readInt32LE(4), bytes.readInt32LE(8), bytes.readInt32LE(12)];
}

// v0 to v3, each as low and high word. One state for all: a hash is finished before another can begin.
let l0 = 0;
let h0 = 0;
let l1 = 0;
let h1 = 0;
let l2 = 0;
let h2 = 0;
let l3 = 0;
let h3 = 0;

function carry(sum: number, term: number): number {
  return sum >>> 0 < term >>> 0 ? 1 : 0;
}

/** SIPROUND */
function round(): void {
  let low = (l0 + l1) | 0;
  h0 = (h0 + h1 + carry(low, l1)) | 0;
  l0 = low;
  low = (l1 << 13) | (h1 >>> 19);
  h1 = ((h1 << 13) | (l1 >>> 19)) ^ h0;
  l1 = low ^ l0;
  low = l0;
  l0 = h0;
  h0 = low;
  low = (l2 + l3) | 0;
  h2 = (h2 + h3 + carry(low, l3)) | 0;
  l2 = low;
  low = (l3 << 16) | (h3 >>> 16);
  h3 = ((h3 << 16) | (l3 >>> 16)) ^ h2;
  l3 = low ^ l2;
  low = (l0 + l3) | 0;
  h0 = (h0 + h3 + carry(low, l3)) | 0;
  l0 = low;
  low = (l3 << 21) | (h3 >>> 11);
  h3 = ((h3 << 21) | (l3 >>> 11)) ^ h0;
  l3 = low ^ l0;
  low = (l2 + l1) | 0;
  h2 = (h2 + h1 + carry(low, l1)) | 0;
  l2 = low;
  low = (l1 << 17) | (h1 >>> 15);
  h1 = ((h1 << 17) | (l1 >>> 15)) ^ h2;
  l1 = low ^ l2;
  low = l2;
  l2 = h2;
  h2 = low;
}

function compress(low: number, high: number): void {
  l3 ^= low;
  h3 ^= high;
  round();
  round();
  l0 ^= low;
  h0 ^= high;
}

/** Writes the hash of the first `length` bytes of `message`, eight bytes, to `target` at `at`. */
export function sipHash([k0, k1, k2, k3]: SipKey, message: Buffer, length: number, target: Buffer, at: number): void {
  l0 = k0 ^ 0x70736575;
  h0 = k1 ^ 0x736f6d65;
  l1 = k2 ^ 0x6e646f6d;
  h1 = k3 ^ 0x646f7261;
  l2 = k0 ^ 0x6e657261;
  h2 = k1 ^ 0x6c796765;
  l3 = k2 ^ 0x79746573;
  h3 = k3 ^ 0x74656462;
  const whole = length & ~7;
  for (let word = 0; word < whole; word += 8) compress(message.readInt32LE(word), message.readInt32LE(word + 4));
  let low = 0;
  let high = length << 24;
  for (let index = whole; index < length; index += 1) {
    const byte = message.readUInt8(index);
    if (index - whole < 4) low |= byte << (8 * (index - whole));
    else high |= byte << (8 * (index - whole - 4));
  }
  compress(low, high);
  l2 ^= 0xff;
  for (let rounds = 0; rounds < 4; rounds += 1) round();
  target.writeInt32LE(l0 ^ l1 ^ l2 ^ l3, at);
  target.writeInt32LE(h0 ^ h1 ^ h2 ^ h3, at + 4);
}
