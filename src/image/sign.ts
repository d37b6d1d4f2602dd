// The farm's image key, and signatures that nodes check: RSA PKCS #1 v1.5 with SHA-256 (RFC 8017 8.2), which busybox dc can verify.
import { createPrivateKey, createPublicKey, createSign, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createReadStream, readFileSync, writeFileSync } from 'node:fs';
import { FarmError, sentence, systemCode } from '../base/errors.ts';

/** Bits: as strong as 128-bit ciphers (NIST SP 800-57), and checked by dc in a few seconds even on old machines. */
const modulusBits = 3072;

/** What the initramfs has of the key, and the file's name there. */
export const publicKeyPath = 'etc/farm/image.modulus';

/** The end of a signature's file name: `root.squashfs.sig`. */
export const signatureSuffix = '.sig';

/** The key in `path`; undefined if there is none. Throws `FarmError` `image.key`. */
export function readImageKey(path: string): KeyObject | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new FarmError('image.key', `the image key ${path} cannot be read: ${sentence(error)}`, 'run it as the user who made the key', error);
  }
  try {
    const key = createPrivateKey(text);
    const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
    if (key.asymmetricKeyType === 'rsa' && modulusLength === modulusBits && publicExponent === 65_537n) return key;
  } catch (error) {
    throw new FarmError('image.key', `${path} is no private key: ${sentence(error)}`, 'restore it from a backup', error);
  }
  throw new FarmError('image.key', `${path} is no RSA key of ${modulusBits} bits with exponent 65537`, 'restore it from a backup, or remove it and sign anew');
}

/** Makes a key that its owner alone can read. Throws if there is a file already. */
export function makeImageKey(path: string): KeyObject {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: modulusBits, publicExponent: 65_537 });
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  return privateKey;
}

/** The signature of `bytes`, always the same for the same key and bytes. `openssl dgst -sha256 -verify` checks it too. */
export function signBytes(key: KeyObject, bytes: Buffer): Buffer {
  return sign('sha256', bytes, key);
}

/** The public key's modulus in upper-case hex, all that a verifier needs to know. */
export function publicModulus(key: KeyObject): string {
  const { n = '' } = createPublicKey(key).export({ format: 'jwk' });
  return Buffer.from(n, 'base64url').toString('hex').toUpperCase();
}

/** The signature of a file of any size. */
export async function signFile(key: KeyObject, path: string): Promise<Buffer> {
  const signer = createSign('sha256');
  for await (const chunk of createReadStream(path)) signer.update(chunk);
  return signer.sign(key);
}
