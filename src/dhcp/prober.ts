// Who is asked whether an address is in use: the network's own Ethernet by ARP, networks behind a relay by ICMP echo through their router.
import type { Ipv4 } from '../base/addresses.ts';
import { openArp } from '../base/arp.ts';
import { sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { openPing } from '../base/ping.ts';
import type { ProbeDoor, ProbeVerdict } from '../base/probe.ts';

export interface Prober {
  /** Opens what this network needs; settles when it is open, or cannot be. */
  open(network: string): Promise<void>;
  canProbe(network: string): boolean;
  /** Never rejects. */
  probe(network: string, address: Ipv4): Promise<ProbeVerdict>;
  close(): Promise<void>;
}

export interface ProberOptions {
  /** The interface that is on the network itself; undefined for a network behind a relay. */
  readonly interfaceOf: (network: string) => string | undefined;
  readonly log: Log;
}

/** What the operator loses; told with every reason for it. */
const consequence = 'dynamic addresses are given without a look whether somebody uses them already';

/** Opens one socket for each interface and one for all relayed networks, when first needed. What is in the way is logged once, and tried again. */
export function openProber({ interfaceOf, log }: ProberOptions): Prober {
  const doors = new Map<string | undefined, ProbeDoor>();

  const openDoor = (name: string | undefined): ProbeDoor => {
    let trouble: string | undefined;
    const options = {
      onOpen: () => {
        if (trouble !== undefined) log('info', 'lease.probing', { interface: name });
        trouble = undefined;
      },
      onLost: (error: Parameters<Parameters<typeof openPing>[0]['onLost']>[0], retryMilliseconds: number) => {
        if (trouble !== error.code)
          log('warn', 'lease.probing-lost', { interface: name, reason: sentence(error), hint: error.hint, retryMilliseconds, consequence });
        trouble = error.code;
      },
    };
    return name === undefined ? openPing(options) : openArp({ interface: name, ...options });
  };

  const door = (network: string): ProbeDoor => {
    const name = interfaceOf(network);
    const known = doors.get(name);
    if (known !== undefined) return known;
    const made = openDoor(name);
    doors.set(name, made);
    return made;
  };

  return {
    open: (network) => door(network).tried,
    canProbe: (network) => door(network).isOpen,
    probe: (network, address) => door(network).probe(address),
    close: async () => {
      await Promise.all([...doors.values()].map((each) => each.close()));
    },
  };
}
