// A person at a terminal on a machine's console: what they type, how they leave, and that their terminal is theirs again.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { attachConsole } from '../../src/lab/console.ts';

let top: string;
let server: Server;
let machine: Promise<Socket>;
const raw: boolean[] = [];

beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'lab-console-'));
  writeFileSync(join(top, 'log'), `${'old '.repeat(1000)}\nDebian GNU/Linux n1 ttyS0\n\nn1 login: `);
  raw.length = 0;
  server = createServer();
  machine = new Promise((resolve) => server.on('connection', resolve));
  await new Promise<void>((resolve) => server.listen(join(top, 'serial'), resolve));
});

afterEach(async () => {
  (await machine).destroy();
  server.close();
  rmSync(top, { recursive: true, force: true });
});

const lab = { machines: ['n1'], consoleLog: () => join(top, 'log'), consoleSocket: () => join(top, 'serial') };

function terminal(isTTY: boolean) {
  return Object.assign(new PassThrough(), { isTTY, setRawMode: (on: boolean) => raw.push(on) });
}

test('keys go to the machine, its text comes back, and Ctrl-] leaves with the terminal as it was', async () => {
  const [stdin, stdout] = [terminal(true), new PassThrough()];
  const session = attachConsole(lab, 'n1', stdin, stdout);
  const serial = await machine;
  stdin.write('root\r');
  expect(String(await new Promise((resolve) => serial.once('data', resolve)))).toBe('root\r');
  serial.write('Password: ');
  await new Promise((resolve) => stdout.on('data', (chunk: Buffer) => chunk.includes('Password') && resolve(undefined)));
  expect(raw).toEqual([true]);
  const rest = new Promise<string>((resolve) => {
    let text = '';
    serial.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    serial.on('close', () => resolve(text));
  });
  stdin.write(Buffer.from('ab\x1dcd'));
  expect(await session).toBe('left');
  expect(raw).toEqual([true, false]);
  expect(await rest).toBe('ab');
});

test('one sees the last lines from before one came', async () => {
  const [stdin, stdout] = [terminal(true), new PassThrough()];
  const session = attachConsole(lab, 'n1', stdin, stdout);
  await machine;
  stdin.write('\x1d');
  await session;
  const seen = String(stdout.read());
  expect(seen).toContain('n1 login: ');
  expect(seen).not.toContain('old');
});

test('the terminal is restored when the machine ends', async () => {
  const session = attachConsole(lab, 'n1', terminal(true), new PassThrough());
  (await machine).destroy();
  expect(await session).toBe('ended');
  expect(raw).toEqual([true, false]);
});

test('from a pipe every byte is input, and its end leaves', async () => {
  const stdin = terminal(false);
  const session = attachConsole(lab, 'n1', stdin, new PassThrough());
  const serial = await machine;
  const got = new Promise<string>((resolve) => {
    let text = '';
    serial.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    serial.on('end', () => resolve(text));
  });
  stdin.end('a\x1db\n');
  expect(await session).toBe('left');
  expect(await got).toBe('a\x1db\n');
});

test('a machine that is off, or unknown, has no console', async () => {
  void machine.then((socket) => socket.destroy());
  const off = { ...lab, consoleSocket: () => join(top, 'absent') };
  await expect(attachConsole(off, 'n1', terminal(true), new PassThrough())).rejects.toMatchObject({ code: 'lab.console' });
  await expect(attachConsole(lab, 'n9', terminal(true), new PassThrough())).rejects.toMatchObject({ code: 'lab.machine-unknown' });
  expect(raw).toEqual([]);
  machine = Promise.resolve((await import('node:net')).connect(join(top, 'serial')));
});
