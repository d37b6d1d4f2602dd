// Migration and balancing on one node: once a second it looks at its jobs, repeats what may have been lost, and decides at most one move. docs/balancing.md.
import { FarmError, sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { admit, expected, type Offered } from '../../cluster/admission.ts';
import { decide, type MoveReason, type Own } from '../../cluster/balance.ts';
import { busyReason, decisionText } from '../../cluster/decision-text.ts';
import type { Job } from '../../cluster/job.ts';
import type { NodeView } from '../../cluster/view.ts';
import { type Hosted, type HostedJobs, lookAtObstacles, ruleJob, sampled, stayed } from '../jobs/hosted.ts';
import type { Attach, Attached, JobEngine, JobId, RunningJob } from '../jobs/types.ts';
import type { Fault, MoveFigures } from './departure.ts';
import { openDriver } from './driver.ts';
import { type HomeSide, type HomeSideOptions, homeSide } from './home-side.ts';
import { contention, type MachineNow, ownersPart, ownOf } from './own.ts';
import { type Placer, placer } from './place.ts';
import { settledByStarts } from './settling.ts';
import { fields, flag, whole } from './shape.ts';
import { homesToTell } from './telling.ts';
import type { Versions } from './versions.ts';
import { type Luggage, readJobId, type Wishes } from './wire.ts';

/** Bytes a second, before the first move has measured it: half of Fast Ethernet's successor. */
const bandwidthFirst = 50_000_000;
/** A move that carries less says nothing of the network. */
const measurable = 16 * 2 ** 20;
/** How old a job's obstacles may be, ms; before a move they are looked at in any case. */
const obstaclesAge = 10_000;
/** Jobs whose obstacles are looked at in one round. */
const obstaclesARound = 4;
/** Criu and this agent work for a move: for so long after one, ms, what is not a job's is not taken for the owner's. */
const settling = 4000;
/** A request for a place waits this long for a node that is busy, ms. */
const requestPatience = 15_000;
/** Waiting, as tests pass it. */
interface Waiting {
  after(milliseconds: number, run: () => void): () => void;
}

export interface MovesOptions extends HomeSideOptions {
  /** Larger after each start. */
  readonly incarnation: number;
  readonly engine: JobEngine;
  readonly attach: Attach;
  readonly versions: Versions;
  readonly machine: () => MachineNow;
  readonly views: () => readonly NodeView[];
  /** What gossip says of a node: which start of its agent, and whether it lives. */
  readonly member: (node: number) => { readonly incarnation: number; readonly alive: boolean } | undefined;
  /** What this node has of a job that the moves do not know (yet): one from before this agent. Throws while that is not known. */
  readonly before?: (job: JobId) => 'runs' | 'given' | 'none';
  /** Guests have come or gone. */
  readonly onGuests: () => void;
  /** Of jobs whose only copy is here, frozen. Default `run`. */
  readonly policy?: 'run' | 'kill';
  /** Ms of a clock that does not step. */
  readonly now: () => number;
  readonly timers: Waiting;
  /** Only in tests. */
  readonly fault?: Fault;
  readonly precopy?: boolean;
  readonly log: Log;
}

export interface Moves extends HomeSide, Placer {
  /** A job has begun here, of whatever home: from now on it may move. */
  take(job: RunningJob, attached: Attached, wishes: Wishes): void;
  /** One that has a history goes on here. */
  takeBack(job: RunningJob, attached: Attached, luggage: Luggage): void;
  /** Its home is to hear of it anew. */
  tellAgain(id: JobId): void;
  readonly jobs: HostedJobs;
  /** Those of other homes. */
  guests(): number;
  /** For a guest, by root of this node. */
  send(id: JobId, to: number | 'balance'): void;
  /** One round; the timer calls it. */
  round(): Promise<void>;
  close(): Promise<void>;
}

export function startMoves(options: MovesOptions): Moves {
  const { self, link, engine, now, log } = options;
  const jobs: HostedJobs = new Map();
  const orders = new Map<JobId, { readonly to: number | 'balance'; readonly until: number }>();
  const background = { value: 0, quietUntil: 0 };
  let bandwidth = bandwidthFirst;
  let thinks = 'nothing yet';
  let lastRound = now();
  let ended = false;
  let guestsBefore = 0;

  const driver = openDriver({
    ...{ self, incarnation: options.incarnation, link, engine, attach: options.attach, jobs, versions: options.versions, now, log },
    verdict: (from, offered) => admit(own(), ruleJobs(), driver.underWay(), from, offered),
    precopy: options.precopy ?? true,
    fault: options.fault ?? (() => {}),
    policy: options.policy ?? 'run',
    onChange(id) {
      told.forget(id);
      background.quietUntil = now() + settling;
      if (guests() !== guestsBefore) options.onGuests();
      guestsBefore = guests();
      void told.tell(thinks);
    },
    onMoved(_job, _to, figures) {
      measureNetwork(figures);
    },
  });

  const told = homesToTell({ jobs, link, now, log, runsHere: (id) => driver.holds(id) === 'runs' });
  const openMoves = settledByStarts({ self, link, log, driver, member: options.member });

  function measureNetwork({ plain, total, frozen }: MoveFigures): void {
    if (plain < measurable || total <= frozen) return;
    bandwidth = (bandwidth + (1000 * plain) / total) / 2;
  }

  function own(): Own {
    return ownOf(self, options.machine(), background.value, bandwidth);
  }

  function ruleJobs(): readonly Job[] {
    return [...jobs.values()].map((hosted) => ruleJob(hosted, now()));
  }

  function guests(): number {
    return [...jobs.values()].filter(({ job }) => job.spec.home !== self).length;
  }

  async function round(): Promise<void> {
    const elapsed = now() - lastRound;
    lastRound = now();
    await sample(elapsed);
    driver.tick();
    await openMoves.round();
    await obey();
    await balance();
    await told.tell(thinks);
    home.recall();
  }

  async function sample(elapsed: number): Promise<void> {
    const machine = options.machine();
    const crowded = contention(machine);
    let had = 0;
    await Promise.all(
      [...jobs.values()].map(async (hosted) => {
        try {
          const before = hosted.usedHere;
          sampled(hosted, await hosted.job.usage(), elapsed, crowded);
          had += hosted.usedHere - before;
        } catch (error) {
          // It ends, or goes, at this moment.
          log('debug', 'job.unmeasured', { job: hosted.job.spec.id, reason: sentence(error) });
        }
      }),
    );
    const { leaving, arriving } = driver.underWay();
    if (leaving.length + arriving.length > 0) background.quietUntil = now() + settling;
    if (elapsed > 0 && now() >= background.quietUntil) background.value = ownersPart(background.value, machine, had / elapsed);
    const stale = [...jobs.values()].filter(({ obstaclesAt, goingTo }) => goingTo === undefined && now() - obstaclesAt >= obstaclesAge);
    await Promise.all(stale.slice(0, obstaclesARound).map((hosted) => lookAtObstacles(hosted, now())));
  }

  /** What was asked for by name goes before what the balancer thinks. */
  async function obey(): Promise<void> {
    for (const [id, { to, until }] of orders) {
      const hosted = jobs.get(id);
      if (hosted === undefined || hosted.goingTo !== undefined) {
        orders.delete(id);
        continue;
      }
      const target = to === 'balance' ? balancerChoice(hosted) : to;
      if (typeof target === 'string') refuse(hosted, target);
      else if ((await mayGo(hosted)) && !offer(hosted, target, 'asked')) {
        if (now() < until) continue;
        refuse(hosted, busyReason(target));
      }
      orders.delete(id);
    }
  }

  function refuse(hosted: Hosted, why: string): void {
    stayed(hosted, why, false, now());
    told.forget(hosted.job.spec.id);
  }

  async function mayGo(hosted: Hosted): Promise<boolean> {
    const obstacles = await lookAtObstacles(hosted, now());
    if (obstacles.length === 0) return true;
    refuse(hosted, obstacles.map(({ message }) => message).join('; '));
    return false;
  }

  /** A node, or why none. */
  function balancerChoice(hosted: Hosted): number | string {
    const only = ruleJobs().map((job) =>
      job.id === hosted.job.spec.id ? { ...job, since: Number.NEGATIVE_INFINITY, locked: false } : { ...job, locked: true },
    );
    const { stay: _, ...flags } = own().flags;
    const decision = decide({ ...own(), flags: { ...flags, stay: false } }, only, options.views(), driver.underWay(), now());
    return decision.kind === 'move' ? decision.to : decisionText(decision);
  }

  async function balance(): Promise<void> {
    const decision = decide(own(), ruleJobs(), options.views(), driver.underWay(), now());
    thinks = decisionText(decision);
    if (decision.kind !== 'move') return;
    const hosted = jobs.get(decision.job);
    if (hosted === undefined || hosted.goingTo !== undefined || ended) return;
    const obstacles = await lookAtObstacles(hosted, now());
    if (obstacles.length === 0) offer(hosted, decision.to, decision.reason);
  }

  function offer(hosted: Hosted, to: number, reason: MoveReason): boolean {
    return driver.offer(to, offeredOf(ruleJob(hosted, now()), reason));
  }

  function offeredOf({ id, home, cpu, memory, traffic }: Job, reason: MoveReason): Offered {
    const source = expected(own(), ruleJobs(), driver.underWay());
    return { job: { id, home, cpu, memory, traffic }, source, reason, nodes: options.views().length + 1 };
  }

  const home = homeSide({ ...options });
  const start = placer({ ...options, own, ruleJobs });

  link.answer('job.holds', async (_from, body) => {
    const id = readJobId(fields(body, 'a question'));
    const holds = driver.holds(id);
    return { holds: holds === 'none' ? (options.before?.(id) ?? holds) : holds };
  });
  link.answer('job.go', async (from, body) => {
    const asked = fields(body, 'a request');
    const to = asked.get('to') === 'balance' ? 'balance' : whole(asked, 'to', 1);
    await go(fromHome(readJobId(asked), from), to);
    return {};
  });
  link.answer('job.recall', (from, body) => {
    const hosted = fromHome(readJobId(fields(body, 'a request')), from);
    if (hosted.job.spec.home !== self) hosted.recalled = true;
    return Promise.resolve({});
  });
  link.answer('job.lock', (from, body) => {
    const asked = fields(body, 'a request');
    const hosted = fromHome(readJobId(asked), from);
    hosted.wishes = { ...hosted.wishes, locked: flag(asked, 'locked') };
    told.forget(hosted.job.spec.id);
    return Promise.resolve({});
  });
  function fromHome(id: JobId, from: number): Hosted {
    const hosted = jobs.get(id);
    if (hosted !== undefined && hosted.job.spec.home === from) return hosted;
    throw new FarmError('job.elsewhere', `node ${self} does not run this job`, 'it is on its way; say it again in a second');
  }

  async function go(hosted: Hosted, to: number | 'balance'): Promise<void> {
    const { id } = hosted.job.spec;
    if (to === self) return;
    if (hosted.goingTo !== undefined) throw new FarmError('job.moving', `it is on its way to node ${hosted.goingTo} already`, 'say it again in a second');
    const member = typeof to === 'number' ? options.member(to) : undefined;
    if (typeof to === 'number' && member?.alive !== true) {
      throw new FarmError('node.down', `node ${to} is ${member === undefined ? 'not in the map' : 'not up'}`, 'mosctl status ID shows it');
    }
    const obstacles = await lookAtObstacles(hosted, now());
    const [first] = obstacles;
    if (first !== undefined) throw new FarmError('job.immovable', obstacles.map(({ message }) => message).join('; '), first.remedy);
    orders.set(id, { to, until: now() + requestPatience });
    await obey();
  }

  let rounding = false;
  let cancel = options.timers.after(1000, tick);
  function tick(): void {
    if (ended) return;
    cancel = options.timers.after(1000, tick);
    if (rounding) return; // criu, or a node that does not answer, takes longer than a second
    rounding = true;
    round()
      .catch((error: unknown) => log('error', 'move.round', { reason: sentence(error) }))
      .finally(() => {
        rounding = false;
      });
  }

  return {
    ...{ jobs, guests, round, ...home, ...start },
    takeBack: (job, attached, luggage) => driver.take(job, attached, luggage),
    tellAgain: (id) => told.forget(id),
    take: (job, attached, wishes) => driver.take(job, attached, { moves: 0, used: 0, cpu: 1, dirtyRate: 0, left: [], wishes, recalled: false }),
    send(id, to) {
      const hosted = jobs.get(id);
      if (hosted === undefined) throw new FarmError('job.unknown', 'this job is gone');
      go(hosted, to).catch((error: unknown) => {
        refuse(hosted, sentence(error));
        log('warn', 'move.refused', { job: id, to, reason: sentence(error) });
      });
    },
    async close() {
      ended = true;
      cancel();
      await driver.idle();
    },
  };
}
