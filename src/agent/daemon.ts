// The node's agent: a thin loop that hands datagrams and seconds to the membership rules and sends what they say.
import type { Socket } from 'node:dgram';
import { rmSync } from 'node:fs';
import { ipv4FromPeer } from '../base/addresses.ts';
import { openUdp } from '../base/datagrams.ts';
import { FarmError, sentence, WireError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { type Announcement, decodeAnnouncement, encodeAnnouncement } from '../cluster/announce.ts';
import { heardFor, type MemberEvent, newTable, type Step, someAlive, step, targets } from '../cluster/members.ts';
import { subnetWarnings } from '../cluster/nodes.ts';
import { type AgentReport, reportMembers, type Stage } from '../cluster/report.ts';
import { findMap, type MapFile, mapStamp, readKeyFile, readMapFile } from './files.ts';
import { identify, localNetworks, type Self } from './identity.ts';
import { startReporter } from './report.ts';
import { takeSample, uptime } from './sample.ts';
import type { Settings } from './settings.ts';
import { type Status, type StatusMember, serveStatus } from './status.ts';
import { isUp, watchSystem } from './system.ts';

/** Equal to package.json's, which is not in the bundle. */
export const agentVersion = '0.1.0';

/** Whom a leaving node tells by itself; they tell the others. All at once would grow with the cluster. */
const farewells = 8;
/** All of the goodbye has to fit into one second. */
const farewellTimeout = 700;

export interface Agent {
  /** Says goodbye and ends; within a second. */
  stop(): Promise<void>;
  /** Settles when the agent cannot go on, e.g. because a new map gives this node another id. */
  readonly failed: Promise<FarmError>;
}

/** Starts the agent. Throws the `FarmError`s of its files, of `identify` and of its sockets. */
export async function startAgent(settings: Settings, log: Log): Promise<Agent> {
  const key = await readKeyFile(settings.keyPath);
  let file = await readMapFile(await findMap(settings.mapPath));
  const self = identify(file.map, settings, file.path);
  logMap(file, log);
  const now = () => performance.now(); // does not step when the clock is set
  let table = newTable(settings.cluster, self.id, file.map.addresses.keys(), Date.now(), settings.interval, now());
  let sequence = 0;
  let sample = takeSample();
  let stage: Stage = 'agent';
  let system = 'unknown';
  const refused: Record<string, number> = {};
  let looking = false;
  const ending = new AbortController();
  let fail: (error: FarmError) => void = () => {};
  const failed = new Promise<FarmError>((resolve) => {
    fail = resolve;
  });

  const socket = await openUdp({ address: self.address, port: settings.clusterPort });
  socket.on('error', (error) => log('error', 'cluster.socket', { reason: sentence(error) }));
  const statusServer = await serveStatus(settings.socketPath, currentStatus).catch((error: unknown) => {
    socket.close();
    throw error;
  });
  log('info', 'agent.started', { name: settings.name, id: self.id, address: self.address, cluster: settings.cluster, nodes: file.map.addresses.size });
  const reporter = startReporter({ server: settings.server, port: settings.serverPort, interval: settings.reportInterval, report: currentReport, log });

  socket.on('message', (bytes, peer) => {
    let announcement: Announcement;
    try {
      announcement = decodeAnnouncement(bytes, key);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      count(error.code, peer.address, error.message);
      return;
    }
    const address = ipv4FromPeer(peer.address);
    const from = address === undefined ? undefined : file.map.ids.get(address);
    const { refusal } = apply({ kind: 'heard', announcement, from });
    if (refusal !== undefined && table.refused[refusal] === 1) {
      logRefusal(refusal, peer.address, `it says that it is node ${announcement.sender} of cluster ${announcement.cluster}`);
    }
  });

  const round = () => {
    apply({ kind: 'tick' });
    sample = takeSample();
    void announce('announce', targets(table, Math.random));
  };
  round();
  const rounds = setInterval(round, settings.interval);
  const looks = setInterval(() => void lookAtMap(), settings.reportInterval);
  watchSystem((state) => {
    log('info', 'system.state', { state });
    system = state;
    if (isUp(state) && stage === 'agent') stage = 'up';
    reporter.poke();
  }, ending.signal);

  function apply(event: MemberEvent): Step {
    const before = table.incarnation;
    const done = step(table, event, now());
    table = done.table;
    if (table.incarnation !== before) {
      log('warn', 'agent.outrun', { incarnation: table.incarnation, reason: `this clock went back, or another machine is node ${self.id} too` });
    }
    for (const { id, to } of done.changes) log('info', `member.${to}`, { id, address: file.map.addresses.get(id) });
    if (done.changes.length > 0) reporter.poke();
    return done;
  }

  function count(reason: string, from: string, detail: string): void {
    refused[reason] = (refused[reason] ?? 0) + 1;
    if (refused[reason] === 1) logRefusal(reason, from, detail);
  }

  /** Only the first of each kind: whoever sends bad datagrams shall not fill the journal. `status` has the counts. */
  function logRefusal(reason: string, from: string, detail: string): void {
    log('warn', 'cluster.refused', { reason, from, detail });
  }

  function announce(kind: Announcement['kind'], recipients: readonly number[]): Promise<unknown> {
    sequence += 1;
    return Promise.all(
      recipients.map((recipient) => {
        const { cluster, incarnation } = table;
        const heard = heardFor(table, recipient, now());
        const bytes = encodeAnnouncement({ kind, cluster, sender: self.id, recipient, incarnation, sequence, sample, heard }, key);
        return sendTo(socket, bytes, settings.clusterPort, file.map.addresses.get(recipient));
      }),
    ).then((errors) => {
      for (const error of errors) if (error !== undefined) count('send', self.address, error);
    });
  }

  async function lookAtMap(): Promise<void> {
    if (looking) return; // the NFS server does not answer
    looking = true;
    try {
      const { path, stamp } = file;
      const found = await mapStamp(path);
      if (found === stamp || ending.signal.aborted) return;
      file = { ...file, stamp: found }; // a bad map is complained about once
      const fresh = await readMapFile(path);
      checkIdentity(identify(fresh.map, settings, path), self, path);
      file = fresh;
      logMap(file, log);
      apply({ kind: 'map', ids: file.map.addresses.keys() });
      reporter.poke();
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      if (error.code === 'map.self' || error.code === 'map.renumbered') fail(error);
      else log('error', 'map.refused', { code: error.code, reason: error.message, hint: error.hint });
    } finally {
      looking = false;
    }
  }

  function currentReport(): AgentReport {
    const { name } = settings;
    const { incarnation } = table;
    return { name, id: self.id, incarnation, stage, system, uptime: uptime(), ...sample, ...reportMembers(table, now()), version: agentVersion };
  }

  function currentStatus(): Status {
    const members: StatusMember[] = [{ id: self.id, address: self.address, state: 'self', sample }];
    for (const [id, member] of table.members) {
      const age = member.heardAt === undefined ? {} : { age: Math.max(0, Math.round(now() - member.heardAt) / 1000) };
      const heard = member.sample === undefined ? {} : { sample: member.sample };
      members.push({ id, address: file.map.addresses.get(id) ?? '-', state: member.state, ...age, ...heard });
    }
    members.sort((a, b) => a.id - b.id);
    const { name, cluster } = settings;
    return { name, id: self.id, cluster, map: file.path, stage, system, version: agentVersion, refused: { ...table.refused, ...refused }, members };
  }

  return {
    failed,
    async stop() {
      if (ending.signal.aborted) return;
      ending.abort();
      clearInterval(rounds);
      clearInterval(looks);
      stage = 'leaving';
      await Promise.all([announce('leave', someAlive(table, farewells, Math.random)), reporter.farewell(farewellTimeout)]);
      socket.close();
      statusServer.close();
      rmSync(settings.socketPath, { force: true });
      log('info', 'agent.ended');
    },
  };
}

function logMap(file: MapFile, log: Log): void {
  for (const { line, message } of [...file.warnings, ...subnetWarnings(file.map, localNetworks())]) {
    log('warn', 'map.doubtful', { file: file.path, line, message });
  }
  log('info', 'map.read', { file: file.path, nodes: file.map.addresses.size });
}

function checkIdentity(fresh: Self, self: Self, path: string): void {
  if (fresh.id === self.id && fresh.address === self.address) return;
  throw new FarmError(
    'map.renumbered',
    `${path} now says that this machine is node ${fresh.id} at ${fresh.address}, it was node ${self.id} at ${self.address}`,
    'the agent takes a new identity when it is started again: systemctl restart farm-agent',
  );
}

/** Settles when the kernel has the datagram, with what was wrong if it did not take it: a lost datagram is no reason to stop. */
function sendTo(socket: Socket, bytes: Buffer, port: number, address: string | undefined): Promise<string | undefined> {
  if (address === undefined) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    socket.send(bytes, port, address, (error) => resolve(error === null ? undefined : sentence(error)));
  });
}
