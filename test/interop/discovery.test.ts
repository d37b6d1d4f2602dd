// Agents without a map, each in a network namespace of its own on one bridge: they find each other by multicast, and hear a goodbye.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle, inside, ip, makeSpaces, removeSpaces } from './namespaces.ts';

const tag = `fdisc${process.pid % 100_000}`;
const wire = `${tag}w`;
const spaces = [1, 2, 3].map((id) => `${tag}n${id}`);
const folder = mkdtempSync(join(tmpdir(), 'farm-discovery-'));
const agents = new Map<number, ChildProcess>();
const said = new Map<number, string>();

function start(id: number): void {
  const files = ['--key-file', join(folder, 'key'), '--socket', join(folder, `${id}.sock`), '--state-dir', join(folder, `state${id}`)];
  const options = ['--discover', '--interfaces', 'c0', '--server', '127.0.0.1:9', '--hpc', 'none', '--boot-env', '/nonexistent', '--config', '/nonexistent'];
  const child = spawn('ip', ['netns', 'exec', `${tag}n${id}`, process.execPath, join(folder, 'agent.mjs'), ...options, ...files], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  agents.set(id, child);
  child.stderr?.setEncoding('utf8').on('data', (text: string) => said.set(id, (said.get(id) ?? '') + text));
}

async function hear(id: number, pattern: RegExp): Promise<void> {
  for (const end = Date.now() + 30_000; !pattern.test(said.get(id) ?? ''); await delay(50)) {
    if (Date.now() > end) throw new Error(`agent ${id} never said ${pattern}, but:\n${said.get(id)}`);
  }
}

beforeAll(async () => {
  makeSpaces([wire, ...spaces]);
  ip('-n', wire, 'link', 'add', 'br0', 'type', 'bridge');
  ip('-n', wire, 'link', 'set', 'br0', 'up');
  for (const [i, space] of spaces.entries()) {
    ip('link', 'add', 'c0', 'netns', space, 'type', 'veth', 'peer', 'name', `p${i}`, 'netns', wire);
    ip('-n', wire, 'link', 'set', `p${i}`, 'master', 'br0', 'up');
    ip('-n', space, 'addr', 'add', `10.99.0.${i + 1}/24`, 'dev', 'c0');
    ip('-n', space, 'link', 'set', 'c0', 'up');
  }
  writeFileSync(join(folder, 'key'), 'c0ffee00'.repeat(8));
  await bundle(new URL('../../src/agent/main.ts', import.meta.url), join(folder, 'agent.mjs'));
});

afterAll(() => {
  for (const agent of agents.values()) agent.kill('SIGKILL');
  removeSpaces([wire, ...spaces]);
  rmSync(folder, { recursive: true, force: true });
});

describe.sequential('agents without a map', () => {
  test('find each other by multicast, a late one too, with nothing restarted', async () => {
    start(1);
    start(2);
    await hear(1, /^member.alive id=2 address=10.99.0.2$/m);
    await hear(2, /^member.alive id=1 address=10.99.0.1$/m);
    start(3);
    for (const id of [1, 2]) await hear(id, /^member.alive id=3 address=10.99.0.3$/m);
    for (const id of [1, 2]) expect(said.get(id)?.match(/^agent.started /gm)).toHaveLength(1);
  });

  test('hear a goodbye, and forget who said it', async () => {
    agents.get(3)?.kill('SIGTERM');
    for (const id of [1, 2]) await hear(id, /^map.read file=discovery nodes=3\n(?:.*\n)*?map.read file=discovery nodes=2$/m);
    const status = await inside(spaces[0]!, process.execPath, [join(folder, 'agent.mjs'), 'status', '--socket', join(folder, '1.sock')]);
    expect(status).toMatch(/^2 +10\.99\.0\.2 +alive /m);
    expect(status).not.toContain('10.99.0.3');
  });
});
