// What /hpc shows and changes: the questions its files ask of the daemon. Source: openMosix /proc/hpc, facts sheet 4.
import type { JobSource } from './job-files.ts';

export interface HpcNode {
  readonly id: number;
  readonly name: string;
  readonly address: string;
  readonly status: 'up' | 'suspect' | 'down' | 'left' | 'unknown';
  /** openMosix load units: 100 = one standard processor fully used by one process. */
  readonly load: number;
  readonly speed: number;
  readonly cpus: number;
  /** Bytes. `free` is the kernel's MemAvailable, `usable` openMosix's view (what a guest may take). */
  readonly memory: {
    readonly total: number;
    readonly free: number;
    readonly usable: number;
    readonly swapTotal: number;
    readonly swapFree: number;
  };
  /** Bytes per second. */
  readonly rates: {
    readonly networkIn: number;
    readonly networkOut: number;
    readonly diskRead: number;
    readonly diskWrite: number;
  };
  /** PSI some avg10, percent. */
  readonly pressure: { readonly cpu: number; readonly memory: number; readonly io: number };
  /** CPU use, 0..1 of all CPUs. */
  readonly utilization: number;
  readonly flags: AdminFlags;
  readonly guests: number;
  readonly version: string;
  /** Milliseconds since the node made this entry. */
  readonly age: number;
}

export interface AdminFlags {
  readonly stay: boolean;
  readonly lstay: boolean;
  readonly block: boolean;
  readonly quiet: boolean;
  readonly nomfs: boolean;
  readonly expel: boolean;
}

export interface HpcSource extends JobSource {
  readonly self: () => HpcNode;
  /** This node included, ascending id. */
  readonly nodes: () => readonly HpcNode[];
  readonly gateways: () => number;
  /** Kept across reboots, told to the cluster at once. */
  readonly setFlag: (flag: keyof AdminFlags, on: boolean) => void;
  readonly setSpeed: (speed: number) => void;
  readonly setGateways: (count: number) => void;
  /** The map in force, in its canonical text. */
  readonly map: () => string;
  /** Makes the agent use this map for this boot. @throws FarmError */
  readonly setMap: (text: string) => void;
  readonly clearMap: () => void;
  /** Sends all guests away, and takes none until `noblock`. @throws FarmError `migration.absent` where this node cannot migrate */
  readonly expel: () => void;
  /** Brings our own jobs home, and lets none go until `nolstay`. @throws FarmError `migration.absent` */
  readonly bring: () => void;
  /** How many of our own are abroad. */
  readonly abroad: () => number;
}
