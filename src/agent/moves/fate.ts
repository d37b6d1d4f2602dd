// What became of a job at a node that may have run it, asked by whoever has the only other copy, frozen: that node is asked, and the job's home.
import { sentence } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { JobId, Link } from '../jobs/types.ts';
import { fields, flag, text, whole } from './shape.ts';

/** `gone`: it never ran there, nor anywhere else. `runs-there`: it did, whatever became of it. */
export type Fate = 'gone' | 'runs-there';

/** Undefined: it is not known yet. */
export async function fateAt(node: number, job: JobId, self: number, link: Pick<Link, 'call'>, log: Log): Promise<Fate | undefined> {
  try {
    const answer = fields(await link.call(node, 'job.holds', { job }), 'an answer');
    const holds = text(answer, 'holds');
    if (holds === 'runs') return 'runs-there';
    if (holds === 'stands') return undefined;
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
