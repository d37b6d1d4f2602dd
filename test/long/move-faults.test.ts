// Moves that are disturbed in real kernels, at every step and at either end: the job counts on where it was or where it went, one copy of it is there, and it
// moves again. criu is replaced by a script that breaks when told (test/support/breaking-criu.ts); agents are killed, networks cut, memory filled.
// A part of the faults by itself, so that it ends in minutes; all of them if FARM_TORTURE is set.
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitForText } from '../../src/lab/follow.ts';
import { tapName } from '../../src/lab/network.ts';
import { breakingCriu } from '../support/breaking-criu.ts';
import { type Name, names, startThreeNodes, type ThreeNodes } from '../support/three-nodes.ts';

/** Prints 1, 2, 3 ... twice a second, until /home/stop is there. $1: MiB that it has, of which it changes a page each time. */
const counter = `$| = 1; my $x = "a" x ($ARGV[0] << 20);
until (-e "/home/stop") { print ++$i, "\\n"; substr($x, ($i * 4096) % length($x), 1) = "c" if length($x); select(undef, undef, undef, 0.5) }
print "done\\n";`;

/** Moves job $1 to $2, again and again until it is there: an agent that was killed needs some seconds. */
const insist = `for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
  migrate $1 $2 > /run/migrate.out 2>&1 || sleep 2
  w=$(cat /hpc/jobs/$1/where) && { [ "$w" != 0 ] || w=1; } && [ "$w" = $2 ] && exit 0
done
cat /run/migrate.out; exit 1
`;

const agentKill = 'systemctl kill -s KILL --kill-whom=main farm-agent';
/** Until a job's record on this node says so; then the agent is killed. In the background. */
const killAt = (stage: string): string =>
  `(for n in $(seq 600); do grep -qs '"stage":"${stage}"' /run/farm-agent/jobs/*/job.json && exec ${agentKill}; sleep 0.05; done) > /dev/null 2>&1 &`;

let three: ThreeNodes;
/** Whose agents are killed: `tough`. What these have in memory of its streams may be lost, or written twice (docs/decisions/deputy.md). */
type Job = 'small' | 'large' | 'tough';
const megabytes: Readonly<Record<Job, number>> = { small: 0, large: 12, tough: 12 };
const pids = new Map<Job, string>();
const pidOf = (job: Job): string => pids.get(job) ?? '';

beforeAll(async () => {
  three = await startThreeNodes('faults-test', () => ({
    ...breakingCriu(),
    'root/count.pl': counter,
    'root/insist': insist,
  }));
  for (const job of ['small', 'large', 'tough'] as const) {
    const line = `mosrun -L perl /root/count.pl ${megabytes[job]} > /run/count.${job} 2> /run/errors.${job} & P=$!; until [ -e /hpc/jobs/$P/where ]; do sleep 1; done; echo $P`;
    pids.set(job, (await three.on('n1', line)).split('\n').at(-1) ?? '');
  }
});

afterAll(async () => {
  await three?.lab.down();
});

/** The cgroups of a job on each node that has one: with its processes in them, whether they stand or run. */
async function copies(job: Job): Promise<readonly string[]> {
  const said = await three.onAll(
    `for c in /sys/fs/cgroup/farm-jobs/1-${pidOf(job)}-*/cgroup.events; do [ ! -e $c ] || echo "copy $(tr '\\n' ' ' < $c)"; done; true`,
  );
  return said.flatMap((text, index) => text.split('\n').flatMap((line) => (line.startsWith('copy') ? [`${names[index]} ${line}`] : [])));
}

const lastOf = (job: Job): Promise<string> => three.on('n1', `tail -n 1 /run/count.${job}`);

/** Exactly one copy, which runs, and counts on. */
async function countsOn(job: Job): Promise<void> {
  let seen: readonly string[] = [];
  for (let look = 0; look < 30; look += 1) {
    seen = await copies(job);
    if (seen.length === 1 && seen[0]?.includes('populated 1') === true && seen[0].includes('frozen 0')) break;
    await delay(1000);
  }
  expect(seen).toEqual([expect.stringMatching(/^n[123] copy populated 1 frozen 0/)]);
  const before = Number(await lastOf(job));
  await expect.poll(async () => Number(await lastOf(job)), { timeout: 60_000, interval: 1000 }).toBeGreaterThan(before + 1);
}

