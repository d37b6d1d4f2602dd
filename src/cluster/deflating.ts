// Whether what goes to another node is deflated: both ways are tried in turn, and the faster one goes on for a while. Nothing has to be known of the network.

/** Bytes that each way is tried with: some tenths of a second on Fast Ethernet, more than what the kernel takes in at once. */
const trial = 4 * 2 ** 20;
/** Then so many the better way, before the other is tried anew: memory is not the same everywhere. A busy moment can make deflating look good; that is not believed for long. */
const longRuns = { plain: 256 * 2 ** 20, deflated: 32 * 2 ** 20 } as const;
/** Deflating takes processor time that others may want, so it has to be clearly faster. */
const worth = 1.2;

type Way = 'deflated' | 'plain';

export interface Weighing {
  readonly way: Way;
  /** Bytes that go this way before it is thought over. */
  readonly length: number;
  /** Bytes a ms of those that were tried. */
  readonly rates: Readonly<Partial<Record<Way, number>>>;
}

/** What is small goes as it is: deflating it takes longer than sending it on most networks, and the job stands still meanwhile. */
export const notWeighed: Weighing = { way: 'plain', length: trial, rates: {} };

/** Whether the stretch is over before its end: what does not shrink at once is not deflated any longer. */
export function isOver({ way, length }: Weighing, { plain, sent }: { plain: number; sent: number }): boolean {
  return plain >= length || (way === 'deflated' && sent * worth > plain);
}

/** After such a stretch: `plain` bytes that went as `sent`, in `spent` ms, the network's part included. */
export function weighed({ way, length, rates }: Weighing, { plain, sent, spent }: { plain: number; sent: number; spent: number }): Weighing {
  // What does not shrink gains nothing, whatever the clock says.
  const rate = way === 'deflated' && sent * worth > plain ? 0 : plain / Math.max(1, spent);
  const other = way === 'plain' ? 'deflated' : 'plain';
  const { [other]: otherRate } = rates;
  if (otherRate === undefined || length > trial) return { way: other, length: trial, rates: { [way]: rate } };
  const isBetter = way === 'deflated' ? rate > otherRate * worth : rate * worth >= otherRate;
  const next = isBetter ? way : other;
  return { way: next, length: longRuns[next], rates: { [way]: rate, [other]: otherRate } };
}
