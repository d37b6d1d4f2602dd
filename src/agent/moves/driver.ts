// Carries out what cluster/handshake.ts decides: messages over the link, transfers by the engine. It says `running` only when the job does.
import type { Duplex } from 'node:stream';
import { FarmError, sentence, WireError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Offered, RefusalReason } from '../../cluster/admission.ts';
import type { UnderWay } from '../../cluster/balance.ts';
import { advance, busyWith, type MoveEffect, type MoveEvent, type MoveId, type MoveMessage, noMoves } from '../../cluster/handshake.ts';
import { type HostedJobs, hostedFrom, stayed } from '../jobs/hosted.ts';
import type { Attach, Attached, JobEngine, JobId, Link, RunningJob } from '../jobs/types.ts';
import { type Arrival, arrive } from './arrival.ts';
import { type Departure, depart, type Fault, type MoveFigures } from './departure.ts';
import { refusalText } from './refusals.ts';
import { fields } from './shape.ts';
import { readSpec } from './spec.ts';
import { type OpenMove, openMoves, settlement, underWay } from './under-way.ts';
import { mismatch, type Versions } from './versions.ts';
import { type Luggage, readLuggage, readMoveId, readSaid } from './wire.ts';

export interface DriverOptions {
  readonly self: number;
  /** Larger after each start. */
  readonly incarnation: number;
  readonly link: Link;
  readonly engine: JobEngine;
  readonly attach: Attach;
  readonly jobs: HostedJobs;
  readonly versions: Versions;
  readonly verdict: (from: number, offered: Offered) => RefusalReason | undefined;
  readonly precopy: boolean;
  readonly now: () => number;
  readonly fault: Fault;
  /** The other side is certainly gone, and the frozen copy here is the only one: run it, or let it go. */
  readonly policy: 'run' | 'kill';
  readonly log: Log;
  /** A job has come, gone, or stayed after all. */
  readonly onChange: (job: JobId) => void;
  readonly onMoved: (job: JobId, to: number, figures: MoveFigures) => void;
}

export interface Driver {
  /** Whether the offer was made: not while a move with that node, or of that job, is under way. */
  offer(to: number, offered: Offered): boolean;
  underWay(): UnderWay;
  /** What this node has of a job: it runs here, stands here during a move, or neither. */
  holds(job: JobId): 'runs' | 'stands' | 'none';
  /** Repeats what may have been lost. */
  tick(): void;
  open(): readonly OpenMove[];
  /** What was found out of `node`: it is gone, or it has the job after all. */
  settle(node: number, found: 'gone' | 'runs-there'): void;
  /** A job begins here, or comes by another way than a move. */
  take(job: RunningJob, attached: Attached, luggage: Luggage): void;
  /** Settles when nothing is under way that this side alone can end. */
  idle(): Promise<void>;
}

