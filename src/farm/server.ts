// All services of one farm: starts them, answers their questions from the registry, and notes what they see of each machine.
import type { Ipv4, Mac } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence, WireError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { HttpAnswer } from '../boot/answers.ts';
import { type HttpRequest, startHttpServer } from '../boot/http.ts';
import { type AgentReport, parseAgentReport, reportPath } from '../cluster/report.ts';
import type { DhcpExchange } from '../dhcp/answer.ts';
import { startDhcpServer } from '../dhcp/server.ts';
import { startRouterAdvertiser } from '../ndp/server.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import { startNfsServer } from '../nfs/server.ts';
import { tftpBytes, tftpFileBelow } from '../tftp/files.ts';
import { startTftpServer } from '../tftp/server.ts';
import type { OverlayFile } from '../tree/graft.ts';
import { type BootFiles, bootFiles } from './boot-files.ts';
import type { Network, Node } from './config.ts';
import { controlSocket } from './directory.ts';
import { Images } from './images.ts';
import { LiveFarm } from './live.ts';
import { Observatory } from './observatory.ts';
import { beginsBoot, type Stage } from './observed.ts';
import { bootPlan, dhcpQuestions } from './planning.ts';
import { type FarmStatus, farmStatus } from './status.ts';
import { handleKey } from './values.ts';
import { NodeViews } from './views.ts';

export const serviceNames = ['dhcp', 'tftp', 'http', 'nfs'] as const;
export type ServiceName = (typeof serviceNames)[number];

/** A machine that has not asked for anything for so long has left its boot loader, even if it did not load a kernel from here. */
const loadingMilliseconds = 60_000;

