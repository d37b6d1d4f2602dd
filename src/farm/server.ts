// One farm, served: its registry, its stores and every service of every network, started together and ended together.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import { type HttpRoutes, startHttpServer } from '../boot/http.ts';
import { Pieces } from '../boot/pieces.ts';
import type { BootPlan } from '../boot/plan.ts';
import { Turns } from '../boot/turns.ts';
import type { DhcpExchange } from '../dhcp/exchange.ts';
import { type LeaseStore, leasesFile, openLeases } from '../dhcp/lease-store.ts';
import { openProber } from '../dhcp/prober.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import type { OverlayFile } from '../tree/graft.ts';
import { BootActions } from './action-store.ts';
import { askAgent } from './agent-call.ts';
import { bootFiles } from './boot-files.ts';
import { type CardWatch, watchCards } from './card-watch.ts';
import { controlSocket, stateDirectory } from './directory.ts';
import type { Network, Node } from './farm.ts';
import { handOut } from './handed-out.ts';
import { Images } from './images.ts';
import type { JobsOptions } from './jobs.ts';
import { LiveFarm, type Published } from './live.ts';
import { NfsProcesses } from './nfs-processes.ts';
import { networkPool } from './places.ts';
import { bootPlan, dhcpQuestions } from './planning.ts';
import { removePrivate } from './private-trees.ts';
import { Registrar } from './register.ts';
import { farmRoutes } from './routes.ts';
import { type ServiceName, type Shared, serviceNames, startBehindProxy, starters } from './services.ts';
import { firstSharedOwner } from './shared.ts';
import { Sightings } from './sightings.ts';
import { nodesKey } from './values.ts';

export interface FarmServerOptions {
  readonly directory: string;
  readonly only: readonly ServiceName[];
  /** A port on 127.0.0.1 for nginx, which then has the farm's own HTTP port. */
  readonly behindProxy?: number;
  readonly builtinOverlay: string;
  readonly programFiles: readonly OverlayFile[];
  readonly scriptTemplate: { readonly text: string; readonly origin: string };
  /** Added to every node's kernel command line. */
  readonly kernelArgs: readonly string[];
  readonly log: Log;
  readonly clock: Clock;
}

/** Binds every service or none. Throws `FarmError` when one cannot be bound, the farm is not right, or it is served already. */
export async function startFarmServer(options: FarmServerOptions): Promise<Service> {
  const { directory, log, clock } = options;
  let server: FarmServer | undefined;
  // First, because it is also the lock: journals have one writer.
  const control = await startHttpServer({ socketPath: controlSocket(directory), routes: async (request) => server?.routes(request), log, clock }).catch(
    servedAlready,
  );
  try {
    server = new FarmServer(options, control);
    await server.start();
    return server;
  } catch (error) {
    await (server ?? control).close();
    throw error;
  }
}

function servedAlready(error: unknown): never {
  if (!(error instanceof FarmError) || error.code !== 'port.taken') throw error;
  throw new FarmError(
    'serve.running',
    `this farm is served already: ${error.message}`,
    'one server serves a farm; end the other first, or look at it with: farm status',
    error,
  );
}

class FarmServer implements Service {
  readonly name = 'farm';
  readonly routes: HttpRoutes;
  private readonly options: FarmServerOptions;
  private readonly live: LiveFarm;
  private readonly images: Images;
  private nfs: Promise<NfsProcesses> | undefined;
  private readonly sightings: Sightings;
  private readonly actions: BootActions;
  private readonly leases: LeaseStore;
  private readonly registrar: Registrar;
  private readonly shared: Shared;
  private readonly services: Service[];
  /** By card: the service of its network that is tied to it. */
  private readonly tied = new Map<string, { readonly network: Network; service: Service | undefined }>();
  private cards: CardWatch | undefined;
  /** What was said to be missing, said once. */
  private missing: ReadonlySet<string> = new Set();

