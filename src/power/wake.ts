// Sends magic packets: on the card that the nodes' network is on, or through the router to the network's broadcast address.
import { broadcastAddress, ipv4Any, ipv4Broadcast, type Mac } from '../base/addresses.ts';
import { openUdp } from '../base/datagrams.ts';
import type { Network } from '../farm/farm.ts';
import { magicPacket, wakePort } from './magic-packet.ts';

/** One packet may be lost on its way, and there is no answer to tell. */
const repeats = 3;

/** Throws what `openUdp` does, and the system's error if it cannot be sent. */
export async function wake(card: Mac, { link, subnet }: Pick<Network, 'link' | 'subnet'>): Promise<void> {
  const isNear = link.kind === 'direct';
  const socket = await openUdp({ address: ipv4Any, port: 0, broadcast: true, ...(isNear ? { interface: link.interface } : {}) });
  try {
    const packet = magicPacket(card);
    const to = isNear ? ipv4Broadcast : broadcastAddress(subnet);
    for (let sent = 0; sent < repeats; sent++) {
      await new Promise<void>((resolve, reject) => socket.send(packet, wakePort, to, (error) => (error === null ? resolve() : reject(error))));
    }
  } finally {
    socket.close();
  }
}
