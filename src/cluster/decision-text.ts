// What a balancer's decision is in words, for `why`.
import type { Decision, MoveReason } from './balance.ts';

const reasons: Readonly<Record<MoveReason, string>> = {
  bring: 'its home wants it back',
  expel: 'guests are sent away',
  memory: 'memory is short here',
  owner: 'the owner needs the processors',
  cost: 'it costs the cluster less there',
  asked: 'somebody asked for it',
};

const stays: Readonly<Record<'no-job' | 'no-node' | 'settled', string>> = {
  'no-job': 'no job here may move now (locked, just arrived, held, or stay is set)',
  'no-node': 'no other node is known that might take a job',
  settled: 'no move would make the cluster faster',
};

export function decisionText(decision: Decision): string {
  if (decision.kind === 'stay') return stays[decision.why];
  return `job ${decision.job} goes to node ${decision.to}: ${reasons[decision.reason]}`;
}

export function busyReason(node: number): string {
  return `another move with node ${node} is under way`;
}
