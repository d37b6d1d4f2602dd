// Asking a lab: its answers, its refusals, and what is there instead of a lab.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { ask, requestSchema } from '../../src/lab/control.ts';

const top = mkdtempSync(join(tmpdir(), 'lab-control-'));
const path = join(top, 'control');
let server: Server | undefined;
afterAll(() => rmSync(top, { recursive: true, force: true }));
afterEach(() => new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve()))));

function listen(answer: (connection: Socket) => void): Promise<void> {
  return new Promise((resolve) => {
    server = createServer((connection) => connection.once('data', () => answer(connection))).listen(path, resolve);
  });
}

const status = { phase: 'up', interface: 'eth1', address: '10.11.0.1/24', serve: { state: 'ready', since: 1, log: '/l' }, machines: [] };

test('a lab’s answer is its state', async () => {
  await listen((connection) => connection.write(`${JSON.stringify({ ok: true, status })}\n`));
  expect(await ask(path, { do: 'status' })).toEqual(status);
});

test('a refusal comes with its code and hint', async () => {
  await listen((connection) => connection.write('{"ok":false,"code":"lab.machine-off","message":"n1 is off","hint":"switch it on"}\n'));
  await expect(ask(path, { do: 'power', machine: 'n1', action: 'reset' })).rejects.toMatchObject({ code: 'lab.machine-off', hint: 'switch it on' });
});

test.each(['nonsense', '{}', '[]', '{"ok":true}', 'null'])('an answer like %s is not taken for a state', async (line) => {
  await listen((connection) => connection.write(`${line}\n`));
  await expect(ask(path, { do: 'status' })).rejects.toMatchObject({ code: 'lab.control' });
});

test('a lab that ends instead of answering is gone', async () => {
  await listen((connection) => connection.destroy());
  await expect(ask(path, { do: 'down' })).rejects.toMatchObject({ code: 'lab.gone' });
});

test('where nothing listens there is no lab', async () => {
  await expect(ask(join(top, 'absent'), { do: 'status' })).rejects.toMatchObject({ code: 'lab.gone' });
  writeFileSync(join(top, 'file'), '');
  await expect(ask(join(top, 'file'), { do: 'status' })).rejects.toMatchObject({ code: 'lab.gone' });
});

test.each([{}, { do: 'power', machine: 'n1', action: 'explode' }, { do: 'kill-serve', signal: 'SIGSEGV' }, { do: 'rm' }, 7, undefined])(
  'the request %j is not one',
  (request) => {
    expect(requestSchema.safeParse(request).success).toBe(false);
  },
);