async function whereIs(job: Job): Promise<Name> {
  const where = Number(await three.on('n1', `cat /hpc/jobs/${pidOf(job)}/where`));
  return names[where === 0 ? 0 : where - 1] ?? 'n1';
}

const idOf = (name: Name): number => names.indexOf(name) + 1;

/** Lines that do not follow the one before. */
const unlike = (lines: readonly string[]): number => lines.filter((line, index) => Number(line) !== (index === 0 ? 1 : Number(lines[index - 1]) + 1)).length;
/** One for each agent that is killed. */
const killsMax = 6;

interface Fault {
  /** By default, too; the others by FARM_TORTURE. */
  readonly isFirst?: boolean;
  /** Default: small. */
  readonly job?: Job;
  /** On the node that the job leaves, or that it goes to: before the move is asked for. */
  readonly source?: string;
  readonly target?: string;
  /** While it goes on. */
  readonly meanwhile?: (source: Name, target: Name) => Promise<void>;
  readonly after?: { readonly source?: string; readonly target?: string };
  /** What migrate says, where it can say it. */
  readonly says?: RegExp;
}

/** criu on `name` says that it waits: then the network of that machine is cut, for so many ms. */
const cut = (name: Name, kind: string, milliseconds: number) => async (): Promise<void> => {
  const { lab } = three;
  await waitForText(lab.consoleLog(name), new RegExp(`criu waits: ${kind}`), AbortSignal.timeout(90_000));
  const tap = tapName(names.indexOf(name));
  await lab.exec('ip', ['link', 'set', tap, 'down']);
  await delay(milliseconds);
  await lab.exec('ip', ['link', 'set', tap, 'up']);
};

const faults: readonly (readonly [string, Fault])[] = [
  ['criu fails as it dumps', { source: 'echo dump fail > /run/fault', says: /it breaks here/ }],
  ['criu fails as it copies memory of a job that runs', { job: 'large', source: 'echo pre-dump fail > /run/fault', says: /it breaks here/ }],
  ['criu cannot take pages', { target: 'echo page-server fail > /run/fault', says: /./ }],
  ['criu cannot restore it', { isFirst: true, target: 'echo restore fail > /run/fault', says: /it breaks here/ }],
  [
    'the target is full',
    { isFirst: true, target: 'mount -o remount,size=64k /run/farm-agent/jobs', says: /./, after: { target: 'mount -o remount,size=80% /run/farm-agent/jobs' } },
  ],
  ['the agent that it leaves is killed while criu dumps', { isFirst: true, job: 'tough', source: 'echo dump late > /run/fault' }],
  ['the agent that it leaves is killed while criu copies its memory', { job: 'tough', source: 'echo pre-dump late > /run/fault' }],
  ['the agent that it goes to is killed while criu restores it', { isFirst: true, job: 'tough', target: 'echo restore late > /run/fault' }],
  ['the agent that it goes to is killed when it stands there', { job: 'tough', target: killAt('arrived') }],
  ['the agent that it leaves is killed when it was given away', { job: 'tough', source: killAt('given') }],
  [
    'the network of the target is cut before it stands there',
    { isFirst: true, target: 'echo restore wait > /run/fault', meanwhile: (_source, target) => cut(target, 'restore', 12_000)() },
  ],
  ['the network of the source is cut while it dumps', { source: 'echo dump wait > /run/fault', meanwhile: (source) => cut(source, 'dump', 12_000)() }],
];

/** All of them take half an hour on a slow machine. */
const isAll = process.env['FARM_TORTURE'] !== undefined;
const chosen = faults.filter(([, { isFirst = false }]) => isAll || isFirst);

