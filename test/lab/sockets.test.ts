// A lab's sockets lie beside its logs where their paths are short enough, and elsewhere if not.
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { machineSockets, makeSocketDirectory, removeSocketDirectory } from '../../src/lab/sockets.ts';

const top = mkdtempSync(join(tmpdir(), 'lab-sockets-'));
afterAll(() => rmSync(top, { recursive: true, force: true }));

function directory(name: string): string {
  const path = join(top, name);
  mkdirSync(path, { recursive: true });
  return path;
}

test('a short directory holds its sockets itself, and only its owner may enter', () => {
  const lab = directory('short');
  const sockets = makeSocketDirectory(lab, ['n1'], undefined);
  expect(sockets).toBe(join(lab, 'sockets'));
  expect(statSync(sockets).mode & 0o777).toBe(0o700);
  removeSocketDirectory(lab);
  expect(existsSync(sockets)).toBe(false);
});

test('a long directory links to a short one, where a socket can be bound', async () => {
  const lab = directory('x'.repeat(100));
  const sockets = makeSocketDirectory(lab, ['n1'], directory('run'));
  expect(sockets.startsWith(join(top, 'run'))).toBe(true);
  expect(lstatSync(join(lab, 'sockets')).isSymbolicLink()).toBe(true);
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen(machineSockets(sockets, 'n1').serial, resolve));
  await new Promise((resolve) => server.close(resolve));
  removeSocketDirectory(lab);
  expect(existsSync(sockets)).toBe(false);
  expect(existsSync(join(lab, 'sockets'))).toBe(false);
});

test('a runtime directory that is too long itself is passed over for /tmp', () => {
  const lab = directory('y'.repeat(100));
  const sockets = makeSocketDirectory(lab, ['n1'], directory('z'.repeat(100)));
  expect(sockets).toMatch(/^\/tmp\/farm-lab-/);
  removeSocketDirectory(lab);
  expect(existsSync(sockets)).toBe(false);
});

test('what an earlier lab left is removed with the place it linked to', () => {
  const lab = directory('w'.repeat(100));
  const before = makeSocketDirectory(lab, ['n1'], undefined);
  const after = makeSocketDirectory(lab, ['n1'], undefined);
  expect(existsSync(before)).toBe(false);
  expect(existsSync(after)).toBe(true);
  removeSocketDirectory(lab);
});
