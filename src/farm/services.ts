// The services that a farm runs on each of its own networks, with the answers that each of them is given.
import { join } from 'node:path';
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { UploadPlace } from '../base/upload.ts';
import { proxySecret } from '../boot/forwarded.ts';
import { type HttpRoutes, type HttpShared, startHttpServer } from '../boot/http.ts';
import type { DhcpExchange } from '../dhcp/exchange.ts';
import type { LeaseStore } from '../dhcp/lease-store.ts';
import type { DhcpQuestions } from '../dhcp/questions.ts';
import { startDhcpServer } from '../dhcp/server.ts';
import { startRouterAdvertiser } from '../ndp/server.ts';
import type { Locks } from '../nlm/server.ts';
import { startTftpServer } from '../tftp/server.ts';
import { tftpBody } from './boot-files.ts';
import { uploadDirectory } from './directory.ts';
import type { Network } from './farm.ts';
import { startFileServices } from './files.ts';
import type { HandOut } from './handed-out.ts';
import { hearsDhcp, type LiveFarm } from './live.ts';
import { isRoutine } from './routes.ts';
import type { Sightings } from './sightings.ts';
import type { NodeViews } from './views.ts';

export const serviceNames = ['dhcp', 'tftp', 'http', 'nfs'] as const;
export type ServiceName = (typeof serviceNames)[number];

/** What the services of all networks share. */
export interface Shared {
  readonly live: LiveFarm;
  readonly questions: DhcpQuestions;
  readonly leases: LeaseStore;
  readonly observe: (exchange: DhcpExchange) => void;
  readonly routes: HttpRoutes;
  readonly handOut: HandOut;
  readonly views: NodeViews;
  /** With `nfs` only. */
  readonly locks: Locks | undefined;
  readonly sightings: Sightings;
  readonly http: HttpShared;
  readonly log: Log;
  readonly clock: Clock;
}

/** Starts one service on the server's address and interface in one network: nothing is heard or said in others. Throws what it cannot bind. */
export type Starter = (network: Network, shared: Shared) => Promise<Service | undefined>;

export const starters: Readonly<Record<ServiceName | 'ndp', Starter>> = {
  dhcp: async (network, { live, questions, leases, observe, log, clock }) => {
    const { server, link } = network;
    if (!hearsDhcp(network, live.published.farm.networks)) return undefined;
    return startDhcpServer({ address: server, interface: link.interface, questions, leases, observe, log, clock });
  },
  tftp: async ({ server }, { live, handOut, log, clock }) => {
    const { tftp } = live.published.farm;
    return startTftpServer({
      address: server,
      source: async (path, client) => {
        const body = await handOut(path, client);
        return body === undefined ? undefined : tftpBody(body);
      },
      upload: async (path, client) => {
        const place = uploadPlace(live, client);
        return place === undefined ? undefined : { ...place, name: path.slice(path.lastIndexOf('/') + 1), replace: true };
      },
      singlePort: tftp.singlePort,
      ...(tftp.largestBlock === undefined ? {} : { largestBlock: tftp.largestBlock }),
      log,
      clock,
    });
  },
  http: async ({ server }, { live, routes, http, log, clock }) => {
    const { httpPort, tls } = live.published.farm;
    return startHttpServer({
      address: server,
      port: httpPort,
      ...(tls === undefined ? {} : { tls }),
      routes,
      isRoutine,
      isNode: (client) => live.published.byAddress.has(client),
      upload: (client) => uploadPlace(live, client),
      shared: http,
      log,
      clock,
    });
  },
  nfs: async (network, { locks, ...shared }) => (locks === undefined ? undefined : startFileServices(network, { ...shared, locks })),
  // With DHCP, which hears the same machines: iPXE asks both at once and waits for both.
  ndp: async ({ link }, { sightings, log, clock }) =>
    startRouterAdvertiser({ interface: link.interface, isLoading: (mac) => sightings.isLoading(mac), log, clock }),
};

/** HTTP for nginx in front of it: on loopback alone, where the address that nginx saw is believed. */
export async function startBehindProxy(port: number, { live, routes, http, log, clock }: Shared): Promise<Service> {
  return startHttpServer({
    address: '127.0.0.1' as Ipv4,
    port,
    routes,
    isRoutine,
    isNode: (client) => live.published.byAddress.has(client),
    upload: (client) => uploadPlace(live, client),
    proxySecret: proxySecret(live.key),
    shared: http,
    log,
    clock,
  });
}

/** Where this address may write: a directory of the node's own. */
function uploadPlace(live: LiveFarm, client: Ipv4): UploadPlace | undefined {
  const { byAddress, farm } = live.published;
  const node = byAddress.get(client);
  if (node === undefined || farm.upload === undefined) return undefined;
  return { directory: join(uploadDirectory(live.directory), node.name), limit: farm.upload.limitBytes };
}
