// groff reads every manual page without a warning, and man(1) shows one.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const directory = mkdtempSync(join(tmpdir(), 'farm-man-'));
afterAll(() => rmSync(directory, { recursive: true }));

it('every command has a page that groff understands', () => {
  execFileSync(command, ['man', '--out', directory]);
  const pages = readdirSync(directory);
  expect(pages).toEqual(expect.arrayContaining(['farm.1', 'farm-node-list.1', 'farm-power.1']));
  const { stderr, status } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z', ...pages.map((page) => join(directory, page))], { encoding: 'utf8' });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
});

it('man shows a page as people read it', () => {
  const env = { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', MANWIDTH: '100', TERM: 'dumb' };
  const printed = execFileSync('man', ['-P', 'cat', '-l', join(directory, 'farm-power.1')], { encoding: 'utf8', env });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: bold is a letter, a backspace and the letter again
  const text = printed.replaceAll(/.\u0008/g, '');
  expect(text).toContain('farm power [options] <order> <nodes...>');
  expect(text).toMatch(/--soft\s+with off: ask the operating system to shut down/);
  expect(text).toMatch(/-C, --directory <dir>/);
});
