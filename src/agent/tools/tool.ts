// What a tool is: arguments and a world in, text and an exit status out. 0 done, 1 the answer is no, 2 could not do it.
import type { Ipv4 } from '../../base/addresses.ts';
import { FarmError } from '../../base/errors.ts';
import type { Hpc } from './hpc.ts';

export interface LocalAddress {
  readonly interface: string;
  readonly address: Ipv4;
}

/** The doors that tools use besides /hpc. */
export interface World {
  readonly hpc: Hpc;
  readonly hostname: string;
  readonly addresses: () => readonly LocalAddress[];
  /** The text of a file, `-` for standard input. Throws `FarmError` `file.unreadable`. */
  readonly readText: (path: string) => string;
  /** Throws `FarmError` `file.unwritable`. */
  readonly writeText: (path: string, text: string) => void;
  readonly out: (text: string) => void;
  readonly complain: (text: string) => void;
  /** Settles after so many ms, or sooner with true when the user interrupts. */
  readonly pause: (milliseconds: number) => Promise<boolean>;
}

export type Tool = (args: readonly string[], world: World) => number | Promise<number>;

export const done = 0;
export const no = 1;
export const unable = 2;

/** Wrong usage, with the line that says how it is right. */
export function misuse(message: string, usage: string): FarmError {
  return new FarmError('usage', message, `usage: ${usage.replaceAll('\n', '\n         ')}`);
}
