// What the services notice of machines, made into observations: who asked, what was fetched, mounted, said and reported.
import type { Ipv4, Mac } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { sentence, WireError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { HttpAnswer } from '../boot/answers.ts';
import type { HttpRequest } from '../boot/http.ts';
import { orderKey } from '../cluster/key.ts';
import { decodeResults } from '../cluster/orders.ts';
import { type AgentReport, parseAgentReport } from '../cluster/report.ts';
import type { DhcpExchange } from '../dhcp/exchange.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import { ClusterView } from './cluster-view.ts';
import type { Node } from './farm.ts';
import type { LiveFarm } from './live.ts';
import { Observatory } from './observatory.ts';
import { beginsBoot, type Machine, type Stage } from './observed.ts';
import { Orders } from './orders.ts';
import { type FarmStatus, farmStatus } from './status.ts';
import { nodesKey } from './values.ts';

/** A machine that has not asked for anything for so long has left its boot loader, even if it did not load a kernel from here. */
const loadingMilliseconds = 60_000;

/** What a stage message may say for people: one line of the status table. */
const detailMax = 200;

/** What a node may say of itself; any other word is a step of its initramfs. */
const toldStages: readonly Stage[] = ['failed', 'root', 'up', 'leaving'];

/** The detail of a machine that asked for an address and boots nothing. */
export const operatingSystem = 'an operating system';

export class Sightings {
  /** What `farm ctl` ordered, which agents learn in the answers to their reports. */
  readonly orders: Orders;
  private readonly live: LiveFarm;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly observatory: Observatory;
  private readonly reports = new Map<string, AgentReport>();
  private readonly cluster = new ClusterView();
  private readonly orderKey: Buffer;
  /** The hardware address that last had a node's address: a node need not be registered by it. */
  private readonly macs = new Map<Ipv4, Mac>();

  constructor(live: LiveFarm, clock: Clock, log: Log) {
    this.live = live;
    this.clock = clock;
    this.log = log;
    this.observatory = new Observatory(live.directory, log);
    this.orderKey = orderKey(nodesKey(live.key));
    this.orders = new Orders(this.orderKey, clock.now());
    const byAge = [...this.observatory.all()].sort((a, b) => a.lastSeen - b.lastSeen);
    for (const { mac, address } of byAge) if (address !== undefined) this.macs.set(address, mac);
  }

  /** `boots` if the message is the first of a boot. */
  asked({ mac, host, client, event }: DhcpExchange): { readonly boots: boolean } {
    if (mac === undefined) return { boots: false };
    // Only what boots says its firmware.
    const detail = client.loader === 'none' ? (client.bootp ? 'BOOTP' : operatingSystem) : `${client.firmware} ${client.loader}`;
    if (host?.name === undefined) {
      if (event === 'dhcp.ignore' || host !== undefined) this.note(mac, 'seen', host?.address, detail);
      return { boots: false };
    }
    const boots = beginsBoot(client.loader, this.observatory.get(mac), this.clock.now());
    this.macs.set(host.address, mac);
    if (boots) this.note(mac, 'dhcp', host.address, detail);
    return { boots };
  }

  /** Notes a stage of the node that has this address; other addresses are nobody's. */
  reached(client: Ipv4 | undefined, stage: Stage, detail: string): Node | undefined {
    const node = client === undefined ? undefined : this.live.published.byAddress.get(client);
    const mac = node === undefined ? undefined : this.macOf(node);
    if (mac !== undefined) this.note(mac, stage, client, detail);
    return node;
  }

  mounted(event: NfsEvent): void {
    if (event.kind === 'mounted') this.reached(event.client, 'root', `mounted ${event.path}`);
  }

  /** Whether a machine is between the first DHCP message of its boot and its kernel. */
  isLoading(mac: Mac): boolean {
    const machine = this.observatory.get(mac);
    if (machine === undefined || (machine.stage !== 'dhcp' && machine.stage !== 'loader' && machine.stage !== 'menu')) return false;
    return this.clock.now() - machine.lastSeen < loadingMilliseconds;
  }

  /** The initramfs says how far it is, or why it cannot go on. */
  takeStage({ query }: HttpRequest, node: Node): HttpAnswer {
    const stage = query.get('stage') ?? '';
    const detail = (query.get('detail') ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, detailMax);
    const before = this.machineOf(node)?.stage;
    this.reached(node.address, toldStages.find((each) => each === stage) ?? 'kernel', detail === '' ? stage : detail);
    // A node without an agent says every few seconds that it is up.
    if (stage !== 'up' || before !== 'up') this.log(stage === 'failed' ? 'warn' : 'info', 'node.stage', { node: node.name, stage, detail });
    return { kind: 'text', text: 'noted\n' };
  }

  /** The agent says who it is and how it is. */
  takeReport({ body }: HttpRequest, node: Node): HttpAnswer {
    let report: AgentReport;
    try {
      report = parseAgentReport(JSON.parse((body ?? Buffer.alloc(0)).toString()));
    } catch (error) {
      if (!(error instanceof WireError || error instanceof SyntaxError)) throw error;
      return { kind: 'error', status: 400, message: `no agent report: ${sentence(error)}` };
    }
    const { address } = node;
    if (report.id !== node.id || report.name !== node.name) {
      this.log('warn', 'node.identity', { node: node.name, id: node.id, address, says: `${report.name}, id ${report.id}` });
      return {
        kind: 'error',
        status: 409,
        message: `${address} is ${node.name}, id ${node.id}, in this farm`,
        hint: 'two machines with one identity, or a map that is not read again yet',
      };
    }
    const before = this.machineOf(node)?.stage;
    this.reports.set(node.name, report);
    this.cluster.take(report.seen, this.clock.now());
    this.reached(address, report.stage, `${report.system}, agent ${report.version}`);
    if (before !== report.stage) this.log('info', 'node.stage', { node: node.name, stage: report.stage, detail: report.system });
    return { kind: 'text', text: this.orders.body(node.id, report.incarnation) ?? 'noted\n' };
  }

  /** What a node's agent did of its orders. */
  takeResults({ body }: HttpRequest, node: Node): HttpAnswer {
    const incarnation = this.reports.get(node.name)?.incarnation ?? 0;
    const text = (body ?? Buffer.alloc(0)).toString();
    try {
      this.orders.take(node.id, decodeResults(text, node.id, incarnation, [this.orderKey]));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.log('warn', 'order.bad-result', { node: node.name, code: error.code, reason: error.message });
      return { kind: 'error', status: 400, message: `no results: ${error.message}` };
    }
    return { kind: 'text', text: 'noted\n' };
  }

  /** How often in a row its boot ended with a loader that asked for no menu. */
  failedBoots(node: Node): number {
    return this.machineOf(node)?.failedBoots ?? 0;
  }

  status(): FarmStatus {
    return farmStatus(this.live.published.farm, this.observatory.all(), { reports: this.reports, word: (id) => this.cluster.of(id) }, true, this.clock.now());
  }

  async close(): Promise<void> {
    await this.observatory.close();
  }

  private macOf(node: Node): Mac | undefined {
    return node.mac ?? this.macs.get(node.address);
  }

  private machineOf(node: Node): Machine | undefined {
    const mac = this.macOf(node);
    return mac === undefined ? undefined : this.observatory.get(mac);
  }

  private note(mac: Mac, stage: Stage, address: Ipv4 | undefined, detail: string | undefined): void {
    this.observatory.note({ mac, stage, at: this.clock.now(), address, detail });
  }
}
