// A bad network for TFTP clients that are programs: a UDP forwarder on loopback that loses and delays datagrams by a seed.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface LossyUdp {
  readonly port: number;
  lost(): number;
  close(): void;
}

/** How long a late datagram is late: others overtake it. Milliseconds. */
const lateness = 3;

/**
 * Forwards to `serverPort`, then to whatever port the answers come from. `loss` and `late`: of each direction, 0 to 1. Requests themselves
 * are not lost.
 */
export async function lossyUdp(serverPort: number, loss: number, dice: () => number, late = 0): Promise<LossyUdp> {
  const front = createSocket('udp4');
  const flows = new Map<number, { readonly socket: Socket; to: number }>();
  let lost = 0;
  const isLost = () => {
    if (dice() >= loss) return false;
    lost += 1;
    return true;
  };

  let isClosed = false;
  const carry = (run: () => void) => {
    if (late === 0 || dice() >= late) run();
    else setTimeout(() => isClosed || run(), lateness);
  };

  function flow(clientPort: number): { readonly socket: Socket; to: number } {
    const socket = createSocket('udp4');
    const opened = { socket, to: serverPort };
    socket.on('message', (datagram, peer) => {
      opened.to = peer.port;
      if (!isLost()) carry(() => front.send(datagram, clientPort, '127.0.0.1'));
    });
    flows.get(clientPort)?.socket.close();
    flows.set(clientPort, opened);
    return opened;
  }

  /** A client that begins anew has closed its flow. */
  function forward(socket: Socket, datagram: Buffer, to: number): void {
    if ([...flows.values()].some((flow) => flow.socket === socket)) socket.send(datagram, to, '127.0.0.1');
  }

  front.on('message', (datagram, peer) => {
    const isRequest = datagram.length > 1 && datagram.readUInt16BE(0) <= 2;
    const known = flows.get(peer.port);
    const { socket, to } = known === undefined || (isRequest && known.to !== serverPort) ? flow(peer.port) : known;
    if (isRequest || !isLost()) carry(() => forward(socket, datagram, to));
  });
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  return {
    port: front.address().port,
    lost: () => lost,
    close: () => {
      isClosed = true;
      front.close();
      for (const { socket } of flows.values()) socket.close();
    },
  };
}
