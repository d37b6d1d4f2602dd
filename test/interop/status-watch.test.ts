// farm status --watch without a terminal: a line for each change, through an edit that is half done, until a signal.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const command = join(fileURLToPath(new URL('../..', import.meta.url)), 'bin', 'farm');
const directory = mkdtempSync(join(tmpdir(), 'farm-watch-'));
const addNode = (mac: string) => execFileSync(command, ['-C', directory, 'add-node', mac]);

beforeAll(() => {
  execFileSync(command, ['init', directory, '--name', 'lab', '--interface', 'eth1', '--address', '10.11.0.1/24']);
  addNode('52:54:00:00:00:01');
});
afterAll(() => rmSync(directory, { recursive: true }));

async function next(lines: Interface): Promise<string> {
  const [line]: string[] = await once(lines, 'line');
  return line ?? '';
}

it('tells what changes until it is ended', async () => {
  const watch = spawn(command, ['-C', directory, 'status', '--watch', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(watch, 'exit');
  try {
    const [lines, troubles] = [createInterface({ input: watch.stdout }), createInterface({ input: watch.stderr })];
    expect(JSON.parse(await next(lines))).toEqual({ time: expect.stringMatching(/^\d{4}-.*Z$/), node: 'n1', stage: 'off' });
    const config = join(directory, 'farm.yaml');
    const right = readFileSync(config, 'utf8');
    appendFileSync(config, 'nonsense: [\n');
    expect(await next(troubles)).toContain('farm.yaml:');
    writeFileSync(config, right);
    addNode('52:54:00:00:00:02');
    expect(JSON.parse(await next(lines))).toMatchObject({ node: 'n2', stage: 'off' });
    watch.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
  } finally {
    watch.kill('SIGKILL');
  }
});
