// What the agent is told: its options, and for what they leave open /run/farm/boot.env, which the boot of this node wrote.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { type Ipv4, ipv4, parseIpv4 } from '../base/addresses.ts';
import { FarmError, systemCode } from '../base/errors.ts';
import { isClusterName } from '../cluster/announce.ts';
import { reportInterval } from '../cluster/report.ts';

/** Where openMosix's information daemon listened. */
const defaultClusterPort = 5428;
const defaultServerPort = 80;
const defaultCluster = 'farm';
const defaultKeyPath = '/etc/farm/key';
const defaultBootEnv = '/run/farm/boot.env';
export const defaultSocketPath = '/run/farm/agent.sock';
/** openMosix's pace: a round a second. */
const defaultInterval = 1000;
/** A boot.env has six short lines. */
const bootEnvBytesMax = 64 * 1024;

export interface Settings {
  /** undefined: the first of the usual places. */
  readonly mapPath: string | undefined;
  readonly keyPath: string;
  /** Address or name of the farm's HTTP server. */
  readonly server: string;
  readonly serverPort: number;
  /** As asked for by an option, so it must exist. */
  readonly interface: string | undefined;
  /** As asked for by an option, so it must be in the map. */
  readonly address: Ipv4 | undefined;
  /** As the boot had them; udev may have renamed the interface since. */
  readonly booted: { readonly interface: string | undefined; readonly address: Ipv4 | undefined };
  readonly cluster: string;
  readonly clusterPort: number;
  /** Ms between rounds of announcements. */
  readonly interval: number;
  /** Ms between reports. */
  readonly reportInterval: number;
  readonly socketPath: string;
  /** Host name. */
  readonly name: string;
}

export const usage = `Usage: farm-agent [options]                           run as the agent of this node
       farm-agent status [--json] [--socket FILE]     show what the running agent knows of the cluster

  --map FILE               openmosix.map (the first of /etc/openmosix.map, /etc/mosix.map, /etc/hpc.map)
  --key-file FILE          the farm key (${defaultKeyPath})
  --server ADDRESS[:PORT]  the farm's server (FARM_SERVER of boot.env)
  --port PORT              its HTTP port (${defaultServerPort})
  --interface NAME         the interface of the cluster network (FARM_INTERFACE)
  --address ADDRESS        this node's address in the map (FARM_ADDRESS)
  --cluster NAME           the cluster's name (FARM_CLUSTER, ${defaultCluster})
  --cluster-port PORT      UDP port of the announcements, the same on all nodes (${defaultClusterPort})
  --interval MS            between rounds of announcements, the same on all nodes (${defaultInterval})
  --report-interval MS     between reports to the server (${reportInterval})
  --socket FILE            where status finds the agent (${defaultSocketPath})
  --boot-env FILE          what the boot of this node left (${defaultBootEnv})
`;

const options = {
  map: { type: 'string' },
  'key-file': { type: 'string', default: defaultKeyPath },
  server: { type: 'string' },
  port: { type: 'string' },
  interface: { type: 'string' },
  address: { type: 'string' },
  cluster: { type: 'string' },
  'cluster-port': { type: 'string', default: String(defaultClusterPort) },
  interval: { type: 'string', default: String(defaultInterval) },
  'report-interval': { type: 'string', default: String(reportInterval) },
  socket: { type: 'string', default: defaultSocketPath },
  'boot-env': { type: 'string', default: defaultBootEnv },
} as const;

/** Reads the daemon's arguments. Throws `FarmError` `agent.settings`, or parseArgs' own error for an option that there is not. */
export function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
  const boot = readBootEnv(values['boot-env']);
  const server = values.server ?? boot.get('FARM_SERVER');
  if (server === undefined || server === '') {
    throw new FarmError('agent.settings', `there is no FARM_SERVER in ${values['boot-env']}`, 'name the server with --server ADDRESS[:PORT]');
  }
  const [, serverHost, serverPort] = /^([\w.-]{1,253})(?::(\d+))?$/.exec(server) ?? [];
  if (serverHost === undefined) {
    throw new FarmError('agent.settings', `"${server}" is not a server's address`, 'write it as ADDRESS or ADDRESS:PORT, e.g. 10.11.0.1:80');
  }
  const cluster = values.cluster ?? boot.get('FARM_CLUSTER') ?? defaultCluster;
  if (!isClusterName(cluster)) {
    throw new FarmError('agent.settings', `"${cluster}" cannot be a cluster's name`, 'use 1 to 32 letters, digits, dots and hyphens');
  }
  return {
    mapPath: values.map,
    keyPath: values['key-file'],
    server: serverHost,
    serverPort: whole('--port', values.port ?? serverPort ?? String(defaultServerPort), 65535),
    interface: values.interface,
    address: values.address === undefined ? undefined : ipv4(values.address),
    booted: { interface: boot.get('FARM_INTERFACE'), address: parseIpv4(boot.get('FARM_ADDRESS') ?? '') },
    cluster,
    clusterPort: whole('--cluster-port', values['cluster-port'], 65535),
    interval: whole('--interval', values.interval, 3_600_000),
    reportInterval: whole('--report-interval', values['report-interval'], 3_600_000),
    socketPath: values.socket,
    name: hostname(),
  };
}

function whole(name: string, text: string, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= most) return value;
  throw new FarmError('agent.settings', `${name} is "${text}"`, `give a whole number from 1 to ${most}`);
}

function readBootEnv(path: string): ReadonlyMap<string, string> {
  try {
    return parseEnvironment(readFileSync(path, 'utf8').slice(0, bootEnvBytesMax));
  } catch (error) {
    // A node that was not booted by a farm has none; what it then lacks is asked for by name.
    if (systemCode(error) === 'ENOENT') return new Map();
    throw new FarmError('agent.settings', `${path} cannot be read: ${systemCode(error)}`, 'check its permissions', error);
  }
}

/** Reads KEY=value lines as a shell and systemd's EnvironmentFile do, without expansions; passes over every other line. */
export function parseEnvironment(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, key, value] = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line.trimEnd()) ?? [];
    if (key === undefined || value === undefined) continue;
    const quoted = /^"((?:[^"\\]|\\.)*)"|^'([^']*)'/.exec(value);
    const bare = quoted === null ? value.replace(/(^|\s)#.*$/, '').trimEnd() : undefined;
    found.set(key, bare ?? quoted?.[1]?.replace(/\\(.)/g, '$1') ?? quoted?.[2] ?? '');
  }
  return found;
}
