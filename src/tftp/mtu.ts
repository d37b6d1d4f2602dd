// The largest block that needs no IP fragments: boot ROMs cannot put them together.
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Ipv4 } from '../base/addresses.ts';
import { systemCode } from '../base/errors.ts';

/** IPv4, UDP and TFTP headers: 20, 8 and 4. */
const headers = 32;
/** What fills a frame of Ethernet. Clients of a server with jumbo frames may not have them, and no protocol tells. */
const ethernetBlock = 1500 - headers;
/** Loopback has no frames to fit. RFC 2348 allows no larger block. */
const largestBlock = 65_464;

/** For clients of the server at `address`, of which the interface may have a smaller MTU than Ethernet (a tunnel, PPPoE). */
export function fittingBlock(address: Ipv4): number {
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    const entry = entries?.find((each) => each.address === address);
    if (entry === undefined) continue;
    return entry.internal ? Math.min(interfaceMtu(name) - headers, largestBlock) : Math.min(interfaceMtu(name) - headers, ethernetBlock);
  }
  return ethernetBlock;
}

/**
 * Linux tells it in sysfs (Documentation/ABI/testing/sysfs-class-net). A /sys that was mounted in another network namespace does not have the
 * card (network_namespaces(7)): then it is taken for Ethernet.
 */
function interfaceMtu(name: string): number {
  const [device = name] = name.split(':', 1); // eth0:1 is an alias of eth0
  try {
    return Number(readFileSync(`/sys/class/net/${device}/mtu`, 'latin1'));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return ethernetBlock + headers;
  }
}
