// What the handshake's state says of the moves that are under way: to the balancer, and to who settles them when an agent has begun anew. Pure.
import type { UnderWay } from '../../cluster/balance.ts';
import type { MoveEvent, Moves } from '../../cluster/handshake.ts';
import type { JobId } from '../jobs/types.ts';

/** A move whose other side only we know of: its agent may have been started anew. */
export interface OpenMove {
  readonly node: number;
  readonly job: JobId;
  /** `given`, `stored`: whose the job is has to be asked; `other`: nobody but the source can have it. */
  readonly side: 'given' | 'stored' | 'other';
}

export function underWay(moves: Moves): UnderWay {
  const arriving = pendingIn(moves).map(({ from, offered }) => ({ from, cpu: offered.job.cpu, memory: offered.job.memory }));
  return { leaving: [...moves.outgoing].map(([to, { offered }]) => ({ to, job: offered.job.id })), arriving, refused: moves.refused };
}

export function openMoves(moves: Moves): readonly OpenMove[] {
  const out = [...moves.outgoing].map(([node, { offered, state }]) => ({ node, job: offered.job.id, side: state === 'given' ? state : ('other' as const) }));
  const incoming = pendingIn(moves).map(({ from, offered, state }) => ({
    ...{ node: from, job: offered.job.id },
    side: state === 'stored' ? state : ('other' as const),
  }));
  return [...out, ...incoming];
}

/** What was found out of the other side becomes what it would have said itself. */
export function settlement(moves: Moves, node: number, found: 'gone' | 'runs-there'): MoveEvent | undefined {
  if (found === 'gone') return { kind: 'gone', node };
  const given = moves.outgoing.get(node);
  if (given !== undefined) return { kind: 'heard', from: node, message: { kind: 'running', move: given.move }, verdict: () => 'late' };
  const stored = moves.incoming.get(node);
  return stored === undefined ? undefined : { kind: 'heard', from: node, message: { kind: 'withdraw', move: stored.move }, verdict: () => 'late' };
}

function pendingIn({ incoming }: Moves) {
  return [...incoming].flatMap(([from, { offered, state }]) =>
    state === 'granted' || state === 'begun' || state === 'stored' ? [{ from, offered, state }] : [],
  );
}