export interface FarmServerOptions {
  readonly directory: string;
  readonly only: readonly ServiceName[];
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
  const control = await startHttpServer({ socketPath: controlSocket(directory), routes: async (request) => server?.answer(request), log, clock }).catch(
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

/** What every node posts every few seconds; what it says is logged when it is news. */
function isRoutine(path: string): boolean {
  return path === reportPath || path === '/stage';
}

class FarmServer implements Service {
  readonly name = 'farm';
  private readonly options: FarmServerOptions;
  private readonly live: LiveFarm;
  private readonly images: Images;
  private readonly views: NodeViews;
  private readonly observatory: Observatory;
  private readonly files: BootFiles;
  private readonly reports = new Map<string, AgentReport>();
  private readonly services: Service[];

  constructor(options: FarmServerOptions, control: Service) {
    const { directory, log, clock } = options;
    this.options = options;
    this.services = [control];
    this.live = new LiveFarm(options);
    this.images = new Images(directory, this.live.published.overlay);
    this.views = new NodeViews(this.live, this.images, clock, log);
    this.observatory = new Observatory(directory, log);
    this.files = bootFiles(this.live, (node) => this.plan(node), options.scriptTemplate);
  }

  get sockets(): readonly string[] {
    return this.services.flatMap(({ sockets }) => sockets);
  }

  async start(): Promise<void> {
    for (const network of this.live.published.farm.networks) await this.startNetwork(network);
    this.live.watch();
    this.sayWhatIsMissing();
    this.live.onPublish(() => this.sayWhatIsMissing());
  }

  /** Every service on the server's own address and interface in one network: nothing is heard or said in others. */
  private async startNetwork(network: Network): Promise<void> {
    const { log, clock, only } = this.options;
    const address = network.address.address;
    const starters: Record<ServiceName, () => Promise<Service>> = {
      dhcp: () =>
        startDhcpServer({
          address,
          interface: network.interface,
          questions: dhcpQuestions(this.live, (node) => this.plan(node)),
          observe: (exchange) => this.noteDhcp(exchange),
          log,
          clock,
        }),
      tftp: () => startTftpServer({ address, source: (path, client) => this.tftpFile(path, client), log, clock }),
      http: () => startHttpServer({ address, port: this.live.published.farm.httpPort, routes: (request) => this.answer(request), isRoutine, log, clock }),
      nfs: () =>
        startNfsServer({
          address,
          portmap: false,
          privileged: true,
          exports: this.views,
          key: handleKey(this.live.key),
          observe: (event) => this.noteNfs(event),
          log,
          clock,
        }),
    };
    for (const name of serviceNames) if (only.includes(name)) this.services.push(await starters[name]());
    // With DHCP, which hears the same machines: iPXE asks both at once and waits for both.
    if (only.includes('dhcp')) {
      this.services.push(await startRouterAdvertiser({ interface: network.interface, isLoading: (mac) => this.isLoading(mac), log, clock }));
    }
  }

  /** A node whose image was never built gets an address and nothing to boot. */
  private sayWhatIsMissing(): void {
    for (const image of new Set(this.live.published.farm.nodes.map(({ profile }) => profile.image))) {
      if (this.images.current(image) === undefined) this.options.log('warn', 'image.missing', { image, remedy: `farm image build ${image}` });
    }
  }

  private plan(node: Node): ReturnType<typeof bootPlan> {
    return bootPlan(this.live.published.farm, node, this.images, this.options.kernelArgs);
  }

  private note(mac: Mac, stage: Stage, address: Ipv4 | undefined, detail: string | undefined): void {
    this.observatory.note({ mac, stage, at: this.options.clock.now(), address, detail });
  }

  /** Notes a stage of the node that has this address; other addresses are nobody's. */
  private noteNode(client: Ipv4 | undefined, stage: Stage, detail: string): Node | undefined {
    const node = client === undefined ? undefined : this.live.published.byAddress.get(client);
    if (node !== undefined) this.note(node.mac, stage, client, detail);
    return node;
  }

  private noteDhcp({ mac, host, client, event }: DhcpExchange): void {
    if (mac === undefined) return;
    const detail = [client.firmware, client.loader === 'none' ? (client.bootp ? 'BOOTP' : 'an operating system') : client.loader].join(' ');
    if (host === undefined) {
      if (event === 'dhcp.ignore') this.note(mac, 'seen', undefined, detail);
      return;
    }
    const machine = this.observatory.get(mac);
    if (beginsBoot(client.loader, machine, this.options.clock.now())) this.note(mac, 'dhcp', host.address, detail);
  }

  /** Whether a node is between the first DHCP message of its boot and its kernel. */
  private isLoading(mac: Mac): boolean {
    const machine = this.observatory.get(mac);
    if (machine === undefined || (machine.stage !== 'dhcp' && machine.stage !== 'loader')) return false;
    return this.options.clock.now() - machine.lastSeen < loadingMilliseconds;
  }

  private noteNfs(event: NfsEvent): void {
    if (event.kind === 'mounted') this.noteNode(event.client, 'root', `mounted ${event.path}`);
  }

  private async tftpFile(path: string, client: Ipv4): ReturnType<typeof tftpFileBelow> {
    const found = this.files.find(path, client);
    if (found === undefined) return undefined;
    this.noteNode(client, found.stage, found.detail);
    if (found.body.kind === 'text') return tftpBytes(Buffer.from(found.body.text));
    return tftpFileBelow(found.body.directory, found.body.path);
  }

  async answer(request: HttpRequest): Promise<HttpAnswer | undefined> {
    const { path, client } = request;
    if (path === '/status') return { kind: 'json', value: this.status() };
    if (client === undefined) return undefined;
    if (path === reportPath) return this.takeReport(request, client);
    if (path === '/stage') return this.takeStage(request, client);
    const found = this.files.find(path.slice(1), client);
    if (found === undefined) return undefined;
    this.noteNode(client, found.stage, found.detail);
    return found.body.kind === 'text' ? { ...found.body, type: 'text/plain; charset=utf-8' } : found.body;
  }

  /** The initramfs says how far it is, or why it cannot go on. */
  private takeStage({ query }: HttpRequest, client: Ipv4): HttpAnswer {
    const stage = query.get('stage') ?? '';
    const detail = (query.get('detail') ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
    const node = this.noteNode(client, stage === 'failed' ? 'failed' : stage === 'root' ? 'root' : 'kernel', detail === '' ? stage : detail);
    if (node === undefined) return { kind: 'error', status: 403, message: `${client} is no node of this farm` };
    const level = stage === 'failed' ? 'warn' : 'info';
    this.options.log(level, 'node.stage', { node: node.name, stage, detail });
    return { kind: 'text', text: 'noted\n' };
  }

  private takeReport({ body }: HttpRequest, client: Ipv4): HttpAnswer {
    const node = this.live.published.byAddress.get(client);
    if (node === undefined) return { kind: 'error', status: 403, message: `${client} is no node of this farm` };
    let report: AgentReport;
    try {
      report = parseAgentReport(JSON.parse((body ?? Buffer.alloc(0)).toString()));
    } catch (error) {
      if (!(error instanceof WireError || error instanceof SyntaxError)) throw error;
      return { kind: 'error', status: 400, message: `no agent report: ${sentence(error)}` };
    }
    if (report.id !== node.id || report.name !== node.name) {
      this.options.log('warn', 'node.identity', { node: node.name, id: node.id, address: client, says: `${report.name}, id ${report.id}` });
      return {
        kind: 'error',
        status: 409,
        message: `${client} is ${node.name}, id ${node.id}, in this farm`,
        hint: 'two machines with one identity, or a map that is not read again yet',
      };
    }
    const before = this.observatory.get(node.mac)?.stage;
    this.reports.set(node.name, report);
    this.noteNode(client, report.stage, `${report.system}, agent ${report.version}`);
    if (before !== report.stage) this.options.log('info', 'node.stage', { node: node.name, stage: report.stage, detail: report.system });
    return { kind: 'text', text: 'noted\n' };
  }

  private status(): FarmStatus {
    return farmStatus(this.live.published.farm, this.observatory.all(), this.reports, true, this.options.clock.now());
  }

  async close(): Promise<void> {
    this.live.close();
    await Promise.all(this.services.splice(0).map((service) => service.close()));
    await this.views.close();
    await this.observatory.close();
  }
}
