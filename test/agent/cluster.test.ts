// Three real agents on loopback addresses: they find each other, tell the server, miss the one that dies and take it back.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noFlags } from '../../src/cluster/entry.ts';
import { encodeGossip, type Gossip } from '../../src/cluster/gossip.ts';
import { gossipKey } from '../../src/cluster/key.ts';
import { reportedMembersMax } from '../../src/cluster/report.ts';
import { type Launched, type Listener, launch, listenForReports, network, residentMemory, runAgent, type Workplace, workplace } from './launch.ts';

/** What a Debian node can spare: a V8 with little to do takes some 50 MiB, most of it the text of node itself. */
const residentMax = 80;

const port = 5428;
let place: Workplace;
let server: Listener;
let serverPort: number;
const agents = new Map<number, Launched>();

function map(): string {
  return join(place.path, 'openmosix.map');
}

function start(id: number): Launched {
  const agent = launch(place, `agent${id}`, [
    ...['--map', map(), '--key-file', join(place.path, 'key'), '--server', `127.0.0.1:${serverPort}`, '--address', `${network}.${id}`],
    ...['--cluster-port', String(port), '--interval', '100', '--report-interval', '500', '--boot-env', '/nonexistent'],
  ]);
  agents.set(id, agent);
  return agent;
}

function agent(id: number): Launched {
  const found = agents.get(id);
  if (found === undefined) throw new Error(`agent ${id} was not started`);
  return found;
}

beforeAll(async () => {
  place = await workplace();
  server = await listenForReports();
  serverPort = server.port;
  writeFileSync(map(), `# three nodes\n1 ${network}.1 3\n`);
}, 60_000);

afterAll(async () => {
  for (const { child } of agents.values()) child.kill('SIGKILL');
  await Promise.all([...agents.values()].map(({ ended }) => ended));
  await server.close();
  place.remove();
});

