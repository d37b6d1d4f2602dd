// What a lab is made of, with its defaults filled in: the file the starter hands to the supervisor.

import type { Cidr, Mac } from '../base/addresses.ts';
import { parseMac } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';

/** Network cards whose QEMU option ROM is iPXE, for BIOS and UEFI: what an old and a new PC look like to the loader and the kernel. */
export type Card = 'e1000' | 'virtio-net-pci';

/** `uefi` is stock EDK2, which tries PXE first; `uefi-http` is the same with its PXE switched off, so that it comes to HTTP boot at once. */
export const firmwares = ['bios', 'uefi', 'uefi-http'] as const;
export type Firmware = (typeof firmwares)[number];

/** The boot ROM on the card: `card` the one that QEMU puts there, `none`, or the absolute path of another. */
export type Rom = 'card' | 'none' | `/${string}`;

export interface MachineOptions {
  readonly name: string;
  readonly mac: Mac;
  /** Default 512. */
  readonly memoryMiB?: number;
  /** Virtual processors, default 1. */
  readonly cpus?: number;
  /** Default `e1000`, whose driver is in every distribution's kernel; with UEFI `virtio-net-pci`, for which EDK2 has a driver of its own. */
  readonly card?: Card;
  readonly firmware: Firmware;
  /** Default `card`; with UEFI and `virtio-net-pci` `none`: a ROM's iPXE would take the place of EDK2's own network boot. */
  readonly rom?: Rom;
}

export type MachinePlan = Required<MachineOptions>;

export interface LabNetwork {
  /** The farm's interface; the lab's bridge takes its name, so that farm.yaml fits unchanged. */
  readonly interface: string;
  /** The server's address in it. */
  readonly address: Cidr;
}

export interface ServeCommand {
  readonly command: string;
  readonly args: readonly string[];
}

export interface LabPlan {
  /** Absolute; working directory of `serve`. */
  readonly farmDirectory: string;
  /** Absolute; logs and state of the lab. */
  readonly directory: string;
  /** Absolute and short; see `sockets.ts`. */
  readonly sockets: string;
  readonly network: LabNetwork;
  readonly machines: readonly MachinePlan[];
  readonly serve: ServeCommand;
  /** Whether the machines are switched on with the lab. */
  readonly powerOn: boolean;
  /** Whether the lab goes on when the process that started it ends. */
  readonly keep: boolean;
}

/** Below this neither iPXE nor a kernel with its initramfs fits; EDK2 wants more for itself. */
const leastMemoryMiB = { bios: 64, uefi: 192, 'uefi-http': 192 } as const;

function cardOf({ firmware, card }: MachineOptions): { readonly card: Card; readonly rom: Rom } {
  if (firmware === 'bios') return { card: card ?? 'e1000', rom: 'card' };
  return card === 'e1000' ? { card, rom: 'card' } : { card: 'virtio-net-pci', rom: 'none' };
}

/** Fills in what `machines` leave open; throws `FarmError` with code `lab.machine` for a name, address or size that cannot be. */
export function planMachines(machines: readonly MachineOptions[]): MachinePlan[] {
  const seen = new Set<string>();
  return machines.map((machine) => {
    const plan = { memoryMiB: 512, cpus: 1, ...cardOf(machine), ...machine };
    const least = leastMemoryMiB[plan.firmware];
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(plan.name)) {
      throw new FarmError('lab.machine', `"${plan.name}" cannot be a machine's name in the lab`, 'use letters, digits, dots and dashes, 63 at most');
    }
    for (const key of [plan.name, plan.mac]) {
      if (seen.has(key)) throw new FarmError('lab.machine', `two machines of the lab have ${key}`, 'give each its own name and MAC address');
      seen.add(key);
    }
    if (parseMac(plan.mac) !== plan.mac) throw new FarmError('lab.machine', `${plan.name} has no MAC address`, 'write it as 52:54:00:12:34:56');
    if (!Number.isInteger(plan.memoryMiB) || plan.memoryMiB < least) {
      throw new FarmError('lab.machine', `${plan.name} cannot have ${plan.memoryMiB} MiB of memory`, `give it ${least} or more, in whole MiB`);
    }
    if (!Number.isInteger(plan.cpus) || plan.cpus < 1) {
      throw new FarmError('lab.machine', `${plan.name} cannot have ${plan.cpus} processors`, 'give it one or more');
    }
    return plan;
  });
}
