// Which job leaves this node next, and where to: openMosix's balancing without a master. Each node runs these rules once a round about the jobs on it, from
// what gossip tells it. Facts sheet 5.3 (Kerrighed, Barak, Amir et al.); docs/balancing.md for people, docs/decisions/balancing.md for the reasons.
import { type Demand, type Machine, marginal, plus, released, type Scale, scaleOf } from './cost.ts';
import type { AdminFlags } from './entry.ts';
import { type Job, moveTime } from './job.ts';
import { machineOf, type NodeView, viewAgeMax } from './view.ts';

/** This node, as it knows itself: no gossip is between. */
export interface Own {
  readonly id: number;
  readonly flags: AdminFlags;
  readonly cpus: number;
  readonly speed: number;
  /** Processors that programs other than jobs want: what the owner runs without mosrun. */
  readonly background: number;
  /** Bytes, with all jobs that are here. `usable` is negative by what is missing (free memory below the node's own part). */
  readonly memory: { readonly total: number; readonly usable: number };
  /** PSI `some avg10` of memory, percent. */
  readonly memoryPressure: number;
  /** Bytes a second that a move gets through the network. */
  readonly bandwidth: number;
}

/** Moves that have been agreed on or offered: they count as done. */
export interface UnderWay {
  readonly leaving: readonly { readonly job: string; readonly to: number }[];
  readonly arriving: readonly (Demand & { readonly from: number })[];
  /** Nodes that have refused, and until when they are not asked again, ms. */
  readonly refused: ReadonlyMap<number, number>;
}

export const nothingUnderWay: UnderWay = { leaving: [], arriving: [], refused: new Map() };

export const moveReasons = ['bring', 'expel', 'memory', 'owner', 'cost', 'asked'] as const;

/** `asked`: by `migrate PID NODE`, not by these rules. */
export type MoveReason = (typeof moveReasons)[number];

export type Decision =
  | { readonly kind: 'move'; readonly job: string; readonly to: number; readonly reason: MoveReason }
  /** `no-job`: none may move. `no-node`: none is known that might take one. `settled`: nothing would be better. */
  | { readonly kind: 'stay'; readonly why: 'no-job' | 'no-node' | 'settled' };

/** A job must be better off by this much of its own load: against ping-pong (Kerrighed's 1.30). */
export const stability = 1.3;
/** A job stays this long where it has come to, ms, longer with each move ... */
const residency = 3000;
/** ... up to this: who has moved often gains little by one more move. */
const residencyMax = 60_000;
/** A job does not go back to a node that it has left for this long, ms. */
const returnAfter = 300_000;
/** Pressure at which paging has begun although the numbers say that there is memory, percent of time. */
const pressureMost = 10;
/** What a target of memory ushering must have left after, as a part of the job: it is not to be short itself next. */
const spare = 1 / 8;
/** A job away from what it talks to takes so much more processor, in units of its traffic: messages instead of calls, on both sides. */
const remotePenalty = 1;

/** One decision: at most one new move in a round, and one at a time for each pair of nodes. `now` in ms. */
export function decide(own: Own, jobs: readonly Job[], views: readonly NodeView[], underWay: UnderWay, now: number): Decision {
  const leaving = new Set(underWay.leaving.map(({ job }) => job));
  const here = jobs.filter(({ id }) => !leaving.has(id));
  const movable = here.filter((job) => !job.locked && job.cantMove.length === 0);
  if (movable.length === 0) return { kind: 'stay', why: 'no-job' };
  const targets = targetsOf(own, views, underWay, now);
  const self = plus(ownMachine(own, here), sum(underWay.arriving));
  const scale = scaleOf(views.length + 1, [self, ...targets.map(({ machine }) => machine)]);
  const situation: Situation = { own, self, movable, targets, scale, underWay, now };
  const forced = bring(situation) ?? expel(situation);
  if (forced !== undefined) return forced;
  if (own.flags.stay) return { kind: 'stay', why: 'no-job' };
  const free = movable.filter((job) => mayMove(job, own, now));
  if (free.length === 0) return { kind: 'stay', why: 'no-job' };
  if (targets.length === 0) return { kind: 'stay', why: 'no-node' };
  const rest = { ...situation, movable: free };
  // Memory ushering comes first and alone: until it is over, moves for load would compete for the same network.
  if (shortage(own, jobs, leaving) > 0) return usher(rest, shortage(own, jobs, leaving)) ?? { kind: 'stay', why: 'no-node' };
  return clearForOwner(rest) ?? lighten(rest) ?? { kind: 'stay', why: 'settled' };
}

interface Situation {
  readonly own: Own;
  /** This node with what arrives and without what leaves. */
  readonly self: Machine;
  readonly movable: readonly Job[];
  readonly targets: readonly Target[];
  readonly scale: Scale;
  readonly underWay: UnderWay;
  readonly now: number;
}

