// Many nodes that balance, on a virtual clock: the real rules (decide, admit, the handshake), processors that share their time equally, news that is as
// old as gossip makes it by the closed formulas (cluster/ages.ts), moves that take their time. All from one seed.
import { admit, expected } from '../../src/cluster/admission.ts';
import { stepsToReach, windowAge } from '../../src/cluster/ages.ts';
import { decide, type Own, type UnderWay } from '../../src/cluster/balance.ts';
import { load, plus } from '../../src/cluster/cost.ts';
import { noFlags } from '../../src/cluster/entry.ts';
import { advance, type MoveEvent, type MoveMessage, type Moves, noMoves } from '../../src/cluster/handshake.ts';
import { type Job, moveTime } from '../../src/cluster/job.ts';
import { noLoad, type SmoothedLoad, smooth, standardSpeed } from '../../src/cluster/load.ts';
import { places } from '../../src/cluster/placement.ts';
import type { NodeView } from '../../src/cluster/view.ts';

export interface Arrival {
  /** Ms. */
  readonly at: number;
  readonly home: number;
  /** Ms on the standard processor. */
  readonly work: number;
  readonly memory: number;
}

export interface BalanceOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly arrivals: readonly Arrival[];
  /** `none`: jobs stay where they arrive. `migrate`: they begin there and move. `place`: mosrun -b, and they move. */
  readonly policy: 'none' | 'migrate' | 'place';
  readonly speedOf?: (node: number) => number;
  /** Part of the handshake's messages that are lost; as many are doubled. */
  readonly loss?: number;
}

export interface Outcome {
  /** Ms from arrival to end, by arrival. */
  readonly responses: readonly number[];
  readonly makespan: number;
  readonly migrations: number;
  /** Returns to a node that the job had left in the last five minutes. */
  readonly pingPongs: number;
  readonly refusals: number;
}

const tick = 250;
const second = 1000;
const ticksPerSecond = second / tick;
/** 16 entries a datagram, two datagrams a round: docs/cluster.md. */
const window = 16;
/** The freshest entries, of which the rules see no more here: they make the difference, and 2,000 nodes are many. */
const seenMax = 32;
const historyMax = 64;
const memoryTotal = 2 ** 33;
const bandwidth = 100e6;
const dirtyRate = 10e6;
const pingPongWithin = 300 * second;

interface RunningJob {
  readonly index: number;
  job: Job;
  left: number;
  frozen: boolean;
  readonly been: Map<number, number>;
}

interface SimulatedNode {
  readonly id: number;
  readonly speed: number;
  readonly jobs: Map<string, RunningJob>;
  moves: Moves;
  smoothed: SmoothedLoad;
  /** What was told in each of the last seconds, newest last. */
  readonly told: { readonly load: number; readonly usable: number }[];
}

interface Transfer {
  readonly from: SimulatedNode;
  readonly to: SimulatedNode;
  readonly running: RunningJob;
  readonly freezeAt: number;
  readonly doneAt: number;
}

/** mulberry32 */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Age in seconds of the entries that one of `nodes` holds, freshest first. Inverts the formulas: so many are not older than that. */
export function agesOfFreshest(nodes: number, count: number): readonly number[] {
  const held = Math.min(window, nodes - 1);
  return Array.from({ length: count }, (_, i) => {
    const rank = Math.min(i + 1, nodes - 1.5);
    const inWindow = rank <= held || nodes <= window + 2;
    const steps = inWindow
      ? stepsToReach(nodes, Math.max(1.5, rank))
      : windowAge(nodes, held) + Math.log(1 - rank / nodes) / (held * Math.log(1 - 1 / (nodes - 1)));
    return Math.max(1, steps / 2);
  });
}

