// What the farm's server asks an agent of jobs, `farm job`: one question a stream, one answer. The link lets nobody else ask.
import type { Duplex } from 'node:stream';
import { FarmError, WireError } from '../../base/errors.ts';
import type { JobListed } from '../../cluster/job-listed.ts';
import type { JobId, Link } from '../jobs/types.ts';
import { encodeFailure } from '../link/calls.ts';
import { encodeFrame } from '../link/frames.ts';
import { fields, perhaps, text, whole } from '../moves/shape.ts';
import { readJobId } from '../moves/wire.ts';

export const jobPurpose = 'farm.job';

/** Jobs in one answer: 1 MiB divided by what one takes. */
const listedMax = 500;

export interface AskedOptions {
  readonly link: Pick<Link, 'serve'>;
  /** Those whose home this node is. */
  readonly list: () => readonly JobListed[];
  /** Makes a checkpoint of a job of this home, wherever it runs. */
  readonly checkpoint: (id: JobId) => Promise<unknown>;
  /** Back to its last one; gives the node. */
  readonly back: (id: JobId, node: number | undefined) => Promise<number>;
  /** Makes a job again here that has no home any more. */
  readonly adopt: (id: JobId) => Promise<void>;
  readonly signal: (id: JobId, signal: NodeJS.Signals) => void;
}

export function answerServer(options: AskedOptions): void {
  options.link.serve(jobPurpose, (_from, header, stream) => void answer(header, stream, options));
}

async function answer(header: unknown, stream: Duplex, options: AskedOptions): Promise<void> {
  stream.on('error', () => stream.destroy()); // whoever asked has gone
  stream.resume();
  try {
    stream.end(encodeFrame({ ok: true, value: await done(header, options) }));
  } catch (error) {
    if (!(error instanceof FarmError || error instanceof WireError)) {
      stream.end(encodeFailure(new FarmError('job.fault', 'the agent has made a mistake: see its journal')));
      throw error;
    }
    stream.end(encodeFailure(error));
  }
}

async function done(header: unknown, { list, checkpoint, back, adopt, signal }: AskedOptions): Promise<unknown> {
  const asked = fields(header, 'a question');
  const ask = text(asked, 'ask', 20);
  if (ask === 'list') {
    const from = whole(asked, 'from');
    const jobs = list();
    return { jobs: jobs.slice(from, from + listedMax), more: jobs.length > from + listedMax };
  }
  const id = readJobId(asked);
  switch (ask) {
    case 'checkpoint':
      return await checkpoint(id);
    case 'restart':
      return {
        node: await back(
          id,
          perhaps(asked, 'node', (all, name) => whole(all, name, 1)),
        ),
      };
    case 'restore':
      await adopt(id);
      return {};
    case 'kill':
      signal(id, signalOf(text(asked, 'signal', 12)));
      return {};
    default:
      throw new FarmError('link.refused', `this agent does not know "${ask.replace(/[^\x20-\x7e]/g, '?')}"`, 'do server and node have the same version?');
  }
}

function signalOf(name: string): NodeJS.Signals {
  if (!/^SIG[A-Z0-9]{2,8}$/.test(name)) throw new FarmError('job.signal', `"${name.replace(/[^\x20-\x7e]/g, '?')}" is no signal`);
  return name as NodeJS.Signals;
}