  constructor(options: FarmServerOptions, control: Service) {
    const { directory, log, clock } = options;
    this.options = options;
    this.services = [control];
    this.live = new LiveFarm(options);
    const { live } = this;
    this.images = new Images(directory, live.published.overlay);
    live.onPublish(({ overlay }) => this.images.replaceOverlay(overlay));
    this.sightings = new Sightings(live, clock, log);
    this.actions = new BootActions(directory, log);
    this.registrar = new Registrar({ live, log, clock });
    this.leases = openLeases({
      path: join(stateDirectory(directory), leasesFile),
      log,
      clock,
      elapsed: () => performance.now(),
      prober: openProber({ interfaceOf: (network) => this.ownInterface(network), log }),
    });
    const { sightings, actions } = this;
    const files = bootFiles(live, (node, action) => this.plan(node, action), options.scriptTemplate);
    const handed = handOut({ files, actions, sightings, live, clock });
    this.routes = farmRoutes({ live, images: this.images, actions, sightings, handOut: handed, clock, wipe: (node) => this.wipe(node), jobs: this.jobs() });
    this.shared = {
      live,
      questions: dhcpQuestions(live, (node) => this.plan(node), this.registrar.seen),
      leases: this.leases,
      observe: (exchange) => this.observe(exchange),
      routes: this.routes,
      handOut: handed,
      nfs: () => this.nfsProcesses(),
      sightings,
      http: { pieces: new Pieces(clock), turns: new Turns() },
      log,
      clock,
    };
  }

  get sockets(): readonly string[] {
    return [...this.services, ...[...this.tied.values()].flatMap(({ service }) => service ?? [])].flatMap(({ sockets }) => sockets);
  }

  async start(): Promise<void> {
    const { live } = this;
    await this.prepareLeases(live.published);
    const { behindProxy } = this.options;
    const wanted = ([...serviceNames, 'ndp'] as const).filter((name) => this.options.only.includes(name === 'ndp' ? 'dhcp' : name));
    const each = behindProxy === undefined ? wanted : wanted.filter((name) => name !== 'http');
    for (const network of live.published.farm.networks) {
      if (network.link.kind !== 'direct') continue;
      for (const name of each) {
        const service = await starters[name](network, this.shared);
        if (service === undefined) continue;
        if (name === 'dhcp') this.tied.set(network.link.interface, { network, service });
        else this.services.push(service);
      }
    }
    this.cards = watchCards([...this.tied.keys()], (card) => this.renewDhcp(card));
    if (behindProxy !== undefined && wanted.includes('http')) this.services.push(await startBehindProxy(behindProxy, this.shared));
    live.watch();
    this.sayWhatIsMissing();
    live.onPublish((published) => {
      this.sayWhatIsMissing();
      void this.prepareLeases(published);
    });
  }

  /** A node that boots has forgotten its locks. */
  private release(address: Ipv4): void {
    this.nfs?.then(
      (processes) => processes.release(address, 'it boots'),
      () => {}, // said by whoever waits for it
    );
  }

  /** Without NFS nobody has the trees open. */
  private async wipe(node: string): Promise<void> {
    if (this.nfs === undefined) removePrivate(this.options.directory, node);
    else await (await this.nfs).wipe(node);
  }

  /** What `farm job` asks and orders. */
  private jobs(): JobsOptions {
    const { live, sightings } = this;
    const up = () => new Set(sightings.status().nodes.flatMap(({ name, stage }) => (stage === 'agent' || stage === 'up' ? [name] : [])));
    const key = nodesKey(live.key);
    return { farm: () => live.published.farm, up, ask: (node, question, patience) => askAgent(node, key, question, patience) };
  }