export function simulate(options: BalanceOptions): Outcome {
  const { nodes: count, policy, arrivals, speedOf = () => standardSpeed, loss = 0 } = options;
  const random = seeded(options.seed);
  const ages = agesOfFreshest(count, Math.min(count - 1, seenMax));
  const nodes = Array.from({ length: count }, (_, i): SimulatedNode => {
    return { id: i + 1, speed: speedOf(i + 1), jobs: new Map(), moves: noMoves(i + 1, 1), smoothed: noLoad, told: [{ load: 0, usable: memoryTotal }] };
  });
  const node = (id: number) => {
    const found = nodes[id - 1];
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  };
  const responses = new Array<number>(arrivals.length).fill(Number.NaN);
  const transfers = new Set<Transfer>();
  const moving = new Map<string, RunningJob>();
  let [now, done, next, migrations, pingPongs, refusals, makespan] = [0, 0, 0, 0, 0, 0, 0];

  const own = ({ id, speed, jobs, moves }: SimulatedNode): Own => {
    let used = 0;
    for (const { job } of jobs.values()) used += job.memory;
    for (const one of moves.incoming.values()) if (one.state === 'stored') used += one.offered.job.memory;
    return { id, speed, flags: noFlags, cpus: 1, background: 0, memory: { total: memoryTotal, usable: memoryTotal - used }, memoryPressure: 0, bandwidth };
  };
  const underWay = ({ moves }: SimulatedNode): UnderWay => ({
    leaving: [...moves.outgoing].map(([to, { offered }]) => ({ to, job: offered.job.id })),
    arriving: [...moves.incoming].flatMap(([from, { state, offered }]) => (state === 'running' || state === 'over' ? [] : [{ from, ...offered.job }])),
    refused: moves.refused,
  });
  const jobsOf = ({ jobs }: SimulatedNode) => Array.from(jobs.values(), ({ job }) => job);

  const views = ({ id }: SimulatedNode): readonly NodeView[] => {
    const chosen = new Set<number>();
    while (chosen.size < ages.length) {
      const other = count - 1 <= ages.length ? ((id + chosen.size) % count) + 1 : 1 + Math.floor(random() * count);
      if (other !== id) chosen.add(other);
    }
    const shuffled = [...chosen].map((other) => ({ other, key: random() })).sort((a, b) => a.key - b.key);
    return shuffled.map(({ other }, i) => {
      const age = ages[i] ?? historyMax;
      const { told, speed } = node(other);
      const { load: said, usable } = told[Math.max(0, told.length - 1 - Math.floor(age - 1))] ?? { load: 0, usable: memoryTotal };
      return { id: other, age: age * second, flags: noFlags, speed, cpus: 1, load: said, memory: { total: memoryTotal, usable } };
    });
  };

  const happen = (at: SimulatedNode, event: MoveEvent): void => {
    const { moves, effects } = advance(at.moves, event, now);
    at.moves = moves;
    for (const effect of effects) {
      if (effect.kind === 'send') deliver(at, node(effect.to), effect.message);
      else if (effect.kind === 'transfer') begin(at, node(effect.to), effect.job);
      else if (effect.kind === 'keep') thaw(at, effect.job);
      else if (effect.kind === 'run') arrive(at, effect.from, effect.job);
    }
  };
  const deliver = (from: SimulatedNode, to: SimulatedNode, message: MoveMessage): void => {
    if (message.kind === 'refuse') refusals += 1;
    const copies = random() < loss ? 0 : random() < loss ? 2 : 1;
    for (let i = 0; i < copies; i += 1) {
      happen(to, { kind: 'heard', from: from.id, message, verdict: (offered) => admit(own(to), jobsOf(to), underWay(to), from.id, offered) });
    }
  };
  const begin = (from: SimulatedNode, to: SimulatedNode, id: string): void => {
    const running = from.jobs.get(id);
    if (running === undefined) {
      happen(from, { kind: 'failed', to: to.id });
      return;
    }
    const { total, frozen } = moveTime(running.job, bandwidth);
    transfers.add({ from, to, running, freezeAt: now + total - frozen, doneAt: now + total });
    happen(to, { kind: 'begun', from: from.id });
  };
  const thaw = (at: SimulatedNode, id: string): void => {
    for (const transfer of transfers) if (transfer.from === at && transfer.running.job.id === id) transfers.delete(transfer);
    const running = at.jobs.get(id);
    if (running !== undefined) running.frozen = false;
  };
  const arrive = (at: SimulatedNode, from: number, id: string): void => {
    const running = moving.get(id);
    if (running === undefined || nodes.some(({ jobs }) => jobs.has(id))) throw new Error(`${id} is to run on ${at.id} and is lost or runs already`);
    moving.delete(id);
    const leftAt = running.been.get(at.id);
    if (leftAt !== undefined && now - leftAt < pingPongWithin) pingPongs += 1;
    running.been.set(from, now);
    running.job = { ...running.job, since: now, left: [...running.job.left, { node: from, at: now }], moves: running.job.moves + 1 };
    running.frozen = false;
    migrations += 1;
    at.jobs.set(id, running);
  };
  const carry = (transfer: Transfer): void => {
    const { from, to, running, freezeAt, doneAt } = transfer;
    if (!from.jobs.has(running.job.id)) {
      // It has ended while it was copied.
      transfers.delete(transfer);
      happen(from, { kind: 'failed', to: to.id });
      happen(to, { kind: 'broken', from: from.id });
      return;
    }
    if (now >= freezeAt) running.frozen = true;
    if (now < doneAt) return;
    transfers.delete(transfer);
    from.jobs.delete(running.job.id);
    moving.set(running.job.id, running);
    happen(to, { kind: 'complete', from: from.id });
  };

  const start = (index: number, { home, work, memory }: Arrival): void => {
    const place = node(home);
    const id = `${home}:${index}`;
    const fresh = { locked: false, cantMove: [], allowed: undefined, recalled: false, left: [], moves: 0, used: 0, since: now };
    const job: Job = { id, home, cpu: 1, memory, dirtyRate, traffic: { node: home, ratio: 0 }, ...fresh };
    const at = policy === 'place' ? placeFor(place, job) : place;
    at.jobs.set(id, { index, job, left: work, frozen: false, been: new Map() });
  };
  const placeFor = (home: SimulatedNode, job: Job): SimulatedNode => {
    const source = plus(expected(own(home), jobsOf(home), underWay(home)), job);
    for (const id of places(own(home), jobsOf(home), job, views(home), underWay(home), now)) {
      const to = node(id);
      if (to === home || admit(own(to), jobsOf(to), underWay(to), home.id, { job, source, reason: 'cost', nodes: count }) === undefined) return to;
    }
    return home;
  };

  const work = (at: SimulatedNode): void => {
    let rest = tick;
    while (rest > 0) {
      const active = [...at.jobs.values()].filter(({ frozen }) => !frozen);
      if (active.length === 0) return;
      const rate = at.speed / standardSpeed / active.length;
      const step = Math.min(rest, Math.min(...active.map(({ left }) => left)) / rate);
      for (const running of active) {
        running.left -= step * rate;
        running.job = { ...running.job, used: running.job.used + step / active.length };
        if (running.left > 1e-6) continue;
        at.jobs.delete(running.job.id);
        makespan = now + tick - rest + step;
        responses[running.index] = makespan - (arrivals[running.index]?.at ?? 0);
        done += 1;
      }
      rest -= step;
    }
  };
  const round = (at: SimulatedNode): void => {
    const self = own(at);
    const wanted = [...at.jobs.values()].filter(({ frozen }) => !frozen).length;
    at.smoothed = smooth(at.smoothed, load({ ...self, wanted }));
    at.told.push({ load: at.smoothed.upper, usable: self.memory.usable });
    if (at.told.length > historyMax) at.told.shift();
    if (policy === 'none') return;
    happen(at, { kind: 'tick' });
    if (at.jobs.size === 0) return;
    const decision = decide(self, jobsOf(at), views(at), underWay(at), now);
    if (decision.kind !== 'move') return;
    const job = at.jobs.get(decision.job)?.job;
    if (job === undefined) throw new Error(`${decision.job} is not here`);
    const source = expected(self, jobsOf(at), underWay(at));
    happen(at, { kind: 'offer', to: decision.to, offered: { job, source, reason: decision.reason, nodes: count } });
  };

  for (let turn = 0; done < arrivals.length; turn += 1) {
    if (turn > 10_000_000) throw new Error('jobs do not end');
    for (let arrival = arrivals[next]; arrival !== undefined && arrival.at <= now; arrival = arrivals[next]) {
      start(next, arrival);
      next += 1;
    }
    for (const at of nodes) if (at.jobs.size > 0) work(at);
    now += tick;
    for (const transfer of transfers) carry(transfer);
    for (const at of nodes) if ((at.id + turn) % ticksPerSecond === 0) round(at);
  }
  return { responses, makespan, migrations, pingPongs, refusals };
}

