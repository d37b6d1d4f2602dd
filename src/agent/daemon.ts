// The node's agent: joins the map, the membership, the load of this machine, the API as files and the reports to the server.
import { rmSync } from 'node:fs';
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { Facts, Measures } from '../cluster/entry.ts';
import { expandMap } from '../cluster/nodes.ts';
import { type AgentReport, reportMembers, reportSeen, type Stage } from '../cluster/report.ts';
import { type RunningDiscovery, startDiscovery } from './discovery.ts';
import type { MapFile } from './files.ts';
import { type FollowedMap, followKey, followMap } from './followed.ts';
import { startHpc } from './hpc/server.ts';
import { hpcSource } from './hpc-source.ts';
import { identify, type Self } from './identity.ts';
import { chooseMap, tablePath } from './map-source.ts';
import { type Membership, startMembership } from './member.ts';
import { readNodeConfig } from './openmosix-config.ts';
import { orderTaker } from './orders.ts';
import { type Peers, startPeers } from './peers.ts';
import { takePrecedence } from './precedence.ts';
import { type Reporter, startReporter } from './report.ts';
import { hardware, openSampler, uptime } from './sample.ts';
import type { Settings } from './settings.ts';
import { type AgentState, openState } from './state.ts';
import { type Status, type StatusMember, serveStatus } from './status.ts';
import { isUp, watchSystem } from './system.ts';
import { measureSpeed } from './yardstick.ts';

/** Equal to package.json's, which is not in the bundle. */
export const agentVersion = '0.1.0';

/** All of the goodbye has to fit into one second. */
const farewellTimeout = 700;

export interface Agent {
  /** Says goodbye and ends; within a second. */
  stop(): Promise<void>;
  /** Settles when the agent cannot go on as what it is; `agent.restart`: but as somebody else. */
  readonly failed: Promise<FarmError>;
}

