// What the agent says when it cannot start, and what `status` says when there is no agent.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { launch, network, runAgent, type Workplace, workplace } from './launch.ts';

let place: Workplace;
const own = `${network}.61`;

beforeAll(async () => {
  place = await workplace();
  writeFileSync(join(place.path, 'map'), `61 ${own} 1\n`);
  writeFileSync(join(place.path, 'bad'), '1 x\n');
  writeFileSync(join(place.path, 'named'), '1 localhost 1\n');
  writeFileSync(join(place.path, 'short'), 'secret\n');
}, 60_000);

afterAll(() => place.remove());

function options(change: Readonly<Record<string, string>> = {}): string[] {
  const all = {
    '--map': join(place.path, 'map'),
    '--key-file': join(place.path, 'key'),
    '--server': '127.0.0.1:9',
    '--address': own,
    '--boot-env': '/nonexistent',
    '--socket': join(place.path, 'main.sock'),
    '--state-dir': join(place.path, 'main.state'),
    '--config': '/nonexistent',
    '--hpc': 'none',
    ...change,
  };
  return Object.entries(all).flatMap(([name, value]) => [name, value.replace('PLACE', place.path)]);
}

describe('an agent that cannot start ends with status 2, one sentence and one remedy', () => {
  test.each([
    ['without a key', { '--key-file': 'PLACE/nokey' }, /^farm-agent: there is no .*\/nokey\n {2}the farm server writes it into the root of its nodes/],
    ['with a word for a key', { '--key-file': 'PLACE/short' }, /^farm-agent: .*\/short holds no farm key\n {2}a key is one word of 32 or more/],
    ['without a map', { '--map': 'PLACE/nomap' }, /^farm-agent: there is no .*\/nomap\n {2}/],
    ['with a map that is wrong', { '--map': 'PLACE/bad' }, /^farm-agent: .*\/bad line 1: "1 x" has 2 fields, not 3\n {2}write ID ADDRESS COUNT/],
    [
      'with a name that is 127.0.0.1',
      { '--map': 'PLACE/named' },
      /line 1: localhost is 127\.0\.0\.1 in \/etc\/hosts, which other nodes cannot reach\n {2}in \/etc\/hosts, move/,
    ],
    [
      'on a machine that is not in the map',
      { '--address': '10.254.254.254' },
      /is well formed, but this machine is not in it: it has 10\.254\.254\.254\n {2}add a line/,
    ],
    ['with an address that the machine does not have', { '--map': 'PLACE/far', '--address': '192.0.2.1' }, /does not have the address 192\.0\.2\.1\n {2}/],
    ['without a server', { '--server': '' }, /^farm-agent: there is no FARM_SERVER in \/nonexistent\n {2}name the server with --server/],
    ['with a server that is none', { '--server': 'http://x/' }, /^farm-agent: "http:\/\/x\/" is not a server's address\n/],
    ['with a cluster name that is none', { '--cluster': 'a b' }, /^farm-agent: "a b" cannot be a cluster's name\n/],
    ['with an interval of nothing', { '--interval': '0' }, /^farm-agent: --interval is "0"\n {2}give a whole number from 1 to 3600000\n$/],
    ['with a port beyond all', { '--port': '65536' }, /^farm-agent: --port is "65536"\n/],
    ['with an option that there is not', { '--colour': 'red' }, /^farm-agent: Unknown option '--colour'.*\n {2}farm-agent --help lists the options\n$/],
    ['with a boot.env that is a directory', { '--boot-env': '/proc' }, /^farm-agent: \/proc cannot be read: EISDIR\n/],
  ])('%s', async (_how, change, message) => {
    writeFileSync(join(place.path, 'far'), '1 192.0.2.1 1\n');
    const { status, stderr } = await runAgent(place, options(change));
    expect(stderr.replace(/^(map|speed)\..*\n/gm, '')).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(status).toBe(2);
  });

  test('while another agent runs', async () => {
    const first = launch(place, 'main', options());
    await first.until(/^agent.started /m);
    const again = await runAgent(place, options());
    expect(again.stderr).toMatch(/is used by another program\n/);
    expect(again.status).toBe(2);
    writeFileSync(join(place.path, 'map2'), `62 ${network}.62 1\n`);
    const elsewhere = await runAgent(place, options({ '--map': 'PLACE/map2', '--address': `${network}.62` }));
    expect(elsewhere.stderr).toMatch(/an agent answers on \S+main.sock already\n {2}stop it first/);
    expect(elsewhere.status).toBe(2);
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe(0);
  });
});

test('an agent replaces the socket that a dead one left, and survives SIGHUP', async () => {
  const first = launch(place, 'main', options());
  await first.until(/^agent.started /m);
  first.child.kill('SIGKILL');
  await first.ended;
  const second = launch(place, 'main', options());
  await second.until(/^agent.started /m);
  second.child.kill('SIGHUP');
  expect((await runAgent(place, ['status', '--socket', second.socket])).status).toBe(0);
  second.child.kill('SIGINT');
  expect(await second.ended).toBe(0);
});

describe('status', () => {
  test('without an agent ends with status 2 and where to look', async () => {
    const { status, stderr } = await runAgent(place, ['status', '--socket', join(place.path, 'none.sock')]);
    expect(stderr).toMatch(/^farm-agent: no agent answers on \S+none.sock \(ENOENT\)\n {2}see why with: systemctl status farm-agent\n$/);
    expect(status).toBe(2);
  });

  test('of something that is no agent is an error, not a stack trace', async () => {
    const path = join(place.path, 'liar.sock');
    const liar = createServer((socket) => socket.end('hello')).listen(path);
    const { status, stderr } = await runAgent(place, ['status', '--socket', path]);
    liar.close();
    expect(status).toBe(2);
    expect(stderr).toMatch(/^farm-agent: /);
  });
});

test('--help and --version answer', async () => {
  expect((await runAgent(place, ['--help'])).stdout).toContain('farm-agent status');
  expect((await runAgent(place, ['--version'])).stdout).toBe(`${manifest.version}\n`);
});
