// How many connections there may be, of one client and in all: those over the limits are closed at once.
import type { Socket } from 'node:net';
import { ipv4FromPeer } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { isLoopback } from './forwarded.ts';

export interface AdmissionLimits {
  /** Connections at once: a thousand nodes that boot together, with some to spare. */
  readonly connections: number;
  /** Of one client: a browser opens six, a downloader sixteen. */
  readonly connectionsPerClient: number;
}

/** The least time between two `http.busy` events. Milliseconds. */
const busyEvery = 1000;

/** Gives what every new connection is shown to. `behindProxy`: loopback is the proxy, which asks for many clients. */
export function openAdmission(limits: AdmissionLimits, behindProxy: boolean, log: Log, clock: Clock): (socket: Socket) => void {
  const ofClient = new Map<string, number>();
  let connections = 0;
  let turnedAway = 0;
  let busyAt = Number.NEGATIVE_INFINITY;
  return (socket) => {
    const client = socket.remoteAddress ?? 'local';
    const before = ofClient.get(client) ?? 0;
    const most = behindProxy && isLoopback(ipv4FromPeer(client)) ? limits.connections : limits.connectionsPerClient;
    if (connections >= limits.connections || before >= most) {
      socket.destroy();
      turnedAway += 1;
      if (Math.abs(clock.now() - busyAt) < busyEvery) return;
      log('warn', 'http.busy', { client, connections, ofClient: before, turnedAway });
      busyAt = clock.now();
      turnedAway = 0;
      return;
    }
    connections += 1;
    ofClient.set(client, before + 1);
    socket.once('close', () => {
      connections -= 1;
      const left = (ofClient.get(client) ?? 1) - 1;
      if (left === 0) ofClient.delete(client);
      else ofClient.set(client, left);
    });
  };
}