interface Target {
  readonly view: NodeView;
  readonly machine: Machine;
}

/** Nodes that may be asked: known, fresh, not blocked, not refusing, and no other move with them under way. */
function targetsOf(own: Own, views: readonly NodeView[], underWay: UnderWay, now: number): readonly Target[] {
  const busy = pairs(underWay);
  const meanLoad = views.reduce((total, view) => total + view.load, 0) / Math.max(1, views.length);
  return views
    .filter(({ id, age }) => id !== own.id && age <= viewAgeMax && !busy.has(id) && now >= (underWay.refused.get(id) ?? now))
    .map((view) => ({ view, machine: machineOf(view, meanLoad) }));
}

function pairs({ leaving, arriving }: UnderWay): ReadonlySet<number> {
  return new Set([...leaving.map(({ to }) => to), ...arriving.map(({ from }) => from)]);
}

/** Whether `target` takes guests, and this one. A blocked node still takes its own jobs home. */
function open(job: Job, { view: { id, flags } }: Target): boolean {
  if (id === job.home) return true;
  return !flags.block && !flags.expel && (job.allowed?.has(id) ?? true);
}

/** Residency, lstay and the way back: what keeps a job here that could move. */
function mayMove(job: Job, own: Own, now: number): boolean {
  if (own.flags.lstay && job.home === own.id) return false;
  return now - job.since >= Math.min(residencyMax, residency * 2 ** Math.min(job.moves, 10));
}

function comesBack(job: Job, to: number, now: number): boolean {
  return job.left.some(({ node, at }) => node === to && now - at < returnAfter);
}

/** Jobs that their home has called go there, whatever it costs; the deputy is there, so it cannot refuse. */
function bring({ own, movable, underWay, now }: Situation): Decision | undefined {
  const busy = pairs(underWay);
  const job = movable.find(({ recalled, home }) => recalled && home !== own.id && !busy.has(home) && now >= (underWay.refused.get(home) ?? now));
  return job && { kind: 'move', job: job.id, to: job.home, reason: 'bring' };
}

/** Guests leave for where they cost least, or for home if nobody else is known to take them. */
function expel(situation: Situation): Decision | undefined {
  const { own, movable, underWay, now } = situation;
  if (!own.flags.expel) return undefined;
  const busy = pairs(underWay);
  for (const job of movable.filter(({ home }) => home !== own.id)) {
    const to = cheapest(job, situation, 1)?.view.id ?? job.home;
    if (!busy.has(to) && now >= (underWay.refused.get(to) ?? now)) return { kind: 'move', job: job.id, to, reason: 'expel' };
  }
  return undefined;
}

/** Bytes that are missing; what leaves is as good as gone. */
function shortage({ memory, memoryPressure }: Own, jobs: readonly Job[], leaving: ReadonlySet<string>): number {
  const going = jobs.reduce((total, job) => total + (leaving.has(job.id) ? job.memory : 0), 0);
  if (memory.usable < 0) return Math.max(0, -memory.usable - going);
  return memoryPressure > pressureMost && going === 0 ? 1 : 0;
}

/**
 * Memory ushering (Barak and Braverman 1998): the smallest job that ends the shortage, or the largest if none does, to the node where it fits best. Load does
 * not count: a node that pages is slower than a busy one. Guests before the owner's.
 */
function usher({ own, movable, targets, now }: Situation, missing: number): Decision | undefined {
  const order = [...movable].sort((a, b) => guestsFirst(own, a, b) || enough(b, missing) - enough(a, missing) || towards(a, b, missing));
  for (const job of order) {
    const fitting = targets.filter(
      (target) => open(job, target) && !comesBack(job, target.view.id, now) && target.machine.memory.usable >= roomFor(job, 'memory'),
    );
    const [best] = fitting.sort((a, b) => a.machine.memory.usable - b.machine.memory.usable || a.view.age - b.view.age);
    if (best !== undefined) return { kind: 'move', job: job.id, to: best.view.id, reason: 'memory' };
  }
  return undefined;
}

function enough(job: Job, missing: number): number {
  return job.memory >= missing ? 1 : 0;
}

/** Among those that suffice the smallest first, among the others the largest. */
function towards(a: Job, b: Job, missing: number): number {
  return a.memory >= missing ? a.memory - b.memory : b.memory - a.memory;
}

function guestsFirst(own: Own, a: Job, b: Job): number {
  return Number(a.home === own.id) - Number(b.home === own.id);
}

