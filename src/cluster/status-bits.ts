// The bits of /hpc/nodes/N/status, as gossimon's header has them, and the same in words, as `mosctl status` says them.

export type NodeCondition = 'up' | 'suspect' | 'down' | 'left' | 'unknown';

export interface StatusSource {
  readonly status: NodeCondition;
  readonly flags: { readonly stay: boolean; readonly lstay: boolean; readonly block: boolean; readonly quiet: boolean; readonly nomfs: boolean };
}

const configured = 1;
const up = 2;
const flagBits = { stay: 4, lstay: 8, block: 16, quiet: 32, nomfs: 64 } as const;

/** Whether the numbers of such a node mean anything: a suspect one is taken for alive until it is known to be dead. */
export function isThere(status: NodeCondition): boolean {
  return status === 'up' || status === 'suspect';
}

/** Always `configured`, since only nodes of the map have a directory. */
export function statusBits({ status, flags }: StatusSource): number {
  if (!isThere(status)) return configured;
  let bits = configured | up;
  for (const [flag, bit] of Object.entries(flagBits)) if (flags[flag as keyof typeof flagBits]) bits |= bit;
  return bits;
}

/** Percent of its time that a node runs rather than waits for memory: mosmon's `u`. The kernel's memory pressure is what it waits. */
export function utilizability({ pressure }: { readonly pressure: { readonly memory: number } }): number {
  return Math.min(100, Math.max(0, 100 - pressure.memory));
}