/** One scheduler that knows all and moves for nothing: the fastest processors work as long as there are jobs for them, and all jobs have equal parts. */
export function ideal(
  nodes: number,
  arrivals: readonly Arrival[],
  speedOf: (node: number) => number = () => standardSpeed,
): Pick<Outcome, 'responses' | 'makespan'> {
  const speeds = Array.from({ length: nodes }, (_, i) => speedOf(i + 1) / standardSpeed).sort((a, b) => b - a);
  const capacity = [0];
  for (const speed of speeds) capacity.push((capacity.at(-1) ?? 0) + speed);
  const responses = new Array<number>(arrivals.length).fill(Number.NaN);
  const active = new Map<number, number>();
  let [now, next] = [0, 0];
  while (next < arrivals.length || active.size > 0) {
    const arrival = arrivals[next];
    if (active.size === 0 && arrival !== undefined) now = Math.max(now, arrival.at);
    for (let one = arrivals[next]; one !== undefined && one.at <= now; one = arrivals[next]) {
      active.set(next, one.work);
      next += 1;
    }
    const rate = (capacity[Math.min(active.size, nodes)] ?? 0) / active.size;
    const soonest = [...active.values()].reduce((least, left) => Math.min(least, left), Number.POSITIVE_INFINITY);
    const step = Math.min(soonest / rate, (arrivals[next]?.at ?? Number.POSITIVE_INFINITY) - now);
    now += step;
    for (const index of served(active, step * rate)) responses[index] = now - (arrivals[index]?.at ?? 0);
  }
  return { responses, makespan: now };
}

/** Takes `work` off each, and those that are done out. */
function served(active: Map<number, number>, work: number): readonly number[] {
  const ended: number[] = [];
  for (const [index, left] of active) {
    if (left - work > 1e-6) active.set(index, left - work);
    else ended.push(index);
  }
  for (const index of ended) active.delete(index);
  return ended;
}

/** Jobs that come at random, to random nodes, so that `part` of all processors' time is wanted. Work is exponential. */
export function randomArrivals(nodes: number, part: number, millis: number, meanWork: number, seed: number): readonly Arrival[] {
  const random = seeded(seed);
  const exponential = (average: number) => -average * Math.log(1 - random());
  const arrivals: Arrival[] = [];
  for (let at = 0; ; ) {
    at += exponential(meanWork / (nodes * part));
    if (at >= millis) return arrivals;
    const home = 1 + Math.floor(random() * nodes);
    arrivals.push({
      at: Math.ceil(at / tick) * tick,
      home,
      work: second + exponential(meanWork - second),
      memory: Math.floor((16 + 240 * random()) * 2 ** 20),
    });
  }
}