/** The owner's own programs fill the processors: guests leave, for wherever it is not worse, else home. */
function clearForOwner(situation: Situation): Decision | undefined {
  const { own, movable, targets, now } = situation;
  if (own.background < own.cpus) return undefined;
  for (const job of movable.filter(({ home }) => home !== own.id)) {
    const best = cheapest(job, situation, 1);
    const home = targets.find(({ view }) => view.id === job.home && !comesBack(job, view.id, now));
    const to = best !== undefined && gain(job, best, situation, 1) > 0 ? best : home;
    if (to !== undefined && to.machine.memory.usable >= roomFor(job, 'owner')) return { kind: 'move', job: job.id, to: to.view.id, reason: 'owner' };
  }
  return undefined;
}

/** Bytes that a node must have for a guest to take it. */
export function roomFor({ memory }: Pick<Job, 'memory'>, reason: MoveReason): number {
  return reason === 'memory' ? memory * (1 + spare) : memory;
}

/**
 * The job to move and where, if the cluster costs less after. Guests are asked before the owner's, and among equals the second most loaded first: the most
 * loaded one would take the trouble along (Kerrighed).
 */
function lighten(situation: Situation): Decision | undefined {
  const { own, movable, now } = situation;
  const moving = movable.filter((job) => pays(job, own));
  for (const job of [...secondFirst(moving.filter(({ home }) => home !== own.id)), ...secondFirst(moving.filter(({ home }) => home === own.id))]) {
    const best = cheapest(job, situation, stability);
    if (best !== undefined && !comesBack(job, best.view.id, now) && helps(job, best, situation) && gain(job, best, situation, stability) > 0) {
      return { kind: 'move', job: job.id, to: best.view.id, reason: 'cost' };
    }
  }
  return undefined;
}

/** Whether anybody runs faster after: programs wait for a processor here, or the job itself is faster there. Else a lower cost is one on paper. */
function helps(job: Job, { machine }: Target, { own, self }: Situation): boolean {
  const there = plus(machine, demandAt(job, machine.id));
  return self.wanted > own.cpus || pace(job, there) > pace(job, self);
}

/** How fast `job` runs on `machine`, which it is counted on. */
function pace(job: Job, { id, speed, cpus, wanted }: Machine): number {
  const messages = 1 + (job.traffic.node === id ? 0 : job.traffic.ratio * remotePenalty);
  return (speed * Math.min(1, cpus / wanted)) / messages;
}

/** How many jobs of one kind are looked at in a round: equal ones have equal answers. */
const candidatesMax = 4;

function secondFirst(jobs: readonly Job[]): readonly Job[] {
  const [first, second, ...others] = [...jobs].sort((a, b) => b.cpu - a.cpu || a.memory - b.memory);
  return [second, first, ...others].filter((job) => job !== undefined).slice(0, candidatesMax);
}

/** A job is expected to live as long again as it has lived (Harchol-Balter and Downey, ACM TOCS 15(3), 1997): it must have had what the freeze takes. */
function pays(job: Job, { bandwidth }: Own): boolean {
  return job.used >= moveTime(job, bandwidth).frozen;
}

/** The node where the job costs least, with room for it. Of equals the one of which the news is freshest. */
function cheapest(job: Job, { targets, scale, now }: Situation, margin: number): Target | undefined {
  let best: Target | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const target of targets) {
    if (!open(job, target) || comesBack(job, target.view.id, now)) continue;
    const price = priceAt(job, target.machine, scale, margin);
    if (price < least || (price === least && best !== undefined && target.view.age < best.view.age)) [best, least] = [target, price];
  }
  return best;
}

/** What the job wants of a node: more where it is away from what it talks to. */
export function demandAt(job: Pick<Job, 'cpu' | 'memory' | 'traffic'>, node: number): Demand {
  const away = job.traffic.node === node ? 0 : job.traffic.ratio * remotePenalty;
  return { cpu: job.cpu + away, memory: job.memory };
}

/** What `job` would cost at `machine`, as if (`margin` - 1) of it ran there already. */
function priceAt(job: Job, machine: Machine, scale: Scale, margin: number): number {
  const demand = demandAt(job, machine.id);
  return marginal(plus(machine, { cpu: (margin - 1) * demand.cpu, memory: 0 }), demand, scale);
}

/** How much less the cluster costs with the job at `target`: what its leaving frees here, less what it costs there. */
function gain(job: Job, target: Target, { own, self, scale }: Situation, margin: number): number {
  return released(self, demandAt(job, own.id), scale) - priceAt(job, target.machine, scale, margin);
}

/** This node with these jobs and its owner's programs. */
export function ownMachine({ id, cpus, speed, background, memory }: Own, jobs: readonly Job[]): Machine {
  const wanted = jobs.reduce((total, job) => total + demandAt(job, id).cpu, background);
  return { id, cpus, speed, wanted, memory };
}

function sum(demands: readonly Demand[]): Demand {
  return demands.reduce((total, { cpu, memory }) => ({ cpu: total.cpu + cpu, memory: total.memory + memory }), { cpu: 0, memory: 0 });
}
