// What the server has seen of each machine: its stage on the way from power-on to member, its address, when it was last heard.
import type { Ipv4, Mac } from '../base/addresses.ts';
import { reportInterval } from '../cluster/report.ts';
import type { BootClient } from '../dhcp/pxe.ts';

/** In the order in which a boot passes them. `seen`: a machine that the farm does not know. `failed`: it said so itself. */
export const stages = ['seen', 'dhcp', 'loader', 'menu', 'kernel', 'root', 'agent', 'up', 'leaving', 'failed'] as const;
export type Stage = (typeof stages)[number];

/** One thing noticed about a machine. */
export interface Observation {
  readonly mac: Mac;
  readonly stage: Stage;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly address?: Ipv4 | undefined;
  /** For people: `PXE ROM, BIOS`, `initramfs`, the reason of a failure. */
  readonly detail?: string | undefined;
}

/** A machine as far as the server knows. */
export interface Machine {
  readonly mac: Mac;
  readonly stage: Stage;
  /** When it reached this stage. */
  readonly since: number;
  /** When this boot began, by its ROM's first DHCP message. */
  readonly bootedAt: number | undefined;
  readonly lastSeen: number;
  readonly address: Ipv4 | undefined;
  readonly detail: string | undefined;
  /** Boots in a row before this one that ended with a loader: one which works asks for its menu. */
  readonly failedBoots: number;
  /** When this boot reached each stage. */
  readonly reached: Partial<Readonly<Record<Stage, number>>>;
}

/**
 * The machine after `observation`. A DHCP message of a ROM begins a new boot; after that stages only go forward, because a loader or a
 * kernel asks DHCP again, and retried requests arrive late. An agent's word is always the newest.
 */
export function observe(machine: Machine | undefined, observation: Observation): Machine {
  const { mac, stage, at } = observation;
  const address = observation.address ?? machine?.address;
  const begins = machine === undefined || stage === 'dhcp' || (stage === 'seen' && machine.stage === 'seen');
  if (begins && !isRetry(machine, observation)) {
    const bootedAt = stage === 'dhcp' ? at : undefined;
    return { mac, stage, since: at, bootedAt, lastSeen: at, address, detail: observation.detail, failedBoots: failedBefore(machine), reached: { [stage]: at } };
  }
  const known: Machine = machine ?? { mac, stage, since: at, bootedAt: undefined, lastSeen: at, address, detail: undefined, failedBoots: 0, reached: {} };
  const told = stage === 'agent' || stage === 'up' || stage === 'leaving' || stage === 'failed';
  const forward = told || rank(stage) > rank(known.stage);
  if (!forward || stage === known.stage) {
    return { ...known, lastSeen: at, address, detail: stage === known.stage ? (observation.detail ?? machine?.detail) : machine?.detail };
  }
  return { ...known, stage, since: at, lastSeen: at, address, detail: observation.detail, reached: { ...known.reached, [stage]: known.reached[stage] ?? at } };
}

/**
 * Whether a DHCP message of `loader` begins a boot. An iPXE may be the card's own ROM, or one that we have just handed out: then the
 * machine has been seen to load it a moment ago. One that has its menu asks DHCP no more: its ROM has begun again.
 */
export function beginsBoot(loader: BootClient['loader'], machine: Machine | undefined, now: number): boolean {
  if (loader === 'none') return false;
  return loader !== 'ipxe' || machine?.stage !== 'loader' || now - machine.lastSeen > retryWindow;
}

/** A ROM repeats its DISCOVER for half a minute (PXE 2.1: 4, 8, 16, 32 s); that is the same boot as long as nothing was loaded. */
const retryWindow = 60_000;

function isRetry(machine: Machine | undefined, { stage, at }: Observation): boolean {
  return machine !== undefined && machine.stage === stage && at - machine.lastSeen < retryWindow;
}

function failedBefore(machine: Machine | undefined): number {
  if (machine === undefined) return 0;
  const { loader, menu, kernel } = machine.reached;
  if (menu !== undefined || kernel !== undefined) return 0;
  return machine.failedBoots + (loader === undefined ? 0 : 1);
}

/** A failure counts as the beginning, so that a machine that recovers moves on; whoever leaves may come back. */
function rank(stage: Stage): number {
  return stage === 'failed' || stage === 'leaving' ? 0 : stages.indexOf(stage);
}

/** Whether a node that had an agent has not been heard for too long: three reports are missing. */
export function isSilent(machine: Machine, now: number): boolean {
  return (machine.stage === 'agent' || machine.stage === 'up') && now - machine.lastSeen > 3 * reportInterval;
}