describe('a job whose move is disturbed, because', () => {
  it.each(chosen)('%s, counts on, once, and moves again', async (_name, fault) => {
    const { job = 'small' } = fault;
    const source = await whereIs(job);
    const target: Name = source === 'n2' ? 'n3' : 'n2';
    if (fault.source !== undefined) await three.on(source, fault.source);
    if (fault.target !== undefined) await three.on(target, fault.target);
    const asked = three.on('n1', `timeout 90 migrate ${pidOf(job)} ${idOf(target)} 2>&1; true`, 150);
    const [said] = await Promise.all([asked, fault.meanwhile?.(source, target)]);
    if (fault.says !== undefined) {
      expect(said).toMatch(/stays on node/);
      expect(said).toMatch(fault.says);
      expect(await whereIs(job)).toBe(source);
    }
    if (fault.after?.target !== undefined) await three.on(target, fault.after.target);
    if (fault.after?.source !== undefined) await three.on(source, fault.after.source);
    await countsOn(job);
    const to: Name = (await whereIs(job)) === target ? source : target;
    await three.on('n1', `sh /root/insist ${pidOf(job)} ${idOf(to)}`, 200);
    expect(await whereIs(job)).toBe(to);
  });
});

if (isAll) {
  describe('a job whose move is refused, because', () => {
    it('the target has another criu, is not even begun', async () => {
      const source = await whereIs('small');
      const target: Name = source === 'n3' ? 'n2' : 'n3';
      await three.on(
        target,
        'echo 9.9 > /run/criu-version; systemctl restart farm-agent; until journalctl -u farm-agent | grep -q "migration.started criu=9.9"; do sleep 1; done',
        120,
      );
      const said = await three.on(
        'n1',
        `for n in 1 2 3 4 5 6 7 8 9; do migrate ${pidOf('small')} ${idOf(target)} > /run/said 2>&1; grep -q "criu 9.9" /run/said && break; sleep 2; done; cat /run/said`,
        150,
      );
      expect(said).toMatch(/criu 9\.9 here, 4\.1\.1 there/);
      await countsOn('small');
      await three.on(target, 'rm /run/criu-version; systemctl restart farm-agent', 60);
    });
  });
}

describe('afterwards', () => {
  it('each job has counted without a gap, and ends with its own status', async () => {
    const all = [...pids.values()].map((pid) => `[ -e /hpc/jobs/${pid} ]`).join(' || ');
    await three.on('n1', `echo > /home/stop; while ${all}; do sleep 1; done`, 150);
    for (const job of ['small', 'large', 'tough'] as const) {
      const counted = (await three.on('n1', `cat /run/count.${job} /run/errors.${job}`)).split('\n');
      expect([job, counted.pop()]).toEqual([job, 'done']);
      const expected = Array.from({ length: counted.length }, (_, index) => String(index + 1));
      if (job !== 'tough') expect([job, counted]).toEqual([job, expected]);
      else expect(unlike(counted)).toBeLessThanOrEqual(killsMax);
    }
    await three.on('n1', 'rm /home/stop');
  }, 300_000);
});

if (isAll) {
  describe('a machine that is lost', () => {
    it('ends the mosruns whose jobs it had, and the jobs whose home it was', async () => {
      const far = 'mosrun -L -3 perl /root/count.pl 0 > /run/far 2>&1; echo "status $?" >> /run/far';
      await three.on('n1', `(${far}) & until grep -q 3 /run/far; do sleep 1; done`);
      await three.on('n3', '(mosrun -L -2 perl /root/count.pl 0 > /run/near 2>&1) & until grep -q 3 /run/near; do sleep 1; done');
      expect(await three.on('n2', 'ls -d /sys/fs/cgroup/farm-jobs/3-* | wc -l')).toBe('1');
      await three.lab.power('n3', 'off');
      await three.on('n1', 'until grep -q status /run/far; do sleep 1; done', 180);
      expect(await three.on('n1', 'tail -n 3 /run/far')).toMatch(/node 3, where it ran, is down[\s\S]*status 137$/);
      expect(
        await three.on(
          'n2',
          'for n in $(seq 60); do ls -d /sys/fs/cgroup/farm-jobs/3-* > /dev/null 2>&1 || break; sleep 1; done; ls -d /sys/fs/cgroup/farm-jobs/3-* 2> /dev/null | wc -l',
          120,
        ),
      ).toBe('0');
    });
  });
}