  private nfsProcesses(): Promise<NfsProcesses> {
    const { live, sightings } = this;
    const { log, clock } = this.options;
    const count = live.published.farm.nfs.processes ?? availableParallelism();
    const observe = (event: NfsEvent, begins: boolean): void => {
      // Where another server answers DHCP, this is the first that is heard of a boot.
      if (begins) this.release(event.client);
      // A shared path is mounted by a system that runs already.
      if (event.kind !== 'mounted' || event.owner < firstSharedOwner) sightings.mounted(event);
    };
    this.nfs ??= NfsProcesses.start({ live, count, observe, log, clock });
    return this.nfs;
  }

  /** Which interface is on the network itself; undefined behind a relay. */
  private ownInterface(name: string): string | undefined {
    const link = this.live.published.farm.networks.find((network) => network.name === name)?.link;
    return link?.kind === 'direct' ? link.interface : undefined;
  }

  private async prepareLeases(published: Published): Promise<void> {
    const { farm } = published;
    for (const network of farm.networks) {
      const pool = network.dhcp === 'full' && network.unknown.kind === 'lease' ? networkPool(farm, published, network) : undefined;
      if (pool !== undefined) await this.leases.prepare(pool);
    }
  }

  /** The card is another one now: its sockets are made anew. TFTP, HTTP and NFS have the address, whatever card it is on. */
  private async renewDhcp(card: string): Promise<boolean> {
    const tied = this.tied.get(card);
    if (tied === undefined) return true;
    const { log } = this.options;
    try {
      await tied.service?.close();
      tied.service = undefined;
      tied.service = await starters.dhcp(tied.network, this.shared);
    } catch (error) {
      const hint = error instanceof FarmError ? error.hint : undefined;
      log('error', 'dhcp.not-reopened', { interface: card, error: sentence(error), hint });
      return false;
    }
    log('warn', 'dhcp.reopened', { interface: card, reason: 'the interface was taken away and has come back' });
    return true;
  }

  /** A node whose image was never built gets an address and nothing to boot. */
  private sayWhatIsMissing(): void {
    const { nodes } = this.live.published.farm;
    const { log } = this.options;
    const before = this.missing;
    const missing = new Set<string>();
    // Farm.yaml changes with every machine that is registered: what was said is not said again.
    const isNews = (what: string): boolean => {
      missing.add(what);
      return !before.has(what);
    };
    for (const image of new Set(nodes.map(({ profile }) => profile.image))) {
      if (this.images.current(image) === undefined && isNews(image)) log('warn', 'image.missing', { image, remedy: `farm image build ${image}` });
    }
    for (const image of new Set(nodes.filter(({ profile }) => profile.root === 'ram').map(({ profile }) => profile.image))) {
      const version = this.images.current(image);
      if (version !== undefined && this.images.packedRoot(version) === undefined && isNews(version))
        log('warn', 'image.no-ram-root', { image, version, remedy: `farm image build ${image}` });
    }
    this.missing = missing;
  }

  private plan(node: Node, action?: BootPlan['action']): BootPlan | undefined {
    const { images, actions, sightings, options } = this;
    return bootPlan(this.live.published.farm, node, {
      images,
      kernelArgs: options.kernelArgs,
      ordered: ({ name }) => action ?? actions.current(name, options.clock.now()),
      failedBoots: (one) => sightings.failedBoots(one),
      packedRoot: ({ name, version }) => images.packedRoot(`${name}/${version}`),
    });
  }

  private observe(exchange: DhcpExchange): void {
    const { boots } = this.sightings.asked(exchange);
    const { name: node, address } = exchange.host ?? {};
    if (!boots || node === undefined) return;
    this.actions.note(node, 'began', this.options.clock.now());
    if (address !== undefined) this.release(address);
  }

  async close(): Promise<void> {
    this.live.close();
    this.registrar.close();
    await this.cards?.close();
    const tied = [...this.tied.values()].map(({ service }) => service?.close());
    await Promise.all([...tied, ...this.services.splice(0).map((service) => service.close())]);
    await this.leases.close();
    await (await this.nfs?.catch(() => undefined))?.close();
    await this.actions.close();
    await this.sightings.close();
  }
}