describe.sequential('three agents', () => {
  test('see each other alive and tell the server', async () => {
    for (const id of [1, 2, 3]) start(id);
    for (const id of [1, 2, 3]) {
      for (const other of [1, 2, 3].filter((one) => one !== id)) await agent(id).until(new RegExp(`^member.alive id=${other} `, 'm'));
      const report = await server.until(`of node ${id} with two live members`, (one) => one.id === id && one.counts.alive === 2);
      expect(report).toMatchObject({ stage: 'agent', system: 'starting', version: '0.1.0', members: [{ state: 'alive' }, { state: 'alive' }] });
      expect(report.memory.total).toBeGreaterThan(report.memory.available);
    }
  });

  test('are up when systemd says so, and say it soon', async () => {
    expect(server.reports.some(({ stage }) => stage === 'up')).toBe(false);
    place.finishBoot();
    for (const id of [1, 2, 3]) {
      expect(await server.until(`that node ${id} is up`, (one) => one.id === id && one.stage === 'up')).toMatchObject({ system: 'running' });
    }
  });

  test('show their view to people and programs', async () => {
    const { status, stdout } = await runAgent(place, ['status', '--socket', agent(1).socket]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/ is node 1 of cluster farm \(.*openmosix\.map\), stage up, system running\n/);
    expect(stdout).toMatch(/^ID +ADDRESS +STATE +HEARD +LOAD +SPEED +CPUS +FREE MEMORY +FLAGS$/m);
    expect(stdout).toMatch(new RegExp(`^1 +${network}\\.1 +self +- +\\d+ +\\d+ +\\d+ +\\d+/\\d+ MiB +-$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^3 +${network}\\.3 +alive +\\d\\.\\d s +\\d+ +\\d+ +\\d+ +\\d+/\\d+ MiB +-$`, 'm'));
    const json: unknown = JSON.parse((await runAgent(place, ['status', '--json', '--socket', agent(1).socket])).stdout);
    expect(json).toMatchObject({
      id: 1,
      members: [
        { id: 1, state: 'self' },
        { id: 2, state: 'alive' },
        { id: 3, state: 'alive' },
      ],
    });
  });

  test('stay small', () => {
    for (const id of [1, 2, 3]) expect(residentMemory(agent(id))).toBeLessThan(residentMax);
  });

  test('drop and count what is no announcement, and go on', async () => {
    const stranger = createSocket('udp4');
    stranger.bind(0, `${network}.77`);
    await once(stranger, 'listening');
    for (const bytes of [Buffer.alloc(0), Buffer.from('FARM'), Buffer.alloc(1400, 0xff), Buffer.from('GET / HTTP/1.0\r\n\r\n'.repeat(4))]) {
      stranger.send(bytes, port, `${network}.1`);
    }
    await agent(1).until(/^cluster.refused reason=short from=127\S+\.77 /m);
    await agent(1).until(/^cluster.refused reason=gossip.magic from=127\S+\.77 /m);
    stranger.close();
    const { stdout } = await runAgent(place, ['status', '--socket', agent(1).socket]);
    expect(stdout).toMatch(/^datagrams refused: .*short 2, gossip.magic 2$/m);
  });

  test('take nothing that was made with another key, changed on its way, or recorded', async () => {
    const view = async () => {
      const { members } = JSON.parse((await runAgent(place, ['status', '--json', '--socket', agent(1).socket])).stdout);
      return members.map(({ id, facts }: { id: number; facts: { flags: unknown; speed: number } }) => [id, facts.flags, facts.speed]);
    };
    const before = await view();
    const since = agent(1).said().length;
    const incarnation = server.reports.findLast(({ id }) => id === 1)?.incarnation ?? 0;
    const theirs = server.reports.findLast(({ id }) => id === 2)?.incarnation ?? 0;
    const lie: Gossip = {
      ...{ kind: 'leave', cluster: 'farm', sender: 2, recipient: 1, incarnation: theirs, echo: incarnation, sequence: 1, subject: 2 },
      claims: [{ id: 3, state: 'dead', incarnation: Number.MAX_SAFE_INTEGER - 1, refutation: 9 }],
      entries: [
        {
          id: 2,
          incarnation: theirs,
          refutation: 0,
          beat: 4e9,
          age: 0,
          facts: { flags: { ...noFlags, stay: true }, guests: 0, version: '9.9.9', speed: 1, cpus: 1, measures: undefined },
        },
      ],
    };
    const key = gossipKey(Buffer.from('c0ffee00'.repeat(8)));
    const good = encodeGossip(lie, key);
    const changed = Buffer.from(good);
    changed[40]! ^= 1;
    const attacks = [
      ['gossip.key', encodeGossip(lie, gossipKey(Buffer.from('deadbeef'.repeat(8))))],
      ['gossip.key', changed],
      ['address', good], // even with the key: not from node 2's address
      ['stranger', encodeGossip({ ...lie, sender: 9, entries: [] }, key)],
    ] as const;
    const liar = createSocket('udp4');
    liar.bind(0, `${network}.78`);
    await once(liar, 'listening');
    for (const [reason, bytes] of attacks) {
      for (let i = 0; i < 5; i += 1) liar.send(bytes, port, `${network}.1`);
      await agent(1).until(new RegExp(`^cluster.refused reason=${reason} `, 'm'), since);
    }
    liar.close();
    expect(await view()).toEqual(before);
    expect(agent(1).said().slice(since)).not.toMatch(/^member\.(dead|left) /m);
  });

  test('go on through a change of the key, in which some have the new one first', async () => {
    const [old, fresh] = ['c0ffee00'.repeat(8), 'badc0de5'.repeat(8)];
    const since = [1, 2, 3].map((id) => agent(id).said().length);
    for (const keys of [`${old}\n${fresh}\n`, `${fresh}\n${old}\n`, `${fresh}\n`]) {
      const before = [1, 2, 3].map((id) => agent(id).said().length);
      writeFileSync(join(place.path, 'key'), keys);
      for (const id of [1, 2, 3]) await agent(id).until(/^key.read /m, before[id - 1]);
    }
    for (const id of [1, 2, 3])
      expect(
        agent(id)
          .said()
          .slice(since[id - 1]),
      ).not.toMatch(/^member\.(dead|left) /m);
    const { members } = JSON.parse((await runAgent(place, ['status', '--json', '--socket', agent(1).socket])).stdout);
    for (const { age = 0 } of members) expect(age).toBeLessThan(5);
  });

  test('miss one that was killed: suspect, then dead, on both others and at the server', async () => {
    const since = server.reports.length;
    const [before1, before2] = [agent(1).said().length, agent(2).said().length];
    agent(3).child.kill('SIGKILL');
    expect(await agent(3).ended).toBe('SIGKILL');
    for (const [id, before] of [
      [1, before1],
      [2, before2],
    ] as const) {
      const suspected = await agent(id).until(/^member.suspect id=3 /m, before);
      await agent(id).until(/^member.dead id=3 /m, suspected - 60);
      await server.until(
        `of node ${id} that 3 is dead`,
        (one) => one.id === id && one.members.some((member) => member.id === 3 && member.state === 'dead'),
        since,
      );
    }
  });

  test('take it back when it starts again', async () => {
    const before = agent(1).said().length;
    const old = Math.max(...server.reports.filter(({ id }) => id === 3).map(({ incarnation }) => incarnation));
    start(3);
    await agent(1).until(/^member.alive id=3 /m, before);
    const back = await server.until('of the new incarnation', (one) => one.id === 3 && one.incarnation > old && one.counts.alive === 2);
    // Measured once: what the other runs of this machine do meanwhile does not change it.
    expect(back.seen[0]?.facts.speed).toBe(server.reports.find(({ id }) => id === 3)?.seen[0]?.facts.speed);
    expect(agent(3).said()).not.toContain('speed.measured');
  });

  test('go on without the server and find it again', async () => {
    const before = agent(1).said().length;
    await server.close();
    await agent(1).until(/^report.failed .*ECONNREFUSED/m, before);
    expect(agent(1).child.exitCode).toBeNull();
    server = await listenForReports(serverPort);
    await agent(1).until(/^report.resumed after=\d+/m, before);
    await server.until('of all three', () => new Set(server.reports.map(({ id }) => id)).size === 3);
  });

  test('follow the map on disk, and keep the old one while the new one is wrong', async () => {
    const before = agent(1).said().length;
    writeFileSync(map(), `1 ${network}.1\n`);
    const refused = await agent(1).until(/^map.refused code=map.invalid reason=".*line 1: .* has 2 fields, not 3/m, before);
    writeFileSync(map(), `1 ${network}.1 3\n200 ${network}.200 55\n300 127.9.0.1 40\n`);
    await agent(1).until(/^map.read .*nodes=98/m, refused);
    const report = await server.until('about the new nodes', (one) => one.id === 1 && one.counts.unknown === 95);
    expect(report.counts.alive).toBe(2);
    expect(report.members).toHaveLength(reportedMembersMax);
    expect(report.members.slice(0, 2)).toMatchObject([
      { id: 2, state: 'alive' },
      { id: 3, state: 'alive' },
    ]);
  });

  test('say goodbye to each other and the server on SIGTERM, within a second', async () => {
    const before = agent(1).said().length;
    const asked = performance.now();
    agent(2).child.kill('SIGTERM');
    expect(await agent(2).ended).toBe(0);
    expect(performance.now() - asked).toBeLessThan(1000);
    await agent(1).until(/^member.left id=2 /m, before);
    await server.until('that node 2 leaves', (one) => one.id === 2 && one.stage === 'leaving');
    await server.until('of node 1 that 2 has left', (one) => one.id === 1 && one.counts.left === 1);
  });

  test('say goodbye even without a server', async () => {
    await server.close();
    const asked = performance.now();
    agent(3).child.kill('SIGTERM');
    expect(await agent(3).ended).toBe(0);
    expect(performance.now() - asked).toBeLessThan(1000);
    server = await listenForReports(serverPort);
  });

  test('end when the map gives them another identity, for the next start to take it', async () => {
    writeFileSync(map(), `7 ${network}.1 1\n`);
    expect(await agent(1).ended).toBe(2);
    expect(agent(1).said()).toMatch(/says that this machine is node 7 at \S+, it was node 1 at /);
  });
});