/** Starts the agent. Throws the `FarmError`s of its files, of `identify` and of its sockets. */
export async function startAgent(settings: Settings, log: Log): Promise<Agent> {
  const key = await followKey(settings.keyPath, log);
  const config = readNodeConfig(settings.config);
  const chosen = await chooseMap(settings, log);
  const state = await openState(settings.stateDirectory, config.initial, log);
  const now = () => performance.now();
  const sampler = openSampler(now());
  let measures: Measures | undefined;
  let stage: Stage = 'agent';
  let system = 'unknown';
  const refused: Record<string, number> = {};
  let shown = 0;
  const ending = new AbortController();
  let fail: (error: FarmError) => void = () => {};
  const failed = new Promise<FarmError>((resolve) => {
    fail = resolve;
  });
  const restart = (why: string) => fail(new FarmError('agent.restart', why));
  ensureSpeed(state, log);

  let membership: Membership | undefined;
  let peers: Peers | undefined;
  let reporter: Reporter | undefined;
  let discovery: RunningDiscovery | undefined;
  let followed: FollowedMap | undefined;
  if (chosen === undefined) {
    discovery = await startDiscovery({
      ...settings.discover,
      booted: settings.booted.address,
      cluster: settings.cluster,
      incarnation: state.get().incarnation,
      id: config.id ?? state.get().discoveredId,
      keys: () => key.keys,
      alive: (id) => membership?.table.liveAt.has(id) === true,
      onChange: () => followed?.take(discovered()),
      onRenumber(id) {
        state.set({ discoveredId: id });
        restart(`another machine has our id, and had it first: this one becomes node ${id}`);
      },
      refuse: count,
      log,
    });
  }
  const file = chosen ?? discovered();
  const self = discovery ?? (file.entries.length === 0 ? undefined : identify(file.map, settings, file.path, config.id));
  const map = followMap({
    ...{ settings, file, self, configured: config.id, isDiscovering: discovery !== undefined, fail, log },
    onMap() {
      membership?.mapChanged();
      reporter?.poke();
    },
  });
  followed = map;

  if (self !== undefined) {
    membership = await startMembership({
      ...{ cluster: settings.cluster, port: settings.clusterPort, interval: settings.interval, self, incarnation: state.get().incarnation },
      ...{ map: () => map.file.map, keys: () => key.keys, facts: freshFacts, refuse: count, onChange: () => reporter?.poke(), log },
    }).catch(async (error: unknown) => {
      await discovery?.stop();
      throw error;
    });
  }
  const statusServer = await serveStatus(settings.socketPath, currentStatus).catch(async (error: unknown) => {
    await Promise.all([membership?.stop(), discovery?.stop()]);
    throw error;
  });
  if (self !== undefined) {
    const nodes = map.file.map.addresses.size;
    log('info', 'agent.started', { name: settings.name, id: self.id, address: self.address, cluster: settings.cluster, nodes });
    const to = { server: settings.server, port: settings.serverPort };
    const hpcPlace = settings.hpc?.mountPoint ?? '';
    const incarnation = () => membership?.table.incarnation ?? 0;
    const answered = orderTaker({ ...to, node: self.id, incarnation, keys: () => key.keys, hpc: hpcPlace, log });
    reporter = startReporter({ ...to, interval: settings.reportInterval, report: () => currentReport(self), answered, log });
  } else log('info', 'agent.apart', { name: settings.name, file: map.file.path });
  const joining = self === undefined || membership === undefined ? undefined : beginPeers(self, membership);
  const hpc = await serveHpc();
  const looks = setInterval(look, settings.reportInterval);
  watchSystem((word) => {
    log('info', 'system.state', { state: word });
    system = word;
    if (isUp(word) && stage === 'agent') stage = 'up';
    reporter?.poke();
  }, ending.signal);

  /** Once a round; a quiet node measures nothing. */
  function freshFacts(): Facts {
    const { flags, speed } = state.get();
    measures = flags.quiet ? undefined : sampler.sample(now(), speed?.value ?? 1);
    return facts();
  }

  function facts(): Facts {
    const { flags, speed } = state.get();
    return { flags, guests: peers?.migration?.guests() ?? 0, version: agentVersion, speed: speed?.value ?? 1, cpus: sampler.cpus(), measures };
  }

  /** Only the first of each kind is logged: whoever sends bad datagrams shall not fill the journal. `status` has the counts. */
  function count(reason: string, from: string, detail: string): void {
    refused[reason] = (refused[reason] ?? 0) + 1;
    if (refused[reason] === 1) log('warn', 'cluster.refused', { reason, from, detail });
  }

  function look(): void {
    void key.look();
    void map.look();
  }

  function discovered(): MapFile {
    const entries = discovery?.entries() ?? [];
    return { path: 'discovery', stamp: '', entries, map: expandMap(entries, new Map(), 'discovery'), names: new Map<Ipv4, string>(), warnings: [] };
  }

  async function serveHpc(): Promise<Service | undefined> {
    if (settings.hpc === undefined) return undefined;
    const source = hpcSource({
      ...{ name: settings.name, map: () => map.file, table: () => membership?.table, facts, state, now, hardware, tablePath: tablePath(settings) },
      ...{ tell: () => membership?.tell(), look, jobs: () => peers?.migration?.source },
    });
    const { mountPoint, port } = settings.hpc;
    try {
      return await startHpc(source, { log, mountPoint, key: key.keys[0], ...(port === undefined ? {} : { port }) });
    } catch (error) {
      // The node is a member without it, too.
      log('error', 'hpc.absent', { reason: sentence(error) });
      return undefined;
    }
  }

  /** A node that cannot migrate is a member like all. */
  async function beginPeers({ id, address }: Self, { table, tell }: Membership): Promise<void> {
    try {
      await takePrecedence().catch((error: unknown) => log('warn', 'agent.equal', { reason: sentence(error) }));
      peers = await startPeers({
        ...{
          self: { id, address },
          agentVersion,
          incarnation: state.get().incarnation,
          map: () => map.file.map,
          keys: () => key.keys,
          table,
          tell,
          state,
          sampler,
        },
        ...{ server: settings.server, homeLost: config.homeLost, mfsCache: config.mfsCache },
        ...{ measures: () => measures, program: process.argv[1], refuse: count, log },
      });
    } catch (error) {
      log('warn', 'link.absent', { reason: sentence(error), hint: error instanceof FarmError ? error.hint : undefined });
    }
  }

  function currentReport({ id }: Self): AgentReport {
    const table = membership?.table;
    if (table === undefined) throw new FarmError('agent.apart', 'this node is in no cluster');
    const { free = 0, total = 0 } = measures?.memory ?? {};
    const seen = reportSeen(table, shown, now());
    shown = seen.length > 1 ? (seen.at(-1)?.id ?? 0) : 0;
    const own = { load: measures?.load ?? 0, cpus: sampler.cpus(), memory: { total, available: free } };
    const common = { name: settings.name, id, incarnation: table.incarnation, stage, system, uptime: uptime() };
    return { ...common, ...own, ...reportMembers(table, now()), seen, version: agentVersion };
  }

  function currentStatus(): Status {
    const { name, cluster } = settings;
    const table = membership?.table;
    const address = (id: number) => map.file.map.addresses.get(id) ?? '-';
    const members: StatusMember[] = table === undefined ? [] : [{ id: table.self, address: address(table.self), state: 'self', facts: facts() }];
    for (const member of table?.members.values() ?? []) {
      const heard = member.facts === undefined ? {} : { facts: member.facts, age: Math.max(0, Math.round(now() - member.madeAt) / 1000) };
      members.push({ id: member.id, address: address(member.id), state: member.state, ...heard });
    }
    members.sort((a, b) => a.id - b.id);
    return { name, id: table?.self ?? 0, cluster, map: map.file.path, stage, system, version: agentVersion, refused, members };
  }

  return {
    failed,
    async stop() {
      if (ending.signal.aborted) return;
      ending.abort();
      clearInterval(looks);
      map.close();
      stage = 'leaving';
      await Promise.all([membership?.stop(), discovery?.stop(), reporter?.farewell(farewellTimeout), state.settled(farewellTimeout)]);
      await joining;
      await peers?.close();
      await hpc?.close();
      statusServer.close();
      rmSync(settings.socketPath, { force: true });
      log('info', 'agent.ended');
    },
  };
}

/** Measures the speed where it was never measured, or on other processors; what an administrator has set stays. */
function ensureSpeed(state: AgentState, log: Log): void {
  const { speed } = state.get();
  const here = hardware();
  if (speed?.set === true || speed?.hardware === here) return;
  const value = measureSpeed();
  state.set({ speed: { value, hardware: here, set: false } });
  log('info', 'speed.measured', { speed: value, hardware: here });
}
