// What a transfer speaks through: a socket of its own (RFC 1350 4), or its share of the one socket that firewalls let through.
import type { Socket } from 'node:dgram';
import type { Ipv4 } from '../base/addresses.ts';
import { openUdp } from '../base/datagrams.ts';

export interface Listener {
  /** Of this client only. */
  datagram(datagram: Buffer): void;
  /** What the system reports, e.g. that the client's port is closed (ECONNREFUSED); only a socket of one's own is told. */
  error(error: Error): void;
}

export interface Endpoint {
  /** Without an answer: a datagram that the system does not take is as good as lost. */
  send(datagram: Buffer): void;
  /** Until it is closed. One listener. */
  listen(listener: Listener): void;
  close(): Promise<void>;
}

export interface Peer {
  readonly address: string;
  readonly port: number;
}

/**
 * A socket connected to the client: the kernel drops what others send to it, and reports when the client's port is closed. Not tied to an
 * interface: it goes where the route to the client goes. Throws what `openUdp` throws.
 */
export async function ownEndpoint(address: Ipv4, peer: Peer): Promise<Endpoint> {
  const socket = await openUdp({ address, port: 0 });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(peer.port, peer.address, () => {
        socket.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    socket.close();
    throw error;
  }
  return {
    send: (datagram) => socket.send(datagram),
    listen: (listener) => {
      socket.on('message', (datagram) => listener.datagram(datagram));
      socket.on('error', (error) => listener.error(error));
    },
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

/** Endpoints on one socket, told apart by the client's address and port. */
export interface SharedEndpoints {
  open(peer: Peer): Endpoint;
  /** Hands a datagram to its endpoint; false if there is none. */
  deliver(datagram: Buffer, peer: Peer): boolean;
}

export function sharedEndpoints(socket: Socket): SharedEndpoints {
  const listeners = new Map<string, Listener>();
  return {
    open: (peer) => {
      const key = peerKey(peer);
      let own: Listener | undefined;
      return {
        send: (datagram) => socket.send(datagram, peer.port, peer.address),
        listen: (listener) => {
          own = listener;
          listeners.set(key, listener);
        },
        close: async () => {
          // A client that began anew has put its new transfer in this place already.
          if (listeners.get(key) === own) listeners.delete(key);
        },
      };
    },
    deliver: (datagram, peer) => {
      const listener = listeners.get(peerKey(peer));
      listener?.datagram(datagram);
      return listener !== undefined;
    },
  };
}

/** The client's transfer id (RFC 1350 4). */
export function peerKey(peer: Peer): string {
  return `${peer.address}:${peer.port}`;
}
