// The torture run: programs that compute, grow, write and read files, fork, have threads and read pipes are moved among three nodes every few seconds, all that
// they print is compared, and nothing of them is left behind. A bounded part by itself; all of it with FARM_TORTURE=moves:200.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { names, startThreeNodes, type ThreeNodes } from '../support/three-nodes.ts';
import { beginScript, moveScript, roundsOf, torturePrograms } from '../support/torture-programs.ts';
import { handsScript, sitAt } from '../support/user-at-console.ts';

/** Moves of the run in CI: each kind of program twice. */
const fewMoves = 14;
/** A move of a small job takes 5 to 12 s on emulated machines, with other things to do some times that. */
const slowest = 60;
const { FARM_TORTURE: asked = `moves:${fewMoves}` } = process.env;
const moves = Number(/^moves:([1-9]\d{0,3})$/.exec(asked)?.[1]);
const seed = 20_261;

let three: ThreeNodes;
let place: string;
let before: readonly Traces[];

/** What migration leaves on a node. */
interface Traces {
  readonly left: string;
  readonly mounts: string;
  /** Of the agent, without the files that its file server keeps open: up to 256 to read and 256 to write. */
  readonly descriptors: number;
  /** kB of the agent. */
  readonly memory: number;
}

const look = `echo left $(ls /sys/fs/cgroup/farm-jobs /sys/fs/cgroup/farm-jobs/criu /run/farm-agent/jobs /run/farm-agent/deputies /run/farm-agent/homes 2> /dev/null | grep '^[0-9]') \
$(cat /sys/fs/cgroup/farm-jobs/holders/cgroup.procs | tr '\\n' ' ') $(pgrep -l 'criu|mosrun|farm-job' | tr '\\n' ' ')
echo mounts $(grep -v /run/farm-agent/roots/ /proc/self/mountinfo | cut -d' ' -f5 | sort | tr '\\n' ' ')
p=$(systemctl show -P MainPID farm-agent); echo descriptors $(ls -l /proc/$p/fd | grep -cE -- '-> (socket|pipe|anon_inode|/run/|/sys/|/proc/|/dev/)'); echo memory $(awk '/^VmRSS/ { print $2 }' /proc/$p/status)`;

async function traces(): Promise<readonly Traces[]> {
  return (await three.onAll(look)).map((said) => {
    const words = (name: string): string => new RegExp(`^${name} ?(.*)$`, 'm').exec(said)?.[1]?.trim() ?? `no ${name}: ${said}`;
    const count = (name: string): number => Number(/^[1-9]\d*$/.exec(words(name))?.[0]); // NaN is less than nothing
    return { left: words('left'), mounts: words('mounts'), descriptors: count('descriptors'), memory: count('memory') };
  });
}