export function openDriver(options: DriverOptions): Driver {
  const { self, link, engine, jobs, now, fault, log } = options;
  let moves = noMoves(self, options.incarnation);
  const departures = new Map<number, Departure>();
  const arrivals = new Map<number, Arrival>();
  /** Copies that are being cleared away; a job that comes back meanwhile waits. */
  const clearing = new Map<JobId, Promise<unknown>>();
  /** Jobs that were told to run here and do not yet, by whom they come from. */
  const starting = new Map<number, JobId>();
  /** Messages on their way: what is said again each second is not said again before the last was heard. */
  const unanswered = new Set<string>();
  const reasons = new Map<number, string>();
  const working = new Set<Promise<unknown>>();

  const apply = (event: MoveEvent): void => {
    const step = advance(moves, event, now());
    ({ moves } = step);
    for (const effect of step.effects) carryOut(effect);
  };

  const work = (promise: Promise<unknown>): void => {
    const kept = promise.finally(() => working.delete(kept)).catch((error: unknown) => log('error', 'move.stuck', { reason: sentence(error) }));
    working.add(kept);
  };

  const clear = (job: JobId, promise: Promise<unknown>): void => {
    const cleared: Promise<unknown> = promise
      .catch(() => {}) // logged as stuck
      .then(() => (clearing.get(job) === cleared ? clearing.delete(job) : undefined));
    clearing.set(job, cleared);
    work(promise);
  };

  function carryOut(effect: MoveEffect): void {
    if (effect.kind === 'send') say(effect.to, effect.message);
    else if (effect.kind === 'transfer') transfer(effect.to, effect.job);
    else if (effect.kind === 'keep') keep(effect.to, effect.job);
    else if (effect.kind === 'discard') discard(effect.to, effect.job);
    else if (effect.kind === 'run') run(effect.from, effect.job);
    else if (effect.kind === 'drop') drop(effect.from, effect.job);
    else if (effect.kind === 'orphaned') orphaned(effect.node, effect.job);
  }

  function say(to: number, message: MoveMessage): void {
    if (message.kind === 'running' && starting.has(to)) return; // it is said when it is true
    const key = `${to} ${message.kind} ${message.move.from} ${message.move.serial}`;
    if (unanswered.has(key)) return;
    unanswered.add(key);
    const detail = message.kind === 'refuse' ? reasons.get(to) : undefined;
    const body = { message, ...(message.kind === 'offer' ? { versions: options.versions } : {}), ...(detail === undefined ? {} : { detail }) };
    const before = message.kind === 'yours' ? departures.get(to)?.give() : undefined;
    Promise.resolve(before)
      .then(() => link.call(to, 'move', body))
      .catch((error: unknown) => log('debug', 'move.unheard', { to, message: message.kind, reason: sentence(error) })) // said again next second
      .finally(() => unanswered.delete(key));
  }

  function transfer(to: number, id: JobId): void {
    const hosted = jobs.get(id);
    const move = moves.outgoing.get(to)?.move;
    if (hosted === undefined || move === undefined) {
      apply({ kind: 'failed', to }); // it has ended meanwhile
      return;
    }
    const departure = depart({
      ...{ link, to, move, hosted, now, fault, precopy: options.precopy },
      onFailed(why) {
        reasons.set(to, why);
        if (isCurrent(to, move)) apply({ kind: 'failed', to });
      },
    });
    departures.set(to, departure);
  }

  function isCurrent(to: number, move: MoveId): boolean {
    return moves.outgoing.get(to)?.move.serial === move.serial;
  }

  function keep(to: number, id: JobId): void {
    const departure = departures.get(to);
    departures.delete(to);
    const hosted = jobs.get(id);
    const why = reasons.get(to) ?? `node ${to} did not answer`;
    reasons.delete(to);
    const stays = (): void => {
      if (hosted === undefined) return;
      hosted.goingTo = undefined;
      stayed(hosted, why, departure !== undefined, now());
      if (departure === undefined) log('info', 'move.refused', { job: id, to, reason: why });
      else log('warn', 'move.failed', { job: id, to, reason: why });
      options.onChange(id);
    };
    if (departure === undefined) stays();
    else work(departure.keep().finally(stays));
  }

  function discard(to: number, id: JobId): void {
    const departure = departures.get(to);
    departures.delete(to);
    reasons.delete(to);
    jobs.delete(id);
    if (departure === undefined) return;
    clear(
      id,
      departure.discard().finally(() => {
        const figures = departure.figures();
        log('info', 'move.done', { job: id, to, ...rounded(figures) });
        options.onMoved(id, to, figures);
      }),
    );
  }

  function run(from: number, id: JobId): void {
    const arrival = arrivals.get(from);
    const known = moves.incoming.get(from);
    arrivals.delete(from);
    if (arrival === undefined || known === undefined) {
      apply({ kind: 'unrun', from });
      return;
    }
    starting.set(from, id);
    const begin = async (): Promise<void> => {
      try {
        const { job, positions } = await arrival.run();
        take(job, options.attach(job, positions), arrival.luggage);
      } catch (error) {
        log('error', 'move.unrun', { job: id, from, reason: sentence(error) });
        starting.delete(from);
        return apply({ kind: 'unrun', from });
      }
      starting.delete(from);
      say(from, { kind: 'running', move: known.move });
    };
    work(begin());
  }

  function take(job: RunningJob, attached: Attached, luggage: Luggage): void {
    const { id } = job.spec;
    const hosted = hostedFrom(job, attached, luggage, now());
    jobs.set(id, hosted);
    void job.ended.then(() => {
      if (jobs.get(id) !== hosted) return;
      jobs.delete(id);
      options.onChange(id);
    });
    options.onChange(id);
  }

  function drop(from: number, id: JobId): void {
    const arrival = arrivals.get(from);
    arrivals.delete(from);
    if (arrival !== undefined) clear(id, arrival.drop());
  }

  function orphaned(node: number, id: JobId): void {
    log('warn', 'move.orphaned', { job: id, node, policy: options.policy });
    const departure = departures.get(node);
    if (departure !== undefined) {
      if (options.policy === 'run') keep(node, id);
      else discard(node, id);
      return;
    }
    const arrival = arrivals.get(node);
    arrivals.delete(node);
    if (arrival === undefined) return;
    if (options.policy === 'kill') clear(id, arrival.drop());
    else work(arrival.run().then(({ job, positions }) => take(job, options.attach(job, positions), arrival.luggage)));
  }

  link.answer('move', (from, body) => {
    const { message, versions, detail } = readSaid(body);
    if (message.kind === 'refuse') reasons.set(from, detail ?? refusalText(from, message.why));
    const verdict = (offered: Offered): RefusalReason | undefined => {
      const why = versions === undefined ? 'no word of what the source is' : mismatch(options.versions, versions);
      reasons.delete(from);
      if (why === undefined) return options.verdict(from, offered);
      reasons.set(from, `node ${self} cannot take it: ${why}`);
      return 'version';
    };
    apply({ kind: 'heard', from, message, verdict });
    return Promise.resolve({});
  });

  link.serve('move', (from, header, stream) => {
    guarded(stream, () => {
      const head = fields(header, 'a move');
      const move = readMoveId(head.get('move'));
      const spec = readSpec(head.get('spec'));
      const luggage = readLuggage(head.get('luggage'));
      const known = moves.incoming.get(from);
      const isGranted = known?.state === 'granted' && known.move.serial === move.serial && known.move.incarnation === move.incarnation;
      if (!isGranted || known.offered.job.id !== spec.id || jobs.has(spec.id)) throw new FarmError('move.unknown', 'no such move was agreed on');
      apply({ kind: 'begun', from });
      const arrival = arrive({
        ...{ engine, move, spec, luggage, stream, fault, after: clearing.get(spec.id) },
        onComplete: () => (arrivals.get(from) === arrival ? apply({ kind: 'complete', from }) : undefined),
        onBroken(why) {
          if (arrivals.get(from) !== arrival) return;
          reasons.set(from, why);
          apply({ kind: 'broken', from });
          reasons.delete(from);
        },
      });
      arrivals.set(from, arrival);
    });
  });

  link.serve('pages', (from, header, stream) => {
    guarded(stream, () => {
      const move = readMoveId(fields(header, 'pages').get('move'));
      const arrival = arrivals.get(from);
      if (arrival === undefined || arrival.move.serial !== move.serial) throw new FarmError('move.unknown', 'pages of no move');
      arrival.pages(stream);
    });
  });

  function guarded(stream: Duplex, act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof FarmError || error instanceof WireError)) throw error;
      log('warn', 'move.foreign', { code: error.code, reason: error.message });
      stream.on('error', () => {}); // it is gone with this
      stream.destroy();
    }
  }

  return {
    offer(to, offered) {
      const hosted = jobs.get(offered.job.id);
      if (hosted === undefined || hosted.goingTo !== undefined || hosted.checkpoint.isBusy || busyWith(moves, to) || to === self) return false;
      hosted.goingTo = to;
      log('info', 'move.offered', { job: offered.job.id, to, reason: offered.reason });
      apply({ kind: 'offer', to, offered });
      options.onChange(offered.job.id);
      return true;
    },
    underWay: () => underWay(moves),
    holds(id) {
      const leaving = [...moves.outgoing.values()].find(({ offered }) => offered.job.id === id);
      if (leaving?.state === 'given') return 'stands';
      if (jobs.has(id)) return 'runs';
      const arrived = [...arrivals.values()].some(({ spec }) => spec.id === id);
      return arrived || [...starting.values()].includes(id) ? 'stands' : 'none';
    },
    tick: () => apply({ kind: 'tick' }),
    open: () => openMoves(moves),
    settle(node, found) {
      const event = settlement(moves, node, found);
      if (event !== undefined) apply(event);
    },
    take,
    async idle() {
      while (working.size > 0) await Promise.all(working);
    },
  };
}

function rounded({ total, frozen, rounds, plain, sent, parts }: MoveFigures): Record<string, unknown> {
  return { ms: Math.round(total), frozen: Math.round(frozen), rounds, bytes: plain, sent, parts };
}
