// How often the memory of a running job is copied before it is frozen: as long as each round leaves clearly less to do. Theimer, Lantz, Cheriton 1985 (V).

/** A round costs a freeze of its own (criu's pre-dump); less than this is carried faster than that takes, bytes. */
const small = 8 * 2 ** 20;
/** A round that is not at least this much shorter than the last will not be outdone by the next. */
const shrink = 0.7;
/** A job that writes as fast as the network carries would be copied for ever. */
const roundsMax = 5;

/** Whether one more round pays. `memory`: of the job, bytes; `rounds`: what each round so far has carried, bytes. */
export function anotherRound(memory: number, rounds: readonly number[]): boolean {
  const last = rounds.at(-1);
  if (last === undefined) return memory > small;
  if (rounds.length >= roundsMax || last <= small) return false;
  const before = rounds.at(-2);
  return before === undefined || last < before * shrink;
}
