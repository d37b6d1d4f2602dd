// Where a new job begins: the nodes that its user named or that the cluster's rules choose, one after the other.
import { FarmError } from '../../base/errors.ts';
import type { JobOptions, Run } from './mosrun-options.ts';
import type { JobSpec, Link } from './types.ts';

export interface BeginningOptions {
  readonly self: number;
  readonly link: Pick<Link, 'call'>;
  /** mosrun -b: where this job would do best. By default, here. */
  readonly place?: (spec: JobSpec, options: JobOptions) => Promise<number>;
  readonly startHere: (spec: JobSpec, chosen: JobOptions) => Promise<void>;
  /** It is being started there. */
  readonly tried: (node: number) => void;
}

/** Throws the `FarmError` of the last node that was tried. */
export async function beginSomewhere(spec: JobSpec, run: Run, options: BeginningOptions): Promise<void> {
  const { self, link, startHere, tried } = options;
  const nodes = await candidates(run, spec, options);
  for (const [index, node] of nodes.entries()) {
    tried(node);
    try {
      if (node === self) await startHere(spec, run.options);
      else await link.call(node, 'job.start', { spec, options: run.options });
      return;
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      // After `link.cut` nobody knows whether it runs there: a second one might be one too many.
      if (index < nodes.length - 1 && error.code !== 'link.cut') continue;
      const elsewhere = run.place.kind === 'one' && !run.force;
      throw new FarmError(error.code, error.message, elsewhere ? 'mosrun -F goes on anywhere' : error.hint, error);
    }
  }
}

/** Where to try, in this order. */
async function candidates({ place, force, options: chosen }: Run, spec: JobSpec, options: BeginningOptions): Promise<readonly number[]> {
  const { self } = options;
  if (place.kind === 'best') return [...new Set([(await options.place?.(spec, chosen)) ?? self, self])];
  if (place.kind !== 'one') return [self];
  const order = place.nodes.map((node) => ({ node, by: Math.random() })).sort((one, other) => one.by - other.by);
  const nodes = order.map(({ node }) => node);
  return force ? [...new Set([...nodes, self])] : nodes.slice(0, 1);
}
