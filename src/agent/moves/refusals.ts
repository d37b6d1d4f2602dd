// Why a node does not take a job, in words.
import type { RefusalReason } from '../../cluster/admission.ts';

const refusals: Readonly<Record<RefusalReason, string>> = {
  blocked: 'takes no guests (mosctl block)',
  pair: 'has another move with this node under way',
  full: 'has enough jobs arriving',
  memory: 'has not enough free memory',
  owner: 'is needed by its owner',
  load: 'is busier than it seemed',
  late: 'gave up the move',
  version: 'cannot thaw what this node freezes',
};

export function refusalText(node: number, why: RefusalReason): string {
  return `node ${node} ${refusals[why]}`;
}
