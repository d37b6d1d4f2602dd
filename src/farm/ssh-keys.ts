// SSH host keys of nodes, and public keys of people: OpenSSH's PROTOCOL.key and RFC 4253 6.6, RFC 8709.
import { createHmac, createPrivateKey, createPublicKey } from 'node:crypto';

export interface HostKey {
  /** As in /etc/ssh/ssh_host_ed25519_key, without a newline at its end. */
  readonly private: string;
  /** As in the .pub beside it, without a comment. */
  readonly public: string;
}

/** RFC 8410 7: what comes before the 32 bytes of an Ed25519 private key in PKCS #8. */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const ed25519 = 'ssh-ed25519';
/** OpenSSH pads the private part to the block of a cipher, 8 for none (PROTOCOL.key). */
const blockBytes = 8;
/** Characters of base64 a line, as ssh-keygen writes. */
const lineLength = 70;

/** From which a node's host key is derived: always the same, and telling nothing of the farm's secret. By name, for people know hosts by their names. */
export function hostKeySeed(secret: Buffer, node: string): Buffer {
  return createHmac('sha256', secret).update(`ssh host key\0${node}`).digest();
}

/** The public half of an Ed25519 key of 32 random bytes: a point of 32 bytes. */
export function publicPoint(seed: Buffer): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' });
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url');
}

/** As OpenSSH has the key of this seed. */
export function hostKeyText(seed: Buffer, point: Buffer): HostKey {
  const file = Buffer.from(blankKey);
  for (const at of points) file.set(point, at);
  file.set(seed, seedAt);
  // Two equal numbers tell a reader that it has deciphered rightly; they need not be random where there is no cipher.
  const check = createHmac('sha256', seed).update('check').digest();
  for (const at of [secretAt, secretAt + 4]) file.set(check.subarray(0, 4), at);
  const text = file.toString('base64');
  let lines = '';
  for (let at = 0; at < text.length; at += lineLength) lines += `${text.slice(at, at + lineLength)}\n`;
  return {
    private: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}-----END OPENSSH PRIVATE KEY-----`,
    public: `${ed25519} ${file.toString('base64', publicAt, publicAt + publicBytes)}`,
  };
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** RFC 4251 5, `string`. */
function lengthed(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number(bytes.length), bytes]);
}

/** Every such key is the same but for seed, point and check: filled in here with zeros, for a farm has thousands. */
const blank = Buffer.alloc(32);
const publicBlob = Buffer.concat([lengthed(ed25519), lengthed(blank)]);
const publicBytes = publicBlob.length;
const beforePublic = Buffer.concat([Buffer.from('openssh-key-v1\0'), lengthed('none'), lengthed('none'), lengthed(''), number(1), number(publicBytes)]);
const secretPart = Buffer.concat([Buffer.alloc(8), publicBlob, lengthed(Buffer.concat([blank, blank])), lengthed('')]);
const padding = Buffer.from(Array.from({ length: (blockBytes - (secretPart.length % blockBytes)) % blockBytes }, (_, index) => index + 1));
const blankKey = Buffer.concat([beforePublic, publicBlob, lengthed(Buffer.concat([secretPart, padding]))]);
const publicAt = beforePublic.length;
const secretAt = publicAt + publicBytes + 4;
const seedAt = secretAt + 8 + publicBytes + 4;
const points: readonly number[] = [publicAt + publicBytes - 32, secretAt + 8 + publicBytes - 32, seedAt + 32];

const keyTypes: readonly string[] = [
  'ssh-ed25519',
  'ssh-rsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
];

/** What is wrong with a line of authorized_keys, which has no options here; undefined if nothing is. */
export function publicKeyFault(line: string): string | undefined {
  if (/-----BEGIN/.test(line)) return 'a public key, not a private one: what the file ending in .pub has';
  if (/\p{Cc}/u.test(line)) return 'one line: what the file ending in .pub has';
  const [type = '', base64 = ''] = line.split(' ');
  const wanted = 'a public key as in ~/.ssh/id_ed25519.pub';
  if (!keyTypes.includes(type)) return `${wanted}: it begins with ${keyTypes.join(', ')}`;
  const blob = Buffer.from(base64, 'base64');
  if (blob.toString('base64') !== base64 || blob.length <= 4 + type.length) return `${wanted}: what follows ${type} is cut off or altered`;
  // The type stands in the key again, with its length before it.
  if (!blob.subarray(0, 4 + type.length).equals(lengthed(type))) return `${wanted}: what follows ${type} is no such key`;
  for (let at = 0; at < blob.length; ) {
    const length = at + 4 <= blob.length ? blob.readUInt32BE(at) : blob.length;
    at += 4 + length;
    if (at > blob.length) return `${wanted}: what follows ${type} is cut off or altered`;
  }
  return undefined;
}