/** Which program moves, and how far, from a seed: the same each time. */
function plan(count: number): string {
  let x = seed;
  const random = (below: number): number => {
    x = (Math.imul(x, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (x >> 8) % below;
  };
  const lines: string[] = [];
  while (lines.length < count) {
    // Each once in a random order, then each again: no program is spared.
    const order = torturePrograms.map(({ name }) => ({ name, by: random(1_000_000) })).sort((one, other) => one.by - other.by);
    for (const { name } of order) lines.push(`${name} ${1 + random(2)}`);
  }
  return `${lines.slice(0, count).join('\n')}\n`;
}

const output = (name: string): string => readFileSync(join(place, name), 'utf8');

beforeAll(async () => {
  if (!Number.isInteger(moves)) throw new Error(`FARM_TORTURE is "${asked}"; write moves:200`);
  three = await startThreeNodes('torture-test', () => ({
    ...Object.fromEntries(torturePrograms.map(({ file, text }) => [`root/torture/${file}`, text])),
    'root/torture/begin.sh': beginScript,
    'root/torture/move.sh': moveScript,
    'root/torture/hands.sh': handsScript,
  }));
  place = join(three.home, 'torture');
  before = await traces();
});

afterAll(async () => {
  await three?.lab.down();
});

describe(`${moves} moves of ${torturePrograms.length} programs`, () => {
  it('all succeed', { timeout: (300 + moves * slowest) * 1000 }, async () => {
    await three.on('n1', 'sh /root/torture/begin.sh', 240);
    writeFileSync(join(place, 'plan'), plan(moves));
    await three.on('n1', 'until [ -s /home/torture/plan ]; do sleep 1; done; (setsid sh /root/torture/move.sh > /dev/null 2>&1 < /dev/null &)');
    let said: readonly string[] = [];
    for (const end = Date.now() + moves * slowest * 1000; Date.now() < end && said.at(-1) !== 'over'; ) {
      await delay(5000);
      said = existsSync(join(place, 'moves')) ? output('moves').trimEnd().split('\n') : [];
    }
    expect(said.filter((line) => line.split(' ')[3] !== '0')).toEqual(['over']);
    expect(said.length).toBe(moves + 1);
  });

  it('go unnoticed by the programs, which print what they must and end as they should', { timeout: 300_000 }, async () => {
    writeFileSync(join(place, 'stop'), '');
    await three.on(
      'n1',
      `cd /home/torture; for n in ${torturePrograms.map(({ name }) => name).join(' ')}; do until [ -s $n.status ]; do sleep 1; done; done`,
      240,
    );
    for (const program of torturePrograms) {
      const { name } = program;
      expect([name, output(`${name}.status`), output(`${name}.err`)]).toEqual([name, '0\n', '']);
      expect(roundsOf(program, output(`${name}.out`)), name).toBeGreaterThan(moves);
    }
  });

  it('leave nothing behind, and the agents as they were', async () => {
    let after: readonly Traces[] = [];
    for (let round = 0; round < 10; round += 1) {
      after = await traces();
      if (after.every(({ left }) => left === '')) break;
      await delay(2000);
    }
    const figures = await three.onAll('journalctl -u farm-agent -o cat | grep move.done; true');
    if (existsSync(place)) writeFileSync(join(place, '..', 'torture.json'), JSON.stringify({ moves, before, after, figures }, undefined, 1));
    for (const [index, { left, mounts, descriptors, memory }] of after.entries()) {
      const was = before[index]!;
      expect([names[index], left, mounts]).toEqual([names[index], '', was.mounts]);
      expect(descriptors, `${names[index]}: descriptors, at first ${was.descriptors}`).toBeLessThan(was.descriptors + 12);
      expect(memory, `${names[index]}: kB, at first ${was.memory}`).toBeLessThan(was.memory + 48 * 1024);
    }
  });
});

describe("a shell under somebody's hands", () => {
  it('goes to another node and a third and home, and its keys, jobs and window with it', { timeout: 600_000 }, async () => {
    await three.on('n1', '(setsid sh /root/torture/hands.sh > /dev/null 2>&1 < /dev/null &)');
    const user = sitAt(three.lab, 'n1');
    try {
      user.type("mosrun -L bash --norc --noprofile; echo 'ended'-$?");
      user.type("echo 'here'-$((6 * 7))-$(hostname)");
      await user.sees(/here-42-n1/);
      user.type('echo 2 > /run/order');
      user.type("word=kept; echo 'ahead'-$((40 + 2))"); // typed while it moves, or before: it is not lost
      await user.sees(/ahead-42/);
      await user.sees(/ordered 2: 2/);
      user.type("echo 'there'-$word-$(hostname); sleep 1000");
      await user.sees(/there-kept-n1/);
      user.press('\x03');
      user.type("echo 'interrupted'-$?");
      await user.sees(/interrupted-130/);
      user.type("echo 'again'-1; sleep 2000");
      await user.sees(/again-1/);
      user.press('\x1a');
      user.type("jobs | sed 's/^/j:/'");
      await user.sees(/j:\[1\].*Stopped.*sleep 2000/);
      user.type('echo 3 > /run/order');
      await user.sees(/ordered 3: 3/);
      user.type("jobs | sed 's/^/k:/'");
      await user.sees(/k:\[1\].*Stopped.*sleep 2000/);
      user.type("echo 'fore'-ground; fg");
      await user.sees(/fore-ground[\s\S]*sleep 2000/);
      user.press('\x03');
      user.type("echo 'killed'-$?");
      await user.sees(/killed-130/);
      user.type('echo size > /run/order');
      await user.sees(/ordered size/);
      user.type("until [ \"$(stty size)\" = '33 99' ]; do sleep 0.2; done; echo 'window'-changed");
      await user.sees(/window-changed/);
      user.type('echo home > /run/order');
      await user.sees(/ordered home: 0/);
      user.type('exit 5');
      await user.sees(/ended-5/);
    } finally {
      user.leave();
    }
  });
});
