// Signatures of images: made here, checked by openssl and by the very lines of shell that a node runs.
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { imagesSource } from '../../src/image/recipe.ts';
import { makeImageKey, publicModulus, readImageKey, signBytes, signFile } from '../../src/image/sign.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'farm-sign-'));
  makeImageKey(join(directory, 'key'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function key(name = 'key') {
  const found = readImageKey(join(directory, name));
  if (found === undefined) throw new Error('no key');
  return found;
}

const bytes = Buffer.from('a root file system');

describe('the image key', () => {
  test('is its owner’s alone, and is never replaced', () => {
    expect(statSync(join(directory, 'key')).mode & 0o777).toBe(0o600);
    expect(() => makeImageKey(join(directory, 'key'))).toThrow(/EEXIST/);
  });

  test('is absent until it is made, and must be what it says', () => {
    expect(readImageKey(join(directory, 'none'))).toBeUndefined();
    writeFileSync(join(directory, 'broken'), 'no key');
    expect(() => readImageKey(join(directory, 'broken'))).toThrow(/is no private key/);
  });

  test('gives the same signature for the same bytes, from memory and from a file', async () => {
    writeFileSync(join(directory, 'file'), bytes);
    expect(await signFile(key(), join(directory, 'file'))).toEqual(signBytes(key(), bytes));
    expect(signBytes(key(), bytes)).toHaveLength(384);
  });

  test('makes signatures that openssl verifies', () => {
    writeFileSync(join(directory, 'public.pem'), createPublicKey(key()).export({ type: 'spki', format: 'pem' }));
    writeFileSync(join(directory, 'file'), bytes);
    writeFileSync(join(directory, 'file.sig'), signBytes(key(), bytes));
    const verify = ['dgst', '-sha256', '-verify', 'public.pem', '-signature', 'file.sig', 'file'];
    expect(execFileSync('openssl', verify, { cwd: directory }).toString()).toContain('Verified OK');
  });
});

const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path) && execFileSync(path, ['--list']).toString().split('\n').includes('dc'));

/** Runs check_signature of images/initramfs/init in busybox: what it says, or `accepted`. `wget` there copies the signature. */
function nodeSays(content: Buffer, signature: Buffer | undefined, modulus: string): string {
  const script = readFileSync(join(imagesSource, 'initramfs/init'), 'utf8');
  const [body = ''] = /^check_signature\(\) \{\n.*?^\}\n/ms.exec(script) ?? [];
  expect(body).not.toBe('');
  writeFileSync(join(directory, 'modulus'), `${modulus}\n`);
  rmSync(join(directory, 'served'), { force: true });
  if (signature !== undefined) writeFileSync(join(directory, 'served'), signature);
  const here = body.replaceAll('/etc/farm/image.modulus', join(directory, 'modulus')).replaceAll('/run/farm', directory);
  const digest = createHash('sha256').update(content).digest('hex');
  const wget = `wget() { cp ${join(directory, 'served')} ${join(directory, 'signature')}; }\n`;
  const program = `${wget}${here}\ndigest=${digest}\nif check_signature http://x/y; then echo accepted; else echo "$failure"; fi\n`;
  return execFileSync(busybox ?? '', ['sh', '-c', program], { env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'pipe', 'ignore'] })
    .toString()
    .trim();
}

describe.skipIf(busybox === undefined)('a node', () => {
  test('accepts what the farm’s key has signed', () => {
    expect(nodeSays(bytes, signBytes(key(), bytes), publicModulus(key()))).toBe('accepted');
  });

  test('refuses other bytes, another key’s signature, a damaged, cut or padded one, and none', () => {
    makeImageKey(join(directory, 'other'));
    const signature = signBytes(key(), bytes);
    const damaged = Buffer.from(signature);
    damaged[200] = (damaged[200] ?? 0) ^ 1;
    const wrong = 'refused: the signature of http://x/y is wrong';
    expect(nodeSays(Buffer.from('another'), signature, publicModulus(key()))).toBe(wrong);
    expect(nodeSays(bytes, signBytes(key('other'), bytes), publicModulus(key()))).toBe(wrong);
    expect(nodeSays(bytes, damaged, publicModulus(key()))).toBe(wrong);
    expect(nodeSays(bytes, signature.subarray(0, 383), publicModulus(key()))).toBe(wrong);
    expect(nodeSays(bytes, Buffer.concat([signature, Buffer.alloc(1)]), publicModulus(key()))).toBe(wrong);
    expect(nodeSays(bytes, Buffer.alloc(384), publicModulus(key()))).toBe(wrong);
    expect(nodeSays(bytes, Buffer.alloc(0), publicModulus(key()))).toBe(wrong);
    expect(nodeSays(bytes, undefined, publicModulus(key()))).toMatch(/^refused: http:\/\/x\/y is not signed/);
  });
});
