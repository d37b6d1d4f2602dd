// Moves whose other side was started anew: its agent is asked what it has of the job, and if that does not say it, the job's home. `job.holds`, `job.home`.
import { sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { JobId, Link } from '../jobs/types.ts';
import type { Driver } from './driver.ts';
import { fields, flag, text, whole } from './shape.ts';

export interface SettlingOptions {
  readonly self: number;
  readonly link: Link;
  readonly driver: Pick<Driver, 'open' | 'settle'>;
  /** What gossip says of a node: which start of its agent. */
  readonly member: (node: number) => { readonly incarnation: number } | undefined;
  readonly log: Log;
}

export function settledByStarts({ self, link, driver, member, log }: SettlingOptions): { round(): Promise<void> } {
  /** The start of a node's agent with which a move began. */
  const peerAt = new Map<number, number>();

  /** Asks the new start of an agent what it has of the moves that its last one was in. */
  async function round(): Promise<void> {
    const open = driver.open();
    for (const node of peerAt.keys()) if (!open.some((one) => one.node === node)) peerAt.delete(node);
    for (const { node, job, side } of open) {
      const incarnation = member(node)?.incarnation;
      if (incarnation === undefined) continue;
      const began = peerAt.get(node) ?? incarnation;
      peerAt.set(node, began);
      if (incarnation === began) continue;
      const found = side === 'other' ? 'gone' : await askAbout(node, job);
      if (found !== undefined) driver.settle(node, found);
    }
  }

  /** Undefined: it is not known yet. */
  async function askAbout(node: number, job: JobId): Promise<'gone' | 'runs-there' | undefined> {
    try {
      const answer = fields(await link.call(node, 'job.holds', { job }), 'an answer');
      const holds = text(answer, 'holds');
      if (holds !== 'none') return holds === 'runs' ? 'runs-there' : undefined;
      // It may have ended there, or gone on: its home knows.
      const home = Number(job.split('-')[0]);
      const at = fields(await link.call(home, 'job.home', { job }), 'an answer');
      if (!flag(at, 'known')) return 'runs-there';
      const where = whole(at, 'where');
      return where === self || where === node ? 'gone' : 'runs-there';
    } catch (error) {
      log('debug', 'move.unheard', { to: node, message: 'job.holds', reason: sentence(error) });
      return undefined;
    }
  }

  return { round };
}
