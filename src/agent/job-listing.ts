// The jobs of this home in words: for the farm's server, and what why(1) says of their checkpoints.
import { basename } from 'node:path';
import { argsTold, argTold, type JobListed } from '../cluster/job-listed.ts';
import type { AskedOptions } from './checkpoints/asked.ts';
import type { Checkpoints } from './checkpoints/service.ts';
import type { Deputies } from './jobs/deputies.ts';
import type { HomeJob } from './jobs/home.ts';
import type { Moves } from './moves/start.ts';

/** What the server may ask, answered. */
export function serverAnswers(moves: Moves, deputies: Deputies, checkpoints: Checkpoints): Omit<AskedOptions, 'link'> {
  return {
    list: () => listed(moves, deputies),
    checkpoint: checkpoints.make,
    back: checkpoints.back,
    adopt: checkpoints.adopt,
    signal: deputies.signal,
  };
}

function listed(moves: Moves, deputies: Deputies): readonly JobListed[] {
  return moves.homeJobs().flatMap(({ spec, where, news }): JobListed[] => {
    const job = deputies.jobs.get(spec.id);
    if (job === undefined) return [];
    const { id, origin, home, deputy: pid, uid, args, directory } = spec;
    const { checkpoint, options, state, began, since } = job;
    return [
      {
        ...{ id, home, node: where, pid, uid, command: commandOf(args), state, began, since, directory: directory.slice(0, 4096) },
        ...(origin === undefined ? {} : { origin }),
        args: args.slice(0, argsTold).map((word) => word.slice(0, argTold)),
        ...{ cpu: news?.cpu ?? 0, memory: news?.memory ?? 0, used: news?.used ?? 0, moves: news?.moves ?? job.moves },
        ...(news?.goingTo === undefined ? {} : { goingTo: news.goingTo }),
        locked: news?.wishes.locked ?? options.locked,
        ...(options.checkpoint === undefined ? {} : { every: options.checkpoint }),
        ...(checkpoint === undefined || checkpoint === 'kept' ? {} : { checkpoint }),
        ...(news?.unsaved === undefined ? {} : { unsaved: news.unsaved }),
        cannotMove: (news?.obstacles ?? []).map(({ message }) => message),
      },
    ];
  });
}

/** The program's name, for people. */
export function commandOf([program = '']: readonly string[]): string {
  return basename(program)
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 64);
}

/** `every`: mosrun -A, minutes. */
export function savedWords(every: number | undefined, last: HomeJob['checkpoint'], unsaved: string | undefined): readonly string[] {
  const lines: string[] = [];
  const often = every === undefined ? '' : `; one is made every ${every === 1 ? 'minute' : `${every} minutes`}`;
  if (last !== undefined && last !== 'kept') lines.push(`its last checkpoint is number ${last.number}, of ${new Date(last.at).toISOString()}${often}`);
  else if (every !== undefined) lines.push(`it has no checkpoint yet${often}`);
  if (unsaved !== undefined) lines.push(`no checkpoint could be made: ${unsaved}`);
  return lines;
}
