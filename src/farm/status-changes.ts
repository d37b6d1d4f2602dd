// What has changed in a farm from one look at it to the next, a line for each node and stranger: for `farm status --watch` where nobody can redraw.
import type { FarmStatus, NodeStatus } from './status.ts';

export interface StatusChange {
  readonly node: string;
  /** undefined at the first look. */
  readonly from?: NodeStatus['stage'];
  readonly stage: NodeStatus['stage'] | 'gone' | 'unknown';
  readonly detail?: string;
}

/** Every node at the first look, then those whose stage or detail is another; machines that are in no registry once. */
export function statusChanges(before: FarmStatus | undefined, after: FarmStatus): readonly StatusChange[] {
  const known = new Map(before?.nodes.map((node) => [node.name, node]));
  const seen = new Set(before?.unknown.map(({ mac }) => mac));
  const present = new Set(after.nodes.map(({ name }) => name));
  return [
    ...after.nodes.flatMap((node) => changeOf(known.get(node.name), node)),
    ...[...known.keys()].filter((name) => !present.has(name)).map((node) => ({ node, stage: 'gone' }) as const),
    ...after.unknown.filter(({ mac }) => !seen.has(mac)).map(({ mac, detail }) => ({ node: mac, stage: 'unknown', ...detailed(detail) }) as const),
  ];
}

function changeOf(before: NodeStatus | undefined, { name, stage, detail }: NodeStatus): readonly StatusChange[] {
  if (before?.stage === stage && before.detail === detail) return [];
  return [{ node: name, ...(before === undefined ? {} : { from: before.stage }), stage, ...detailed(detail) }];
}

function detailed(detail: string | undefined): Pick<StatusChange, 'detail'> {
  return detail === undefined ? {} : { detail };
}

/** `n1  kernel -> root  mounted` */
export function changeText({ node, from, stage, detail }: StatusChange): string {
  return [node, from === undefined || from === stage ? stage : `${from} -> ${stage}`, ...(detail === undefined ? [] : [detail])].join('  ');
}
