import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openUpload } from '../../src/base/upload.ts';
import type { UploadTo } from '../../src/boot/upload.ts';
import { head, startWorld, type World } from './world.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-upload-'));
let world: World;
let directory = '';
let count = 0;
const limit = 100_000;

beforeEach(async () => {
  count += 1;
  directory = join(place, String(count), 'n1');
  world = await startWorld({ upload: () => ({ directory, limit }), limits: { body: 10 } });
});
afterEach(() => world.close());
afterAll(() => rmSync(place, { recursive: true }));

const status = (reply: string) => reply.slice(9, 12);
const put = (name: string, body: string) => world.raw(`${head('PUT', `/uploads/${name}`, { 'Content-Length': body.length })}${body}`);

describe('a file that a node sends', () => {
  it('is kept under its name, for the server alone', async () => {
    expect(await put('dmesg.1', 'x'.repeat(70_000))).toMatch(/^HTTP\/1.1 201 [\s\S]*70000 bytes are kept\n$/);
    expect(readFileSync(join(directory, 'dmesg.1'), 'utf8')).toBe('x'.repeat(70_000));
    expect([statSync(join(directory, 'dmesg.1')).mode & 0o777, statSync(directory).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(await world.logged('http.upload')).toEqual({ client: '127.0.0.1', file: 'dmesg.1', bytes: 70_000 });
  });

  it('may come without its length being told', async () => {
    const reply = await world.raw(`${head('PUT', '/uploads/log', { 'Transfer-Encoding': 'chunked' })}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`);
    expect([status(reply), readFileSync(join(directory, 'log'), 'utf8')]).toEqual(['201', 'abcde']);
  });

  it('replaces the one before, whose bytes do not count then', async () => {
    for (const letter of ['a', 'b', 'c']) expect(status(await put('core', letter.repeat(80_000)))).toBe('201');
    expect(readFileSync(join(directory, 'core'), 'utf8')).toBe('c'.repeat(80_000));
  });

  it('may be empty', async () => {
    expect(status(await put('empty', ''))).toBe('201');
    expect(statSync(join(directory, 'empty')).size).toBe(0);
  });

  it('leaves nothing when the node goes away in the middle', async () => {
    const socket = connect(world.port, '127.0.0.1');
    socket.write(`${head('PUT', '/uploads/half', { 'Content-Length': 1000 })}abc`, () => socket.resetAndDestroy());
    expect(await world.logged('http.done')).toMatchObject({ aborted: true });
    await expect.poll(() => (statSync(directory, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(directory))).toEqual([]);
  });

  it('takes the place of what a killed server left half', async () => {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, '.upload-0123456789abcdef'), 'x'.repeat(90_000));
    expect(status(await put('core', 'x'.repeat(80_000)))).toBe('201');
    expect(readdirSync(directory)).toEqual(['core']);
  });

  it('counts with what TFTP is writing into the same directory, before and after that is whole', async () => {
    const file = await openUpload({ directory, limit, name: 'by-tftp', replace: true });
    await file.write(Buffer.alloc(50_000));
    expect(status(await put('a', 'x'.repeat(50_000)))).toBe('413');
    await file.commit();
    expect(status(await put('a', 'x'.repeat(50_000)))).toBe('413');
    expect(status(await put('a', 'x'.repeat(30_000)))).toBe('201');
    await expect(openUpload({ directory, limit, name: 'more', replace: true }, 20_000)).rejects.toMatchObject({ code: 'upload.full' });
  });
});

describe('a file is refused', () => {
  it('where nothing is taken', async () => {
    await world.close();
    world = await startWorld({});
    expect(await put('x', 'abc')).toMatch(/^HTTP\/1.1 403 [\s\S]*This server takes no files from you\n$/);
  });

  it('from a client for whom there is no place', async () => {
    await world.close();
    const upload: UploadTo = (client) => (client === '10.11.0.7' ? { directory, limit } : undefined);
    world = await startWorld({ upload });
    expect(status(await put('x', 'abc'))).toBe('403');
  });

  it.each([['..'], ['.hidden'], ['a/b'], ['%2e%2e%2fx'], ['a%00b'], ['a%0ab'], [''], ['x'.repeat(201)]])('when it is called %s', async (name) => {
    expect(status(await put(name, 'abc'))).toMatch(/40[03]/);
    expect(statSync(directory, { throwIfNoEntry: false })).toBe(undefined);
  });

  it('when it alone is too large, before it is sent', async () => {
    expect(await world.raw(head('PUT', '/uploads/x', { 'Content-Length': limit + 1 }))).toMatch(/^HTTP\/1.1 413 /);
  });

  it('when it becomes too large, or there is too much already', async () => {
    expect(status(await put('a', 'x'.repeat(50_000)))).toBe('201');
    expect(status(await put('b', 'x'.repeat(50_000)))).toBe('413');
    const chunk = `${(30_000).toString(16)}\r\n${'x'.repeat(30_000)}\r\n`;
    expect(status(await world.raw(`${head('PUT', '/uploads/c', { 'Transfer-Encoding': 'chunked' })}${chunk.repeat(2)}0\r\n\r\n`))).toBe('413');
    expect(readdirSync(directory)).toEqual(['a']);
  });

  it('when it is one too many of those that come at once', async () => {
    const replies = await Promise.all(['a', 'b', 'c', 'd'].map((name) => put(name, 'x'.repeat(30_000))));
    expect(replies.map(status).sort()).toEqual(['201', '201', '413', '413']);
  });

  it('when the directory fills with empty ones', async () => {
    const replies: string[] = [];
    for (let number = 0; number < 26; number += 1) replies.push(status(await put(`e${number}`, '')));
    expect(replies.filter((reply) => reply === '201').length).toBe(Math.floor(limit / 4096));
  });

  it('when the disk cannot take it, which is said in the log', async () => {
    mkdirSync(join(place, String(count)), { recursive: true });
    writeFileSync(directory, 'in the way');
    expect(status(await put('x', 'abc'))).toBe('500');
    expect(await world.logged('http.failed')).toMatchObject({ reason: expect.stringContaining('cannot be written') });
  });
});
