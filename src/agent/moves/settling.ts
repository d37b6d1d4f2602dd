// Moves whose other side was started anew: its agent is asked what it has of the job, and if that does not say it, the job's home. `job.holds`, `job.home`.
import type { Log } from '../../base/log.ts';
import type { Link } from '../jobs/types.ts';
import type { Driver } from './driver.ts';
import { fateAt } from './fate.ts';

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
      const found = side === 'other' ? 'gone' : await fateAt(node, job, self, link, log);
      if (found !== undefined) driver.settle(node, found);
    }
  }

  return { round };
}
