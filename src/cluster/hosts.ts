// /etc/hosts as hosts(5) has it, the only place where openmosix.map may look up a host name.
import { type Ipv4, parseIpv4 } from '../base/addresses.ts';

/** Host name in lower case -> its IPv4 addresses in the order of the file. */
export type Hosts = ReadonlyMap<string, readonly Ipv4[]>;

/** Never fails: lines with IPv6 or unreadable addresses are passed over, as the C library does. */
export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, Ipv4[]>();
  for (const line of text.split('\n')) {
    const [word = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const address = parseIpv4(word);
    if (address === undefined) continue;
    for (const name of names) {
      const known = hosts.get(name.toLowerCase());
      if (known === undefined) hosts.set(name.toLowerCase(), [address]);
      else known.push(address);
    }
  }
  return hosts;
}
