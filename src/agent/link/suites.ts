// Which of TLS 1.3's cipher suites (RFC 8446 B.4) two agents use: the one that the weaker of them is better at. A processor without AES instructions needs three
// times as long for AES-128-GCM as for ChaCha20-Poly1305, and a move is mostly encryption; one with them is quick at both.
import { createCipheriv } from 'node:crypto';

const aes = { suite: 'TLS_AES_128_GCM_SHA256', cipher: 'aes-128-gcm', keyBytes: 16 } as const;
const chacha = { suite: 'TLS_CHACHA20_POLY1305_SHA256', cipher: 'chacha20-poly1305', keyBytes: 32 } as const;

/** A record of TLS. */
const recordBytes = 16 * 1024;
/** The best of so many: what else the machine does only makes one slower. Some ms on an old machine. */
const rounds = 8;
/** What is not clearly faster is not worth it: near the border both are as good. */
const worth = 1.2;

export interface Suites {
  /** As tls.connect and tls.createServer take it. Both are of SHA-256, which a pre-shared key must be. */
  readonly ciphers: string;
  /** Of the one that is called: whether its order counts, or the caller's. */
  readonly honorCipherOrder: boolean;
}

/** ChaCha20 if either side prefers it. */
export function tlsSuites(prefersChacha: boolean): Suites {
  const order = prefersChacha ? [chacha, aes] : [aes, chacha];
  return { ciphers: `${order.map(({ suite }) => suite).join(':')}:PSK`, honorCipherOrder: prefersChacha };
}

/** Measures this processor: flags in /proc/cpuinfo do not tell what an emulated one is good at. */
export function isChachaFaster(now: () => number = () => performance.now()): boolean {
  const record = Buffer.alloc(recordBytes);
  const best = ({ cipher, keyBytes }: typeof aes | typeof chacha): number => {
    let found = Number.POSITIVE_INFINITY;
    for (let round = 0; round < rounds; round += 1) {
      const began = now();
      // Of Node's types, each cipher has its own signature; the tag's length is the same for both.
      const encryption = createCipheriv(cipher as 'chacha20-poly1305', Buffer.alloc(keyBytes), Buffer.alloc(12), { authTagLength: 16 });
      encryption.update(record);
      encryption.final();
      found = Math.min(found, now() - began);
    }
    return found;
  };
  return best(aes) > best(chacha) * worth;
}
