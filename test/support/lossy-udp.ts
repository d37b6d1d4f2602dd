// A bad network for TFTP clients that are programs: a UDP forwarder on loopback that loses datagrams by a seed.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface LossyUdp {
  readonly port: number;
  lost(): number;
  close(): void;
}

/** Forwards to `serverPort`, then to whatever port the answers come from. `loss`: of each direction, 0 to 1. Requests themselves pass. */
export async function lossyUdp(serverPort: number, loss: number, dice: () => number): Promise<LossyUdp> {
  const front = createSocket('udp4');
  const flows = new Map<number, { readonly socket: Socket; to: number }>();
  let lost = 0;
  const isLost = () => {
    if (dice() >= loss) return false;
    lost += 1;
    return true;
  };

  function flow(clientPort: number): { readonly socket: Socket; to: number } {
    const socket = createSocket('udp4');
    const opened = { socket, to: serverPort };
    socket.on('message', (datagram, peer) => {
      opened.to = peer.port;
      if (!isLost()) front.send(datagram, clientPort, '127.0.0.1');
    });
    flows.get(clientPort)?.socket.close();
    flows.set(clientPort, opened);
    return opened;
  }

  front.on('message', (datagram, peer) => {
    const isRequest = datagram.length > 1 && datagram.readUInt16BE(0) <= 2;
    const known = flows.get(peer.port);
    const { socket, to } = known === undefined || (isRequest && known.to !== serverPort) ? flow(peer.port) : known;
    if (isRequest || !isLost()) socket.send(datagram, to, '127.0.0.1');
  });
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  return {
    port: front.address().port,
    lost: () => lost,
    close: () => {
      front.close();
      for (const { socket } of flows.values()) socket.close();
    },
  };
}
