// Jobs of other homes that ran here before this agent was started: how far their streams are was in the memory of the agent before, and their homes know it.
import { FarmError, sentence, WireError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { JobId, Link, StreamPositions } from '../jobs/types.ts';
import { fields } from './shape.ts';
import { readJobId, readPositions } from './wire.ts';

/** Between two times that the home is asked, ms, and how often: the network of a node that starts needs some seconds. */
const pause = 2000;
const triesMax = 15;

/** `positions`: of a job of this home; undefined: there is none. */
export function answerPositions(link: Pick<Link, 'answer'>, positions: (id: JobId) => StreamPositions | undefined): void {
  link.answer('job.positions', (from, body) => {
    const id = readJobId(fields(body, 'a question'));
    const at = positions(id);
    if (at === undefined) throw new FarmError('job.unknown', `node ${from} asks for a job that has ended`);
    return Promise.resolve(at);
  });
}

/** Undefined: its home does not know it, or cannot be asked. What becomes of it is seen when its streams connect. */
export async function positionsAtHome(
  { id, home }: { readonly id: JobId; readonly home: number },
  { link, wait, log }: { readonly link: Pick<Link, 'call'>; readonly wait: (milliseconds: number) => Promise<void>; readonly log: Log },
): Promise<StreamPositions | undefined> {
  for (let tries = 1; ; tries += 1) {
    try {
      return readPositions(await link.call(home, 'job.positions', { job: id }));
    } catch (error) {
      if (!(error instanceof FarmError || error instanceof WireError)) throw error;
      log('debug', 'job.unasked', { node: home, name: 'job.positions', reason: sentence(error) });
      if (error.code === 'job.unknown' || tries === triesMax) return undefined;
    }
    await wait(pause);
  }
}
