// Exit statuses and what --json says of a failure, of the program as it is installed: docs/reference/errors.md.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const top = mkdtempSync(join(tmpdir(), 'farm-status-'));
const directory = join(top, 'lab');
afterAll(() => rmSync(top, { recursive: true }));

function farm(...words: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(command, words, { encoding: 'utf8', cwd: top });
  return { status, stdout, stderr };
}

beforeAll(() => {
  expect(farm('init', directory, '--interface', 'eth1', '--address', '10.11.0.1/24').status).toBe(0);
});

it.each<[string, number, string]>([
  ['--version', 0, ''],
  ['node list --help', 0, ''],
  ['node list --json', 0, ''],
  ['dhcp why 52:54:00:12:34:56', 1, ''],
  ['', 2, 'Usage: farm'],
  ['nodes', 2, "unknown command 'nodes'"],
  ['node list --jsn', 2, "unknown option '--jsn'"],
  ['node show', 2, "missing required argument 'nodes'"],
  ['init', 2, 'is a farm already'],
  ['add-node 52:54:00', 2, 'is not a MAC address'],
  ['add-node 52:54:00:12:34:56 --ip 10.12.0.1', 2, "is in none of the farm's networks"],
  ['node show n9', 2, 'farm: this farm has no node n9'],
  ['node show n9 --json', 2, '{"error":{"code":"nodes.missing",'],
  ['boot n9 memtest --json', 2, '{"error":{"code":"nodes.missing",'],
  ['ctl all status --json', 2, '{"error":{"code":'],
  ['explain n9 /etc/hosts --json', 2, '{"error":{"code":"node.unknown",'],
])('farm %s ends with %i', (line, status, told) => {
  const words = line.split(' ').filter((word) => word !== '');
  const ended = farm('-C', directory, ...(words[0] === 'init' ? [...words, directory] : words));
  expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status, stderr: expect.stringContaining(told) });
  if (status !== 2) expect(ended.stderr).toBe('');
  if (told.startsWith('{')) {
    expect(ended.stdout).toBe('');
    expect(JSON.parse(ended.stderr).error.message).not.toBe('');
  }
});

it('a directory without a farm is told by its code', () => {
  const { status, stdout, stderr } = farm('-C', top, 'status', '--json');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(JSON.parse(stderr)).toEqual({
    error: { code: 'farm.missing', message: `there is no farm.yaml in ${top}`, hint: `make a farm there with: farm init ${top}` },
  });
});
