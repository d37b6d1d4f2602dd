// A job as its home lists it for the farm's server: `farm job list`.

export interface JobListed {
  /** `HOME-PID-START`. */
  readonly id: string;
  /** The one that it had first, if it was made again for another home. It has it in FARM_JOB still. */
  readonly origin?: string;
  /** The ids of its home and of the node where it runs. */
  readonly home: number;
  readonly node: number;
  /** Its pid at home. */
  readonly pid: number;
  readonly uid: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly state: 'starting' | 'running' | 'stopped';
  /** Processors that it wants; bytes; ms of processor time. */
  readonly cpu: number;
  readonly memory: number;
  readonly used: number;
  readonly moves: number;
  readonly goingTo?: number;
  readonly locked: boolean;
  /** Ms since the epoch. */
  readonly began: number;
  readonly since: number;
  /** mosrun -A, minutes. */
  readonly every?: number;
  /** The last one that its home knows of, ms since the epoch and bytes. */
  readonly checkpoint?: { readonly number: number; readonly at: number; readonly bytes: number; readonly node: number };
  /** Why the last attempt at one failed. */
  readonly unsaved?: string;
  readonly cannotMove: readonly string[];
}

/** What of a long command line is told. */
export const argsTold = 20;
export const argTold = 60;

/** Where agents keep checkpoints: every node of a farm may mount it from the server, without being told to. */
export const checkpointsPath = '/var/lib/farm/checkpoints';
