// systemd.socket(5) units for one farm: systemd, as root, opens what `farm serve` listens on, and passes it to a server that is nobody special.
import { tiedName } from '../base/passed-sockets.ts';
import { nfsPort } from '../nfs/server.ts';
import { portmapPort } from '../rpc/portmap/mappings.ts';
import type { Farm } from './farm.ts';
import { hearsDhcp } from './live.ts';

export interface UnitFile {
  /** `farm.socket` */
  readonly name: string;
  readonly text: string;
}

const service = 'farm.service';
const tftpPort = 69;
/** DHCP, and where PXE ROMs ask a boot server. */
const dhcpPorts = [67, 4011];

/** All that a server would have to have privileges to open, and with it what else it listens on: it can be started by the first packet. */
export function socketUnits({ networks, httpPort, tls }: Pick<Farm, 'networks' | 'httpPort' | 'tls'>): readonly UnitFile[] {
  const direct = networks.flatMap((network) => (network.link.kind === 'direct' ? [{ network, card: network.link.interface }] : []));
  const addresses = direct.map(({ network }) => network.server);
  const streams = (port: number): readonly string[] => addresses.map((address) => `ListenStream=${address}:${port}`);
  const datagrams = (port: number): readonly string[] => addresses.map((address) => `ListenDatagram=${address}:${port}`);
  // An address may be the card's only later.
  const bound = ['FreeBind=yes', 'ReceiveBuffer=4M'];
  return [
    unit('farm.socket', 'TFTP, HTTP and NFS', [
      ...datagrams(tftpPort),
      ...streams(httpPort),
      ...(tls === undefined ? [] : streams(tls.port)),
      ...streams(nfsPort),
      ...datagrams(nfsPort),
      ...bound,
    ]),
    // Of its own, because the system's rpcbind may have the port; farm registers with that then.
    unit('farm-portmap.socket', 'port mapper', [...streams(portmapPort), ...datagrams(portmapPort), ...bound]),
    ...direct
      .filter(({ network }) => hearsDhcp(network, networks))
      .map(({ network: { name }, card }) =>
        unit(`farm-dhcp-${name}.socket`, `DHCP on ${card}`, [
          ...dhcpPorts.map((port) => `ListenDatagram=0.0.0.0:${port}`),
          `BindToDevice=${card}`,
          'Broadcast=yes',
          'ReceiveBuffer=4M',
          `FileDescriptorName=${tiedName}${card}`,
        ]),
      ),
  ];
}

function unit(name: string, what: string, lines: readonly string[]): UnitFile {
  const own = name === 'farm.socket' ? [] : [`Service=${service}`];
  const text = ['# Made by: farm unit --sockets', '[Unit]', `Description=farm: ${what}`, '', '[Socket]', ...lines, ...own];
  return { name, text: `${[...text, '', '[Install]', 'WantedBy=sockets.target'].join('\n')}\n` };
}
