// Which clients are too slow to be waited for: told from how far each has come between two looks at the clock.

/** Milliseconds between two looks. As long as a ROM may pause to unpack what it has. */
export const paceEvery = 120_000;

/** Bytes that a body under way must have moved by the next look. A download counts what it was given at a time: 64 KiB when many share, up to a MiB. */
export const paceBytes = 65_536;

/** A body on its way, in either direction. */
export interface Moving {
  /** All bytes moved so far. */
  readonly moved: number;
  /** What `moved` was at the last look; undefined before the first. */
  readonly seen: number | undefined;
}

/** Whether it has been too slow since the last look. What is new since then is not judged. */
export function isTooSlow({ moved, seen }: Moving, least: number): boolean {
  return seen !== undefined && moved - seen < least;
}
