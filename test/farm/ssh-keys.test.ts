// Host keys against ssh-keygen's reading of them (its output is written down here), and what is no public key.
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hostKeys } from '../../src/farm/host-keys.ts';
import { hostKeySeed, hostKeyText, publicKeyFault, publicPoint } from '../../src/farm/ssh-keys.ts';

const secret = Buffer.alloc(32, 7);
const directory = mkdtempSync(join(tmpdir(), 'farm-host-keys-'));
mkdirSync(join(directory, 'state'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('a host key', () => {
  const seed = hostKeySeed(secret, 'n1');
  const key = hostKeyText(seed, publicPoint(seed));

  it('is what ssh-keygen -y makes of the private half', () => {
    expect(key.public).toBe('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICRGeeQCTodtQQ/nwl56s1w6B8jlTHuuuKtXzEnJaRLL');
    const blob = Buffer.from(key.private.split('\n').slice(1, -1).join(''), 'base64');
    expect([blob.subarray(0, 14).toString(), blob[14], blob.length % 8]).toEqual(['openssh-key-v1', 0, (14 + 1 + 8 + 8 + 4 + 4 + 4 + 51 + 4) % 8]);
    expect(key.private.split('\n').every((line) => line.length <= 70)).toBe(true);
  });

  it('signs what its public half verifies', () => {
    const raw = Buffer.from(key.public.split(' ')[1] ?? '', 'base64').subarray(-32);
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' });
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
    const signature = sign(null, Buffer.from('hello'), createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
    expect(verify(null, Buffer.from('hello'), publicKey, signature)).toBe(true);
  });

  it('is kept, for its node alone, and known again by another process', () => {
    const path = join(directory, 'state/ssh-host-keys');
    const first = hostKeys(directory, secret);
    expect(first.of('n1')).toEqual(key);
    expect(first.of('n2').private).not.toBe(key.private);
    first.save();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const kept = readFileSync(path, 'utf8');
    expect(kept.split('\n').length).toBe(3);
    const second = hostKeys(directory, secret);
    expect(second.of('n1')).toEqual(key);
    second.save();
    expect(readFileSync(path, 'utf8')).toBe(kept);
  });

  it('does not depend on what is kept: a torn file and one of another secret change nothing', () => {
    const path = join(directory, 'state/ssh-host-keys');
    const other = hostKeys(directory, Buffer.alloc(32, 8));
    expect(other.of('n1').public).not.toBe(key.public);
    other.save();
    expect(hostKeys(directory, secret).of('n1')).toEqual(key);
    writeFileSync(path, readFileSync(path).subarray(0, 50));
    expect(hostKeys(directory, secret).of('n1')).toEqual(key);
  });
});

describe('a public key of farm.yaml', () => {
  const good = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICRGeeQCTodtQQ/nwl56s1w6B8jlTHuuuKtXzEnJaRLL';
  it.each([
    [good, undefined],
    [`${good} me@home, at night`, undefined],
    [good.slice(0, -4), 'cut off'],
    [good.slice(0, -3), 'cut off'],
    [good.replace('ssh-ed25519', 'ssh-rsa'), 'is no such key'],
    [good.replace('ssh-ed25519', 'ssh-dss'), 'it begins with'],
    [`command="x" ${good}`, 'it begins with'],
    ['ssh-ed25519', 'cut off'],
    [`${good}\n${good}`, 'one line'],
    ['-----BEGIN OPENSSH PRIVATE KEY-----', 'not a private one'],
  ])('%s: %s', (line, fault) => {
    if (fault === undefined) expect(publicKeyFault(line)).toBeUndefined();
    else expect(publicKeyFault(line)).toContain(fault);
  });
});
