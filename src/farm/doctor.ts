// What `farm doctor` finds: from what was seen of this machine, each check with what is wrong and what to do. Pure.
import type { Cidr, Ipv4 } from '../base/addresses.ts';
import { cidrText, type Farm, type Network } from './farm.ts';

export interface Finding {
  readonly check: string;
  /** `bad`: nodes will not boot; `warn`: they may not, or something else will go wrong. */
  readonly state: 'ok' | 'warn' | 'bad';
  readonly says: string;
  readonly remedy?: string;
}

/** A card of this machine. */
export interface Card {
  readonly up: boolean;
  /** Whether something is plugged in at the other end; undefined if it cannot tell. */
  readonly carrier: boolean | undefined;
  readonly addresses: readonly Cidr[];
}

/** Who listens on a port that the farm wants. */
export interface Listener {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly address: Ipv4;
}

/** What a look at the network brought. */
export type DhcpProbe = { readonly kind: 'heard'; readonly servers: readonly Ipv4[] } | { readonly kind: 'unheard'; readonly why: string };

export type ServerAccountsFact =
  | { readonly kind: 'found'; readonly users: readonly string[]; readonly warnings: readonly string[] }
  | { readonly kind: 'failed'; readonly why: string; readonly remedy: string | undefined };

/** Everything that the checks look at. */
export interface Facts {
  readonly isRoot: boolean;
  readonly serving: boolean;
  readonly cards: ReadonlyMap<string, Card>;
  readonly listeners: readonly Listener[];
  /** By network name. */
  readonly otherServers: ReadonlyMap<string, DhcpProbe>;
  /** Sentences about rules that drop what nobody allowed; undefined if no firewall could be asked. */
  readonly firewall: readonly string[] | undefined;
  readonly clockSynchronised: boolean | undefined;
  readonly freeBytes: number;
  /** Permission bits of the farm's key. */
  readonly keyMode: number;
  /** Names of images that were built. */
  readonly builtImages: ReadonlySet<string>;
  /** What `users_from_server` finds, or why it does not; undefined if farm.yaml has none. */
  readonly serverAccounts: ServerAccountsFact | undefined;
}

/** An image with its packed root, twice, because the next version is built beside the present one. */
const comfortableBytes = 4 * 1024 ** 3;
const neededBytes = 512 * 1024 ** 2;

export function diagnose(farm: Farm, facts: Facts): readonly Finding[] {
  return [
    ...rights(facts),
    ...farm.networks.flatMap((network) => [...card(network, facts), ...otherDhcp(network, facts)]),
    ...ports(farm, facts),
    ...firewall(farm, facts),
    ...images(farm, facts),
    ...nodes(farm),
    ...serverUsers(farm, facts),
    space(facts),
    key(facts),
    clock(facts),
  ];
}

function rights({ isRoot, serving }: Facts): readonly Finding[] {
  if (isRoot || serving) return [];
  return [
    { check: 'rights', state: 'warn', says: 'this is not root: ports below 1024 and the look for other DHCP servers need it', remedy: 'sudo farm doctor' },
  ];
}

function card({ name, link, server, subnet }: Network, { cards }: Facts): readonly Finding[] {
  if (link.kind !== 'direct') return [];
  const check = `network ${name}`;
  const wanted = `${server}/${subnet.prefix}`;
  const found = cards.get(link.interface);
  if (found === undefined) {
    return [
      {
        check,
        state: 'bad',
        says: `there is no network card ${link.interface}`,
        remedy: `cards are ${[...cards.keys()].join(', ')}: correct \`interface\` in farm.yaml`,
      },
    ];
  }
  if (!found.up) return [{ check, state: 'bad', says: `${link.interface} is down`, remedy: `ip link set ${link.interface} up` }];
  if (!found.addresses.some(({ address }) => address === server)) {
    return [
      {
        check,
        state: 'bad',
        says: `${link.interface} does not have the address ${server}`,
        remedy: `ip addr add ${wanted} dev ${link.interface}, and make it last in the network configuration`,
      },
    ];
  }
  const other = found.addresses.find(({ address, prefix }) => address === server && prefix !== subnet.prefix);
  if (other !== undefined) {
    return [{ check, state: 'warn', says: `${link.interface} has ${cidrText(other)}, farm.yaml says ${wanted}`, remedy: 'make the prefix lengths equal' }];
  }
  if (found.carrier === false)
    return [{ check, state: 'warn', says: `nothing is plugged into ${link.interface}, or what is there is off`, remedy: 'look at the cable and the switch' }];
  return [{ check, state: 'ok', says: `${wanted} on ${link.interface}` }];
}

function otherDhcp({ name, dhcp, server }: Network, { otherServers }: Facts): readonly Finding[] {
  const probe = otherServers.get(name);
  if (probe === undefined) return [];
  const check = `other DHCP, ${name}`;
  if (probe.kind === 'unheard') return [{ check, state: 'warn', says: `nobody could look: ${probe.why}` }];
  const others = probe.servers.filter((address) => address !== server);
  const who = others.join(', ');
  if (dhcp === 'full' && others.length > 0) {
    return [
      {
        check,
        state: 'bad',
        says: `${who} gives addresses here too: which of the two a machine listens to is chance`,
        remedy: `switch it off there, or let it give them and write \`dhcp: proxy\` in network ${name}`,
      },
    ];
  }
  if (dhcp === 'proxy' && others.length === 0) {
    return [
      {
        check,
        state: 'bad',
        says: 'nobody gives addresses here, and `dhcp: proxy` leaves it to another server',
        remedy: `start it, or write \`dhcp: full\` in network ${name}`,
      },
    ];
  }
  return [{ check, state: 'ok', says: others.length === 0 ? 'none' : `${who}, as \`dhcp: ${dhcp}\` wants it` }];
}

