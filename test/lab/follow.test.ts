// Following a file that grows: nothing is missed, and waiting ends.
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { followFile, waitForText } from '../../src/lab/follow.ts';

const top = mkdtempSync(join(tmpdir(), 'lab-follow-'));
afterAll(() => rmSync(top, { recursive: true, force: true }));

test('what was there comes first, then what is added, until the caller has enough', async () => {
  const path = join(top, 'log');
  writeFileSync(path, 'one ');
  let seen = '';
  const followed = followFile(
    path,
    (chunk) => {
      seen += chunk.toString();
      if (seen === 'one ') appendFileSync(path, 'two ');
      if (seen === 'one two ') appendFileSync(path, 'three');
      return seen.endsWith('three');
    },
    new AbortController().signal,
  );
  expect(await followed).toBe(true);
  expect(seen).toBe('one two three');
});

test('a pattern is found across writes, and in the middle of a character', async () => {
  const path = join(top, 'prompt');
  writeFileSync(path, '');
  const found = waitForText(path, /(\S+) login: /, new AbortController().signal);
  const bytes = Buffer.from('grün login: ');
  appendFileSync(path, bytes.subarray(0, 3));
  appendFileSync(path, bytes.subarray(3));
  expect((await found)?.[1]).toBe('grün');
});

test('an abort ends the wait with nothing', async () => {
  const path = join(top, 'quiet');
  writeFileSync(path, 'nothing of it');
  const abort = new AbortController();
  const waiting = waitForText(path, /login:/, abort.signal);
  abort.abort();
  expect(await waiting).toBeUndefined();
  await expect(followFile(join(top, 'absent'), () => true, abort.signal)).rejects.toMatchObject({ code: 'ENOENT' });
});
