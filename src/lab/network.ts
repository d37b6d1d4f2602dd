// The lab's wire: a bridge that stands for the server's interface, and one tap for each machine. Commands for ip-batch(8).
import { ipv4Bytes, macFromBytes } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import type { LabNetwork } from './plan.ts';

/** The tap of the machine at `index`. */
export function tapName(index: number): string {
  return `labtap${index}`;
}

/**
 * What `ip -batch` has to do in a fresh network namespace. The bridge gets an address of its own: otherwise it takes its lowest port's,
 * which changes as taps come, and machines that are booting lose the server until their ARP entry expires.
 */
export function networkCommands(network: LabNetwork, machines: number): string[] {
  const { interface: bridge, address } = network;
  // IFNAMSIZ is 16 with its final NUL; the kernel refuses "/", ":" and blanks in a name (dev_valid_name).
  if (!/^[^\s/:]{1,15}$/.test(bridge) || bridge.startsWith('-') || bridge === '.' || bridge === '..' || bridge === 'lo' || bridge.startsWith('labtap')) {
    throw new FarmError(
      'lab.interface',
      `the lab cannot name its bridge "${bridge}"`,
      'name the farm’s interface as the kernel would, e.g. eth1, 15 characters at most',
    );
  }
  const mac = macFromBytes(Buffer.concat([Buffer.from([0x02, 0x00]), ipv4Bytes(address.address)]));
  const commands = [
    'link set lo up',
    `link add ${bridge} address ${mac} type bridge forward_delay 0 stp_state 0`,
    `address add ${address.address}/${address.prefix} broadcast + dev ${bridge}`,
    `link set ${bridge} up`,
  ];
  for (let index = 0; index < machines; index += 1) {
    commands.push(`tuntap add dev ${tapName(index)} mode tap`, `link set ${tapName(index)} master ${bridge} up`);
  }
  return commands;
}