interface WantedPort {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly service: string;
}

function wantedPorts({ httpPort, tls, networks }: Farm): readonly WantedPort[] {
  const dhcp: readonly WantedPort[] = [
    { protocol: 'udp', port: 67, service: 'DHCP' },
    { protocol: 'udp', port: 4011, service: 'PXE' },
  ];
  return [
    ...(networks.some((network) => network.dhcp !== 'off') ? dhcp : []),
    { protocol: 'udp', port: 69, service: 'TFTP' },
    { protocol: 'tcp', port: httpPort, service: 'HTTP' },
    ...(tls === undefined ? [] : [{ protocol: 'tcp', port: tls.port, service: 'HTTPS' } as const]),
    { protocol: 'tcp', port: 2049, service: 'NFS' },
    { protocol: 'udp', port: 2049, service: 'NFS' },
  ];
}

function ports(farm: Farm, { listeners, serving }: Facts): readonly Finding[] {
  if (serving) return [{ check: 'ports', state: 'ok', says: 'farm serve has them' }];
  const ours = new Set(farm.networks.map(({ server }) => server));
  const taken = wantedPorts(farm).filter(({ protocol, port }) =>
    listeners.some((listener) => listener.protocol === protocol && listener.port === port && (listener.address === '0.0.0.0' || ours.has(listener.address))),
  );
  if (taken.length === 0) return [{ check: 'ports', state: 'ok', says: 'free' }];
  return taken.map(({ protocol, port, service }) => ({
    check: 'ports',
    state: 'bad',
    says: `another program has ${protocol.toUpperCase()} port ${port}, which ${service} needs`,
    remedy: `see which: ss -lp${protocol === 'tcp' ? 't' : 'u'}n sport = :${port}; then stop it`,
  }));
}

function firewall(farm: Farm, { firewall: rules }: Facts): readonly Finding[] {
  if (rules === undefined) return [];
  if (rules.length === 0) return [{ check: 'firewall', state: 'ok', says: 'drops nothing that comes in' }];
  const all = wantedPorts(farm).map(({ protocol, port }) => `${port}/${protocol}`);
  return [
    {
      check: 'firewall',
      state: 'warn',
      says: `${rules.join('; ')}`,
      remedy: `let in from the nodes: ${[...all, '111/tcp', '111/udp', '4045-4046/tcp', '4045-4046/udp'].join(' ')}`,
    },
  ];
}

function images({ profiles, nodes: all }: Farm, { builtImages }: Facts): readonly Finding[] {
  const wanted = new Set([...profiles, ...all.map(({ profile }) => profile)].map(({ image }) => image));
  return [...wanted].map((image) =>
    builtImages.has(image)
      ? { check: `image ${image}`, state: 'ok', says: 'built' }
      : { check: `image ${image}`, state: 'bad', says: 'not built: its nodes have nothing to boot', remedy: `farm image build ${image}` },
  );
}

function nodes({ nodes: all, unknown }: Farm): readonly Finding[] {
  if (all.length > 0 || unknown.kind === 'register') return [{ check: 'nodes', state: 'ok', says: `${all.length} in farm.yaml` }];
  return [{ check: 'nodes', state: 'warn', says: 'none yet', remedy: 'farm add-node <mac>, or farm add-node --discover 10' }];
}

function serverUsers({ usersFromServer: wanted }: Farm, { serverAccounts: fact }: Facts): readonly Finding[] {
  if (wanted === undefined || fact === undefined) return [];
  const check = 'users of this server';
  if (fact.kind === 'failed') return [{ check, state: 'bad', says: fact.why, ...(fact.remedy === undefined ? {} : { remedy: fact.remedy }) }];
  const { users, warnings } = fact;
  if (users.length === 0) {
    const remedy = 'correct `uids` of `users_from_server`: getent passwd lists accounts, but those of LDAP and NIS are not taken';
    return [
      ...warnings.map((says): Finding => ({ check, state: 'warn', says })),
      { check, state: 'warn', says: `none from ${wanted.first} to ${wanted.last}`, remedy },
    ];
  }
  const shown = users.slice(0, 8).join(', ');
  return [
    { check, state: 'ok', says: `${users.length} on nodes: ${shown}${users.length > 8 ? ', ...' : ''}` },
    ...warnings.map((says): Finding => ({ check, state: 'warn', says, remedy: 'mend it on this server, or name the account under `except`' })),
  ];
}

function space({ freeBytes }: Facts): Finding {
  const says = `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free for images and what nodes write`;
  if (freeBytes >= comfortableBytes) return { check: 'space', state: 'ok', says };
  return {
    check: 'space',
    state: freeBytes < neededBytes ? 'bad' : 'warn',
    says,
    remedy: 'an image needs about 2 GiB while it is built: df -h, and remove what is not needed',
  };
}

function key({ keyMode }: Facts): Finding {
  if ((keyMode & 0o077) === 0) return { check: 'key', state: 'ok', says: 'only its owner can read state/key' };
  return {
    check: 'key',
    state: 'bad',
    says: `others can read state/key (mode ${keyMode.toString(8)}): who has it can forge the farm's file handles and messages`,
    remedy: 'chmod 600 state/key',
  };
}

function clock({ clockSynchronised }: Facts): Finding {
  if (clockSynchronised !== false)
    return { check: 'clock', state: 'ok', says: clockSynchronised === true ? 'synchronised' : 'nobody could say whether it is synchronised' };
  return { check: 'clock', state: 'warn', says: "not synchronised: files that nodes write carry this server's time", remedy: 'timedatectl set-ntp true' };
}
