// Nodes that are lost with what ran on them. A node that is dead for a minute is given up, by those whose jobs it had and by those whose jobs it was the home of:
// both sides of a cut network come to the same, so nothing runs that nobody waits for. A node that has started anew is asked what it still has, twice.
import { sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Member, MemberTable } from '../../cluster/members.ts';
import type { Deputies } from '../jobs/deputies.ts';
import type { JobId, Link } from '../jobs/types.ts';
import { fields, text } from './shape.ts';

const look = 1000;
/** A switch that starts anew takes less, ms. */
const givenUp = 60_000;
/** An agent that was started again takes up its jobs within this, ms. */
const settled = 20_000;

export interface LostOptions {
  readonly self: number;
  readonly table: MemberTable;
  readonly deputies: Pick<Deputies, 'jobs' | 'nodeGone' | 'homeGone' | 'jobGone'>;
  /** Its jobs have no home any more. */
  readonly homeLost: (home: number) => void;
  readonly link: Link;
  readonly now: () => number;
  readonly log: Log;
}

/** Gives what ends the watching. */
export function watchLost({ self, table, deputies, homeLost, link, now, log }: LostOptions): () => void {
  const gone = new Set<number>();
  const began = new Map<number, number>();
  const renewed = new Map<number, number>();
  /** Jobs that their node did not have when it was asked. */
  const missed = new Set<JobId>();

  const giveUp = (node: number): void => {
    log('warn', 'node.lost', { id: node });
    deputies.nodeGone(node);
    homeLost(node);
    deputies.homeGone(node).catch((error: unknown) => log('warn', 'job.unended', { home: node, reason: sentence(error) }));
  };

  const askWhatIsLeft = async (node: number): Promise<void> => {
    const there = [...deputies.jobs.values()].filter((job) => job.node === node);
    const missing = new Set<JobId>();
    for (const { spec } of there) {
      const answer = fields(await link.call(node, 'job.holds', { job: spec.id }), 'an answer');
      if (text(answer, 'holds') !== 'none' || deputies.jobs.get(spec.id)?.node !== node) continue;
      // Not at the first word: it may have gone on to a third node, which has not said so yet.
      if (missed.delete(spec.id)) deputies.jobGone(spec.id);
      else missing.add(spec.id);
    }
    for (const id of missing) missed.add(id);
    if (missing.size > 0) renewed.set(node, now() + settled);
  };

  const lookForDead = ({ id, state, since }: Member): void => {
    if (state !== 'dead' && state !== 'left') gone.delete(id);
    else if (!gone.has(id) && now() - since >= givenUp) {
      gone.add(id);
      giveUp(id);
    }
  };

  const lookForRenewed = ({ id, state, incarnation }: Member): void => {
    if (state === 'alive' && began.get(id) !== incarnation) {
      if (began.has(id)) renewed.set(id, now() + settled);
      began.set(id, incarnation);
    }
    const due = renewed.get(id);
    if (due === undefined || now() < due) return;
    renewed.delete(id);
    askWhatIsLeft(id).catch((error: unknown) => {
      log('debug', 'job.unasked', { node: id, name: 'job.holds', reason: sentence(error) });
      renewed.set(id, now() + settled);
    });
  };

  const timer = setInterval(() => {
    for (const member of table.members.values()) {
      if (member.id === self) continue;
      lookForDead(member);
      lookForRenewed(member);
    }
  }, look);
  return () => clearInterval(timer);
}
