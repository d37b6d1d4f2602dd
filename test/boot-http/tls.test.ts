import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { doubt, readTls } from '../../src/boot/certificate.ts';
import { expiredCertificate, lockedKey, otherKey, renewedCertificate, serverCertificate, serverKey } from './certificates.ts';
import { startWorld, type World } from './world.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-tls-'));
const file = (name: string, text: string) => {
  writeFileSync(join(place, name), text);
  return join(place, name);
};
const good = { certificate: serverCertificate, key: serverKey };
let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});
afterAll(() => rmSync(place, { recursive: true }));

const routes = async () => ({ kind: 'text', text: 'hello\n' }) as const;

/** Whom the server says it is, and what it answers. */
function ask(port: number, ca: string): Promise<{ readonly subject: string; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, ca, servername: 'farm.lan', agent: false }, (response) => {
      const { socket } = response;
      const subject = 'getPeerCertificate' in socket && typeof socket.getPeerCertificate === 'function' ? socket.getPeerCertificate().subject.CN : '';
      let body = '';
      response.on('data', (piece) => {
        body += piece;
      });
      response.on('end', () => resolve({ subject, body }));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

describe('a certificate and its key', () => {
  it('are read from files or given as text', () => {
    const fromFiles = readTls({ certificate: file('a.pem', serverCertificate), key: file('a.key', serverKey) });
    expect(fromFiles).toEqual(readTls(good));
    expect(fromFiles).toMatchObject({ subject: 'CN=farm.lan', validFrom: Date.UTC(2020, 0, 1), validTo: Date.UTC(2120, 0, 1) });
  });

  it.each([
    ['a certificate that is not there', { ...good, certificate: '/nowhere/server.pem' }, 'tls.absent', '/nowhere/server.pem is not there'],
    ['a key that is not there', { ...good, key: '/nowhere/server.key' }, 'tls.absent', 'the TLS key /nowhere/server.key'],
    ['a directory', { ...good, key: place }, 'tls.unreadable', 'EISDIR'],
    ['what is no certificate', { ...good, certificate: file('text', 'hello') }, 'tls.certificate', 'is no certificate in PEM'],
    ['a certificate cut short', { ...good, certificate: file('cut', serverCertificate.slice(0, 200)) }, 'tls.certificate', 'is no certificate in PEM'],
    ['files the wrong way round', { certificate: file('k', serverKey), key: file('c', serverCertificate) }, 'tls.certificate', 'is no certificate'],
    ['what is no key', { ...good, key: file('nokey', serverCertificate) }, 'tls.key', 'is no private key in PEM'],
    ['a key with a passphrase', { ...good, key: file('locked', lockedKey) }, 'tls.key', 'has a passphrase'],
    ['the key of another certificate', { ...good, key: file('other', otherKey) }, 'tls.mismatch', 'does not belong to the certificate'],
  ])('are refused with a sentence for %s', (_, files, code, text) => {
    expect(() => readTls(files)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(text), hint: expect.any(String) }));
  });

  it.each([
    ['good', serverCertificate, Date.UTC(2026, 0, 1), undefined],
    ['expired', expiredCertificate, Date.UTC(2026, 0, 1), 'expired on 2002-01-01'],
    ['not valid yet, because the clock is wrong', serverCertificate, Date.UTC(1970, 0, 1), 'is valid from 2020-01-01 on'],
    ['about to expire', serverCertificate, Date.UTC(2119, 11, 25), 'expires on 2120-01-01'],
  ])('are %s', (_, certificate, now, reason) => {
    const found = doubt(readTls({ certificate, key: serverKey }), now);
    expect(found?.reason).toEqual(reason === undefined ? undefined : expect.stringContaining(reason));
  });
});

describe('HTTPS', () => {
  it('is a second listener with the same answers', async () => {
    world = await startWorld({ routes, tls: { ...good, port: 0 } });
    expect(await ask(world.tlsPort, serverCertificate)).toEqual({ subject: 'farm.lan', body: 'hello\n' });
    expect(await world.raw('GET / HTTP/1.0\r\n\r\n')).toContain('hello');
    expect(await world.logged('http.done')).toMatchObject({ client: '127.0.0.1', status: 200 });
  });

  it('does not start with a wrong key, and leaves no port open', async () => {
    await expect(startWorld({ tls: { ...good, key: otherKey, port: 0 } })).rejects.toMatchObject({ code: 'tls.mismatch' });
  });

  it('starts with an expired certificate, loudly', async () => {
    world = await startWorld({ routes, tls: { ...good, certificate: expiredCertificate, port: 0 } });
    expect(world.events[0]).toMatchObject({ level: 'error', event: 'tls.doubtful', fields: { reason: expect.stringContaining('expired') } });
  });

  it('takes up a renewed certificate without a restart, and keeps the last good one', async () => {
    const certificate = file('live.pem', serverCertificate);
    const key = file('live.key', serverKey);
    world = await startWorld({ routes, tls: { certificate, key, port: 0, every: 10 } });
    renameSync(file('next.pem', renewedCertificate), certificate);
    expect(await world.logged('tls.renewed')).toMatchObject({ subject: 'CN=renewed.farm.lan' });
    await expect(ask(world.tlsPort, serverCertificate)).rejects.toThrow();
    renameSync(file('next.key', otherKey), key);
    expect(await world.logged('tls.refused')).toMatchObject({ code: 'tls.mismatch' });
    const socket = connectTls({ port: world.tlsPort, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    expect(socket.getPeerCertificate().subject.CN).toBe('renewed.farm.lan');
    socket.destroy();
  });

  it('closes a client that never shakes hands, and one that speaks plain HTTP', async () => {
    world = await startWorld({ routes, tls: { ...good, port: 0 }, limits: { head: 100 } });
    const silent = connect(world.tlsPort, '127.0.0.1');
    const plain = connect(world.tlsPort, '127.0.0.1');
    plain.write('GET / HTTP/1.1\r\n\r\n');
    for (const socket of [silent, plain]) socket.on('error', () => {}).resume();
    await Promise.all([silent, plain].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    expect(await world.logged('http.malformed')).toMatchObject({ reason: expect.any(String) });
  });
});
